import { describe, expect, it } from 'vitest'
import type { Request } from '../../bench/routing/engine/specs.ts'
import { Visit } from '../../bench/routing/engine/visit.ts'
import { foresees, knowsUsual } from '../../bench/routing/policies/foresight.ts'

const requestOf = (outputTokens: number, promptTokens = 10): Request => ({
  ...{ id: 0, atMs: 0, model: 0, promptTokens, outputTokens, chain: [1], chainTokens: [10] },
  ...{ answer: 2, tenant: 't', band: 'normal', deadlineMs: 0, session: 's' },
})

/** One that has said so much of its answer. */
function speaking(outputTokens: number, said: number): Visit {
  const visit = new Visit(requestOf(outputTokens), 0, 0, 10, outputTokens, false)
  visit.state = 'speaking'
  visit.left = outputTokens - said
  return visit
}

describe('foresight', () => {
  it('of a clairvoyant is the truth', () => {
    expect(foresees.answer(requestOf(70))).toBe(70)
    expect(foresees.left(speaking(70, 20))).toBe(50)
  })

  it('of who knows only what is usual is the mean of those that are longer, whatever this one will be', () => {
    const usual = knowsUsual([10, 20, 60, 110].map(requestOf))
    for (const length of [10, 110]) expect(usual.answer(requestOf(length))).toBe(50)
    expect(usual.left(speaking(110, 0))).toBe(50)
    expect(usual.left(speaking(110, 10))).toBeCloseTo((20 + 60 + 110) / 3 - 10)
    expect(usual.left(speaking(200, 70))).toBe(40)
    expect(usual.left(speaking(200, 150))).toBe(1)
  })

  it('of who knows what is usual knows it by the length of the prompt, and of no single answer', () => {
    const trace = Array.from({ length: 400 }, (_, at) =>
      at % 2 === 0 ? requestOf(300 + (at % 3), 1_000) : requestOf(30 + (at % 3), 4_000),
    )
    const usual = knowsUsual(trace)
    expect(usual.answer(requestOf(7, 1_000))).toBeCloseTo(301, 0)
    expect(usual.answer(requestOf(7, 900))).toBeCloseTo(301, 0)
    expect(usual.answer(requestOf(7, 4_000))).toBeCloseTo(31, 0)
    expect(usual.answer(requestOf(7, 9_000))).toBeCloseTo(31, 0)
  })
})
