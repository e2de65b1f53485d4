import { describe, expect, it } from 'vitest'
import { Kept, KeptBudget } from '../../src/proxy/kept.ts'

const mebibyte = 1_048_576

describe('what is kept of an answer', () => {
  it('is what was given, in one piece', () => {
    const kept = new Kept(new KeptBudget())
    const pieces = Array.from({ length: 500 }, (_, index) => `piece ${index} é\n`)
    for (const piece of pieces) kept.add(Buffer.from(piece))
    expect(kept.frames?.toString()).toBe(pieces.join(''))
  })

  it('is nothing once it would be more than a mebibyte', () => {
    const budget = new KeptBudget()
    const kept = new Kept(budget)
    kept.add(Buffer.alloc(mebibyte))
    expect(kept.isWhole).toBe(true)
    kept.add(Buffer.from('x'))
    expect([kept.isWhole, kept.frames, budget.bytes]).toEqual([false, undefined, 0])
    kept.add(Buffer.from('y'))
    expect(budget.bytes).toBe(0)
  })

  it('takes no more than the budget of all, and gives its share back', () => {
    const budget = new KeptBudget(3 * mebibyte)
    const all = Array.from({ length: 10 }, () => new Kept(budget))
    for (const kept of all) kept.add(Buffer.alloc(mebibyte))
    expect(all.filter(({ isWhole }) => isWhole)).toHaveLength(3)
    expect(budget.bytes).toBe(3 * mebibyte)
    for (const kept of all) kept[Symbol.dispose]()
    for (const kept of all) kept[Symbol.dispose]()
    expect(budget.bytes).toBe(0)
  })
})
