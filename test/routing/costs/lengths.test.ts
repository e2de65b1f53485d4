import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Lengths } from '../../../src/routing/costs/lengths.ts'

function lengthsOf(...tokens: number[]): Lengths {
  const lengths = new Lengths()
  for (const each of tokens) lengths.add(each)
  return lengths
}

describe('the lengths of answers', () => {
  it('have the mean of what was seen, to within a bucket', () => {
    const mean = lengthsOf(100, 200, 300, 400).mean(Number.POSITIVE_INFINITY)
    expect(mean).toBeGreaterThan(220)
    expect(mean).toBeLessThan(280)
  })

  it('are cut where the request allows no more', () => {
    expect(lengthsOf(1_000, 1_000).mean(50)).toBeCloseTo(50, 0)
    expect(lengthsOf(10, 1_000).mean(100)).toBeGreaterThan(50)
    expect(lengthsOf(10, 1_000).mean(100)).toBeLessThan(60)
  })

  it('make one that is long already likely to be of the long ones', () => {
    const lengths = lengthsOf(...Array<number>(50).fill(20), ...Array<number>(50).fill(2_000))
    expect(lengths.residual(0, 1e9)).toBeLessThan(1_200)
    expect(lengths.residual(60, 1e9)).toBeGreaterThan(1_500)
  })

  it('expect something of an answer that is longer than any before', () => {
    expect(lengthsOf(10, 20).residual(1_000, 1e9)).toBe(300)
    expect(lengthsOf(10, 20).residual(1_000, 1_010)).toBe(10)
  })

  it('forget: after a shift the new lengths count', () => {
    const lengths = lengthsOf(...Array<number>(100).fill(500))
    for (let each = 0; each < 200; each++) lengths.add(100)
    expect(lengths.mean(1e9)).toBeLessThan(200)
  })

  it('are the same when fewer have told them, and change sooner', () => {
    const lengths = lengthsOf(...Array<number>(50).fill(20), ...Array<number>(50).fill(2_000))
    const few = lengths.worth(4)
    expect(few.weight).toBeCloseTo(4, 6)
    for (const written of [0, 60, 5_000])
      expect(few.residual(written, 1e9)).toBeCloseTo(lengths.residual(written, 1e9), 6)
    for (let each = 0; each < 8; each++) few.add(20)
    expect(few.mean(1e9)).toBeLessThan(lengths.mean(1e9) / 2)
    expect(lengths.weight).toBeGreaterThan(60)
    expect(new Lengths().worth(4).weight).toBe(0)
  })

  it('never promise less than nothing or more than is allowed', () => {
    const tokens = fc.integer({ min: 0, max: 300_000 })
    fc.assert(
      fc.property(fc.array(tokens), tokens, tokens, (seen, written, max) => {
        const left = lengthsOf(...seen).residual(written, max)
        expect(left).toBeGreaterThanOrEqual(0)
        expect(left).toBeLessThanOrEqual(Math.max(0, max - written) + 1e-6)
      }),
    )
  })
})
