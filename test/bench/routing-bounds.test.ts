import { describe, expect, it } from 'vitest'
import { pooledMeanMs } from '../../bench/routing/bounds.ts'
import { intervalOf } from '../../bench/routing/interval.ts'
import { jainOf } from '../../bench/routing/scenarios/b5.ts'

describe('what the study measures with', () => {
  it('gives the mean of a pooled server that always does the shortest', () => {
    // The long one begins, is put aside at 10 for the short one (done at 15), and ends at 105.
    expect(pooledMeanMs([0, 10], [100, 5], 1)).toBeCloseTo((105 + 5) / 2)
    expect(pooledMeanMs([0, 10], [100, 5], 2)).toBeCloseTo((52.5 + 2.5) / 2)
    expect(pooledMeanMs([0, 1_000], [10, 10], 1)).toBeCloseTo(10)
  })

  it('gives a median with an interval around it, and nothing of nothing', () => {
    const { median, low, high } = intervalOf([1, 2, 3, 4, 100])
    expect(median).toBe(3)
    expect(low).toBeGreaterThanOrEqual(1)
    expect(low).toBeLessThan(3)
    expect(high).toBeGreaterThan(3)
    expect(intervalOf([7])).toEqual({ median: 7, low: 7, high: 7 })
    expect(intervalOf([Number.NaN]).median).toBeNaN()
  })

  it('knows an even share from one that has it all', () => {
    expect(jainOf([2, 2, 2, 2])).toBeCloseTo(1)
    expect(jainOf([1, 0, 0, 0])).toBeCloseTo(0.25)
  })
})
