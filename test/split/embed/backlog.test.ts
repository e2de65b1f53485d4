import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Backlog, partOf } from '../../../src/split/embed/backlog.ts'
import { evenWeights, memberOf } from './batch-help.ts'

const backlogOf = (items: number) => new Backlog(items, evenWeights(items))
const [a, b] = [memberOf('a'), memberOf('b')]

describe('what nobody has', () => {
  it('is cut from its beginning until nothing is left', () => {
    const backlog = backlogOf(20)
    expect(backlog.left).toEqual({ from: 0, to: 20, weight: 2_000 })
    expect(backlog.cut(15)).toEqual(partOf(0, 15))
    expect(backlog.left).toEqual({ from: 15, to: 20, weight: 500 })
    expect(backlog.cut(20)).toEqual(partOf(15, 20))
    expect([backlog.left, backlog.isCutUp, backlog.isEmpty]).toEqual([undefined, true, true])
  })

  it('gives few items where only a speed is to be shown, and what came back before anything new', () => {
    const backlog = backlogOf(11)
    const first = backlog.takeAny()!
    expect(first).toEqual(partOf(0, 8))
    backlog.giveBack(first)
    expect(backlog.takeAny()).toBe(first)
    expect(backlog.takeAny()).toEqual(partOf(8, 11))
    expect(backlog.takeAny()).toBeUndefined()
  })

  it('ends where the items are not wanted any more', () => {
    const backlog = backlogOf(30)
    const parts = [backlog.cut(10), backlog.cut(20)]
    for (const part of parts) backlog.giveBack(part)
    backlog.dropFrom(10)
    expect(backlog.isCutUp).toBe(true)
    expect([backlog.takeAny(), backlog.takeAny()]).toEqual([parts[0], undefined])
  })

  it('is every item once, however it is cut', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 60, maxLength: 60 }),
        (items, sizes) => {
          const backlog = backlogOf(items)
          const seen: number[] = []
          for (const size of sizes) {
            const { left } = backlog
            if (!left) break
            const { from, to } = backlog.cut(Math.min(left.to, left.from + size))
            for (let item = from; item < to; item++) seen.push(item)
          }
          expect(seen).toEqual([...Array(items).keys()])
        },
      ),
    )
  })
})

describe('a part that came back', () => {
  it('is not for who failed it, while somebody else is willing', () => {
    const backlog = backlogOf(10)
    const part = backlog.cut(10)
    part.failedAt.add('a')
    backlog.giveBack(part)
    expect(backlog.isEmpty).toBe(false)
    expect(backlog.takeReturned(a, [a, b])).toBeUndefined()
    expect(backlog.takeReturned(b, [a, b])).toBe(part)
    expect(backlog.isEmpty).toBe(true)
  })

  it('is for anybody when all who are willing have failed it', () => {
    const backlog = backlogOf(10)
    const part = backlog.cut(10)
    part.failedAt.add('a')
    backlog.giveBack(part)
    expect(backlog.takeReturned(a, [a])).toBe(part)
  })
})
