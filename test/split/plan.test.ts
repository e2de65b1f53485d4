import { describe, expect, it } from 'vitest'
import { Failure } from '../../src/core/failure.ts'
import { cutLines } from '../../src/split/cut/lines.ts'
import type { Holder } from '../../src/split/fleet.ts'
import { type CutDoors, planCut } from '../../src/split/plan.ts'

const holder = (name: string, context: number): Holder => ({
  name,
  context,
  seats: 1,
  seatFree: true,
  resident: true,
})

/** A unit a character, so that a part's size in tokens is its length. */
const doors = (text: string, size: number, contexts: readonly number[], more = {}): CutDoors => ({
  holders: contexts.map((context, index) => holder(String.fromCharCode(97 + index), context)),
  overheadTokens: 0,
  answerTokens: undefined,
  cut: async (tokensMax) =>
    cutLines(text, {
      size,
      overlap: 0,
      tokensMax,
      tokensOf: (each) => each.length,
      language: undefined,
    }),
  ...more,
})

/** Ten characters a line. */
const lines = (count: number) => '123456789\n'.repeat(count)
const refusal = async (given: CutDoors) => {
  const error = await planCut(given).catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(Failure)
  return error as Failure
}

describe('parts of a run', () => {
  it('leave room for the answer, the template and what comes with them', async () => {
    // 1,000 - 64 of the template - 250 for the answer.
    expect(await planCut(doors(lines(100), 1_000, [1_000]))).toMatchObject({ roomTokens: 686 })
    const said = { answerTokens: 100, overheadTokens: 36 }
    const plan = await planCut(doors(lines(100), 1_000, [1_000], said))
    expect(plan.roomTokens).toBe(800)
    expect(plan.parts.map(({ tokens }) => tokens)).toEqual([800, 200])
  })

  it('keep at most half of the context for an answer that may be as long as it likes', async () => {
    const plan = await planCut(doors(lines(10), 10, [1_000], { answerTokens: 1e9 }))
    expect(plan.roomTokens).toBe(436)
  })

  it('fit the smallest context when that costs at most twice as many', async () => {
    // Room for 436 and for 186 tokens: 40 lines are one part of 400, or three of 180 and less.
    const wide = await planCut(doors(lines(40), 1_000, [667, 334]))
    expect(wide).toMatchObject({ leftOut: [{ backend: 'b', context: 334 }] })
    expect(wide.parts).toHaveLength(1)
    const narrow = await planCut(doors(lines(36), 1_000, [667, 334]))
    expect(narrow.leftOut).toEqual([])
    expect(narrow.parts).toHaveLength(2)
  })

  it('are for every context that they fit without being cut finer', async () => {
    const plan = await planCut(doors(lines(100), 1, [100_000, 200, 110]))
    expect(plan.leftOut).toEqual([])
    expect(plan.parts).toHaveLength(100)
  })

  it('leave out every backend below one that would cost too many', async () => {
    const plan = await planCut(doors(lines(90), 90, [10_000, 400, 10_000, 200]))
    expect(plan.leftOut).toEqual([
      { backend: 'b', context: 400 },
      { backend: 'd', context: 200 },
    ])
  })

  it('leave out a backend that no part can be made small enough for', async () => {
    const text = `${'x'.repeat(500)}\n${lines(10)}`
    const plan = await planCut(doors(text, 1, [10_000, 200]))
    expect(plan.leftOut).toEqual([{ backend: 'b', context: 200 }])
    // Nor one whose context is full before any part is in it.
    const small = await planCut(doors(lines(2), 1, [10_000, 80]))
    expect(small.leftOut).toEqual([{ backend: 'b', context: 80 }])
  })

  it('that fit no context are refused, and the line is named', async () => {
    const text = `${lines(2)}${'x'.repeat(5_000)}\n`
    const failure = await refusal(doors(text, 1, [1_000, 500]))
    expect(failure).toMatchObject({ code: 'part_too_large', status: 400 })
    expect(failure.message).toContain('line 3 has about 5001 tokens, and a part can have 686')
    expect(failure.message).toContain('the largest context among the backends is 1000')
  })

  it('are refused for what comes with them when that leaves no room', async () => {
    const failure = await refusal(doors(lines(1), 1, [1_000], { overheadTokens: 900.25 }))
    expect(failure).toMatchObject({ code: 'part_too_large', status: 400 })
    expect(failure.message).toContain('the instruction and what comes with it have about 901')
  })

  it('pass on what else is wrong with the input', async () => {
    const cut = () => Promise.reject(new TypeError('something else'))
    await expect(planCut(doors('', 1, [1_000], { cut }))).rejects.toThrow('something else')
  })
})
