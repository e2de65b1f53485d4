import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seatForHedge } from '../../src/split/hedge.ts'

const at = (onSeatForMs: number, expectedMs?: number) => ({
  backend: 'slow',
  onSeatForMs,
  expectedMs,
})
const seat = (backend: string, expectedMs?: number) => ({ backend, expectedMs })

describe('a part that is slow', () => {
  it('is begun again where it is expected well before', () => {
    const free = [seat('fast', 100), seat('faster', 60), seat('unknown')]
    expect(seatForHedge(at(0, 1_000), free)).toEqual(seat('faster', 60))
  })

  it('is left where it is when it would gain little', () => {
    expect(seatForHedge(at(0, 1_000), [seat('other', 900)])).toBeUndefined()
    // Below what can be measured, however much it is as a share.
    expect(seatForHedge(at(0, 25), [seat('other', 6)])).toBeUndefined()
    expect(seatForHedge(at(950, 1_000), [seat('other', 40)])).toBeUndefined()
  })

  it('is begun again when it is late, wherever there is a seat', () => {
    expect(seatForHedge(at(1_521, 1_000), [seat('other')])).toEqual(seat('other'))
    expect(seatForHedge(at(1_521, 1_000), [seat('other'), seat('known', 5_000)])).toEqual(
      seat('known', 5_000),
    )
    expect(seatForHedge(at(1_519, 1_000), [seat('other')])).toBeUndefined()
  })

  it('of which nothing is known is late when it could have been done elsewhere', () => {
    expect(seatForHedge(at(101), [seat('other', 100)])).toEqual(seat('other', 100))
    expect(seatForHedge(at(100), [seat('other', 100)])).toBeUndefined()
    expect(seatForHedge(at(1e9), [seat('other')])).toBeUndefined()
  })

  it('is never begun again where it is already, nor where there is no seat', () => {
    const moments = fc.integer({ min: 0, max: 100_000 })
    const expected = fc.option(moments, { nil: undefined })
    fc.assert(
      fc.property(
        moments,
        expected,
        fc.array(fc.record({ backend: fc.constantFrom('slow', 'b', 'c'), expectedMs: expected })),
        (onSeatForMs, expectedMs, free) => {
          const chosen = seatForHedge(at(onSeatForMs, expectedMs), free)
          if (chosen === undefined) return
          expect(free).toContainEqual(chosen)
          expect(chosen.backend).not.toBe('slow')
        },
      ),
    )
  })
})
