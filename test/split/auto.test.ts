import { describe, expect, it } from 'vitest'
import { type AutoFacts, decideAuto, predict } from '../../src/split/auto.ts'

const pays: AutoFacts = {
  parts: 8,
  inputTokens: 2_000,
  roomTokens: 3_000,
  seats: 4,
  wholeMs: 20_000,
  splitMs: 6_000,
}

describe('auto', () => {
  it.each<[string, Partial<AutoFacts>, boolean, RegExp]>([
    [
      'splits when it is sooner',
      {},
      true,
      /^8 parts take about 6\.0 s on 4 seats, the whole 20 s$/,
    ],
    ['does not for one part', { parts: 1 }, false, /no larger than one part/],
    ['does not for few tokens', { inputTokens: 255 }, false, /255 tokens are too few/],
    ['does for enough', { inputTokens: 256 }, true, /parts take/],
    ['does not for one seat', { seats: 1 }, false, /one seat/],
    [
      'does not when it gains little',
      { splitMs: 18_001 },
      false,
      /would take about 18 s, the whole/,
    ],
    ['does when it gains a tenth', { splitMs: 17_999 }, true, /parts take/],
    ['does not when it takes longer', { splitMs: 30_000 }, false, /would take about 30 s/],
    [
      'must when it fits no context',
      { inputTokens: 3_001, seats: 1 },
      true,
      /3001 tokens do not fit/,
    ],
    ['must however few parts there are', { inputTokens: 3_001, parts: 1 }, true, /do not fit/],
    ['says whole tokens', { inputTokens: 3_000.25 }, true, /^about 3001 tokens/],
  ])('%s', (_name, facts, split, why) => {
    const decision = decideAuto({ ...pays, ...facts })
    expect(decision).toEqual({ split, why: expect.stringMatching(why) })
  })
})

describe('a prediction', () => {
  const tokens = { whole: 1_000, parts: 1_200, largestPart: 150 }

  it('takes the fastest for the whole, and all seats for the parts', () => {
    const holders = [
      { seats: 2, msPerToken: 10 },
      { seats: 1, msPerToken: 5 },
    ]
    expect(predict(tokens, holders)).toEqual({
      wholeMs: 5_000,
      splitMs: expect.closeTo(1_200 / (2 / 10 + 1 / 5)),
    })
  })

  it('is never shorter than the largest part on the fastest', () => {
    const many = [{ seats: 1_000, msPerToken: 5 }]
    expect(predict(tokens, many).splitMs).toBe(750)
  })

  it('takes who has not answered yet for the slowest that has, or for something in between', () => {
    const one = { seats: 1, msPerToken: 4 }
    const two = { seats: 1, msPerToken: 8 }
    const unknown = { seats: 1, msPerToken: undefined }
    expect(predict(tokens, [one, two, unknown])).toEqual(predict(tokens, [one, two, two]))
    expect(predict(tokens, [unknown]).wholeMs).toBe(10_000)
  })

  it('is finite where a backend answers in no time at all', () => {
    const { wholeMs, splitMs } = predict(tokens, [{ seats: 1, msPerToken: 0 }])
    expect([wholeMs, Number.isFinite(splitMs)]).toEqual([0, true])
  })
})
