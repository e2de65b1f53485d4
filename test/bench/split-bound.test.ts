import { describe, expect, it } from 'vitest'
import { type Capacity, fluidBoundMs, wholePartsBoundMs } from '../../bench/split/bound.ts'

function machine(partMs: number, more: Partial<Capacity> = {}): Capacity {
  return { partMs, loadMs: 0, diesAtMs: undefined, ...more }
}

describe('the bound of a split run', () => {
  it('is total work over total speed when parts could be cut at will', () => {
    expect(fluidBoundMs(10, [machine(100), machine(100)])).toBeCloseTo(500)
    expect(fluidBoundMs(13, [machine(10), machine(120)])).toBeCloseTo(120)
  })

  it('counts loads, and what a machine does before it dies', () => {
    expect(fluidBoundMs(10, [machine(100), machine(100, { loadMs: 200 })])).toBeCloseTo(600)
    expect(fluidBoundMs(10, [machine(100), machine(100, { diesAtMs: 200 })])).toBeCloseTo(800)
    expect(fluidBoundMs(4, [machine(100, { diesAtMs: 200 })])).toBe(Number.POSITIVE_INFINITY)
  })

  it('waits for whole parts where they can not be cut', () => {
    expect(wholePartsBoundMs(3, [machine(100), machine(100)])).toBeCloseTo(200)
    // The slow one can not be of use: two on the fast one are done sooner.
    expect(wholePartsBoundMs(2, [machine(60), machine(720)])).toBeCloseTo(120)
    // Half a part at the moment of death is no part.
    expect(wholePartsBoundMs(3, [machine(100), machine(100, { diesAtMs: 150 })])).toBeCloseTo(200)
  })

  it('is never below the one for parts that can be cut', () => {
    const fleet = [machine(60), machine(720), machine(120, { loadMs: 500 }), machine(240)]
    for (let parts = 1; parts < 200; parts += 7)
      expect(wholePartsBoundMs(parts, fleet)).toBeGreaterThanOrEqual(
        fluidBoundMs(parts, fleet) - 1e-3,
      )
  })
})
