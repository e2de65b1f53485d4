import { describe, expect, it } from 'vitest'
import { RetryBudget } from '../../src/proxy/retry.ts'

const settings = { furtherAttemptsMax: 2, budgetShare: 0.2, budgetFloor: 3 }

function spendAll(budget: RetryBudget, nowMs: number): number {
  let spent = 0
  while (budget.spend(nowMs)) spent++
  return spent
}

describe('the retry budget', () => {
  it('gives a fifth of the traffic once what it began with is spent', () => {
    const budget = new RetryBudget(settings, 0)
    spendAll(budget, 0)
    let spent = 0
    for (let each = 0; each < 1_000; each++) {
      budget.earn()
      if (budget.spend(0)) spent++
    }
    expect(spent).toBeGreaterThanOrEqual(199)
    expect(spent).toBeLessThanOrEqual(200)
  })

  it('gives its floor to a quiet proxy, in time', () => {
    const budget = new RetryBudget(settings, 0)
    spendAll(budget, 0)
    expect(spendAll(budget, 3_000)).toBe(0)
    expect(spendAll(budget, 13_400)).toBe(4)
  })

  it('saves no more than a burst needs, however long the peace', () => {
    const budget = new RetryBudget(settings, 0)
    for (let each = 0; each < 10_000; each++) budget.earn()
    expect(spendAll(budget, 86_400_000)).toBe(13)
  })
})
