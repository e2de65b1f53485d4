import { describe, expect, it } from 'vitest'
import { SwapBudget } from '../../../src/routing/residency/budget.ts'

const fixed = () => new SwapBudget({ share: 0.05, adaptive: false })

describe('the budget of swaps', () => {
  it('lets as many seconds be spent as were saved, and makes each further load twice as dear', () => {
    const budget = fixed()
    for (let each = 0; each < 3; each++) {
      expect(budget.dearness('h', 10, 0.5, 0)).toBe(1)
      budget.spent('h', 10, 0.5, 0)
    }
    expect(budget.dearness('h', 10, 0.5, 0)).toBeCloseTo(2, 5)
    budget.spent('h', 10, 0.5, 0)
    expect(budget.dearness('h', 10, 0.5, 0)).toBeCloseTo(4, 5)
    // A twentieth of 400 s is two loads.
    expect(budget.dearness('h', 10, 0.5, 400_000)).toBe(1)
    expect(budget.dearness('other', 10, 0.5, 0)).toBe(1)
  })

  it('saves more on a calm fleet than on a full one', () => {
    const dearAt = (load: number) => {
      const budget = new SwapBudget({ share: 0.05, adaptive: true })
      for (let each = 0; each < 6; each++) budget.spent('h', 10, load, 0)
      return budget.dearness('h', 10, load, 300_000)
    }
    expect(dearAt(0.4)).toBeLessThan(dearAt(0.95))
  })

  it('brakes when loads took a tenth of the last minute of all machines, and not for a few loads of a small fleet', () => {
    const budget = fixed()
    for (let each = 0; each < 3; each++) budget.spent('h', 20, 0.5, each)
    expect(budget.isBraked(2, 1_000)).toBe(false)
    budget.spent('h', 20, 0.5, 1_000)
    expect(budget.isBraked(2, 1_000)).toBe(true)
    expect(budget.isBraked(20, 1_000)).toBe(false)
    expect(budget.isBraked(2, 62_000)).toBe(false)
  })
})
