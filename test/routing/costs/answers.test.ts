import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  conversation,
  conversationApart,
  type Lengths,
  lengthsDrawn,
} from '../../../bench/routing/traffic/lengths.ts'
import { seededDice } from '../../../src/core/dice.ts'
import { Answers, outTokensUsual } from '../../../src/routing/costs/answers.ts'

const anyLength = Number.POSITIVE_INFINITY

function sizeOf(textBytes: number, tenant = 'all', model = 'm') {
  return { model, op: 'chat', tenant, textBytes, outTokensMax: undefined }
}

/** What is expected after so many answers: of a prompt with so many bytes, by who asks which model. */
function learned(
  ...told: readonly [count: number, tokens: number, ...Parameters<typeof sizeOf>][]
) {
  const answers = new Answers()
  const most = Math.max(...told.map(([count]) => count))
  for (let at = 0; at < most; at++)
    for (const [count, tokens, ...size] of told)
      if (at < count) answers.learn(sizeOf(...size), tokens, 1)
  return (...size: Parameters<typeof sizeOf>) => answers.lengthsOf(sizeOf(...size)).mean(anyLength)
}

/** How far the guesses are from what a use of the given lengths answers, in doublings, on average; and without sizes. */
function errorsOf(lengths: Lengths) {
  const dice = seededDice(3)
  const both = [new Answers(), new Answers({ bySize: false })]
  const off = [0, 0]
  for (let at = 0; at < 2_000; at++) {
    const { promptTokens, outputTokens } = lengthsDrawn(lengths, dice)
    const size = sizeOf(4 * promptTokens)
    for (const [index, answers] of both.entries()) {
      const guess = answers.lengthsOf(size).mean(anyLength)
      off[index]! += Math.abs(Math.log2(guess / outputTokens)) / 2_000
      answers.learn(size, outputTokens, 1)
    }
  }
  return { bySize: off[0]!, without: off[1]! }
}

describe('the answers that are expected', () => {
  it('are the usual ones before anything was seen', () => {
    expect(learned()(500) / outTokensUsual).toBeCloseTo(1, 0)
  })

  it("are the tenant's own where there are enough, then the model's, then everybody's", () => {
    const expected = learned([20, 1_000, 500, 'writer'], [20, 10, 500, 'asker'])
    expect(expected(500, 'writer')).toBeGreaterThan(800)
    expect(expected(500, 'asker')).toBeLessThan(15)
    expect(expected(500, 'stranger')).toBeGreaterThan(100)
    expect(expected(500, 'stranger', 'other')).toBeGreaterThan(100)
  })

  // Requests of the Azure trace of chats whose prompts have about 1,000 tokens get 400 in answer, those with 4,000 get 60:
  // with one length for all the long prompts stood last in every line, though they were the short requests.
  it('hang on the size of the prompt where it tells: the longest prompts may have the shortest answers', () => {
    const expected = learned([100, 400, 4_000], [100, 60, 16_000])
    expect(expected(4_000)).toBeGreaterThan(340)
    expect(expected(16_000)).toBeLessThan(75)
  })

  it('are those of all sizes for a size that nobody has seen', () => {
    const expected = learned([100, 400, 4_000], [100, 60, 16_000])
    expect(expected(100)).toBeGreaterThan(150)
    expect(expected(100)).toBeLessThan(300)
  })

  it('are half as wrong with the sizes of recorded chats, and no worse where sizes say nothing', () => {
    const chats = errorsOf(conversation)
    expect(chats.bySize).toBeLessThan(0.6 * chats.without)
    const apart = errorsOf(conversationApart)
    expect(apart.bySize).toBe(apart.without)
  })

  it('no longer hang on sizes once these have stopped to tell', () => {
    const answers = new Answers()
    const dice = seededDice(1)
    for (let at = 0; at < 200; at++)
      answers.learn(sizeOf(at % 2 ? 4_000 : 16_000), at % 2 ? 400 : 40, 1)
    const before = answers.lengthsOf(sizeOf(4_000))
    expect(before).not.toBe(answers.lengthsOf(sizeOf(16_000)))
    for (let at = 0; at < 600; at++)
      answers.learn(sizeOf(at % 2 ? 4_000 : 16_000), dice.roll() < 0.5 ? 400 : 40, 1)
    expect(answers.lengthsOf(sizeOf(4_000))).toBe(answers.lengthsOf(sizeOf(16_000)))
  })

  it('count an answer that was cut short little', () => {
    const answers = new Answers()
    for (let at = 0; at < 20; at++) answers.learn(sizeOf(500), 300, 1)
    for (let at = 0; at < 20; at++) answers.learn(sizeOf(500), 10, 0.2)
    expect(answers.lengthsOf(sizeOf(500)).mean(anyLength)).toBeGreaterThan(220)
  })

  it('stay within what there was, whatever sizes come', () => {
    const told = fc.record({
      bytes: fc.oneof(fc.integer({ min: 0, max: 100_000 }), fc.double({ min: 0, noNaN: true })),
      tokens: fc.integer({ min: 1, max: 5_000 }),
      tenant: fc.constantFrom('a', 'b'),
    })
    fc.assert(
      fc.property(fc.array(told, { minLength: 8, maxLength: 300 }), told, (all, asked) => {
        const answers = new Answers()
        for (const { bytes, tokens, tenant } of all) answers.learn(sizeOf(bytes, tenant), tokens, 1)
        const mean = answers.lengthsOf(sizeOf(asked.bytes, asked.tenant)).mean(anyLength)
        const [least, most] = [0, 1].map(
          (end) =>
            all
              .map((each) => each.tokens)
              .sort((x, y) => x - y)
              .at(-end)!,
        )
        // A bucket is a third of a doubling, and some of what is usual may be in it while there are few.
        expect(mean).toBeGreaterThan(Math.min(least! / 1.3, outTokensUsual / 2))
        expect(mean).toBeLessThan(Math.max(most! * 1.3, outTokensUsual * 2))
      }),
    )
  })
})
