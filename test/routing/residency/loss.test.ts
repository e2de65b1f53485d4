import { describe, expect, it } from 'vitest'
import { type Facts, lossOf, lossWork } from '../../../src/routing/residency/loss.ts'

/** Hosts by models: seconds alone; full is the same, one seat each, loads of ten seconds. */
function factsOf(aloneS: readonly (readonly number[])[], perSecond: readonly number[]): Facts {
  const flat = Float64Array.from(aloneS.flat())
  return {
    hosts: aloneS.length,
    models: perSecond.length,
    perSecond: Float64Array.from(perSecond),
    aloneS: flat,
    fullS: flat,
    seats: new Float64Array(flat.length).fill(1),
    loadS: new Float64Array(flat.length).fill(10),
  }
}

const loss = (facts: Facts, has: readonly number[]) =>
  lossOf(facts, Uint8Array.from(has), lossWork(facts))

describe('what a residency costs', () => {
  it('is the wait of one queue where there is one server', () => {
    // M/M/1 with a service of 2 s at half of its capacity waits for 2 s more: 0.25 requests of 4 s in each second.
    expect(loss(factsOf([[2]], [0.25]), [1])).toBeCloseTo(0.25 * 4, 5)
  })

  it('is two loads for each request where a model is nowhere, and nothing where nobody asks', () => {
    expect(loss(factsOf([[2]], [0.1]), [0])).toBeCloseTo(0.1 * (20 + 2), 5)
    expect(loss(factsOf([[2]], [0]), [0])).toBe(0)
  })

  // It counted as nothing where nobody could load the model, so to be rid of the only server looked like a gain: it was
  // what `chasqui optimize` advised.
  it('is most of all where a model is nowhere and nobody could load it', () => {
    const nobody = loss(factsOf([[0]], [0.1]), [0])
    expect(nobody).toBeGreaterThan(loss(factsOf([[60]], [0.1]), [0]))
  })

  it('falls with a second copy where one is nearly full, and hardly on a machine too slow to be used', () => {
    const busy = factsOf([[2], [2]], [0.45])
    const one = loss(busy, [1, 0])
    expect(loss(busy, [1, 1])).toBeLessThan(0.5 * one)
    const lame = factsOf([[2], [60]], [0.1])
    expect(loss(lame, [1, 1])).toBeCloseTo(loss(lame, [1, 0]), 1)
  })

  it('grows without end where there is more work than a server can do', () => {
    const [much, more] = [0.6, 0.9].map((rate) => loss(factsOf([[2]], [rate]), [1]))
    expect(more!).toBeGreaterThan(much! + 10)
  })

  it('counts what two models take of one machine together', () => {
    const apart = loss(
      factsOf(
        [
          [2, 2],
          [2, 2],
        ],
        [0.3, 0.3],
      ),
      [1, 0, 0, 1],
    )
    const together = loss(
      factsOf(
        [
          [2, 2],
          [2, 2],
        ],
        [0.3, 0.3],
      ),
      [1, 1, 0, 0],
    )
    expect(together).toBeGreaterThan(2 * apart)
  })
})
