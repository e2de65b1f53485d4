import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ProgressLine, progressMerger } from '../../src/dialects/progress.ts'

const layer = (digest: string, total: number, completed?: number) => ({
  status: `pulling ${digest}`,
  digest,
  total,
  ...(completed === undefined ? {} : { completed }),
})
const says = (status: string) => ({ status })

describe('progress of several backends', () => {
  it('is one stream: each step once, bars with the slowest, success once and last', () => {
    const merger = progressMerger(['a', 'b'])
    const lines: ProgressLine[] = []
    const feed = (target: string, line: object) => lines.push(...merger.feed(target, line))
    feed('a', says('pulling manifest'))
    feed('b', says('pulling manifest'))
    feed('a', layer('l1', 100))
    feed('b', layer('l1', 100))
    feed('a', layer('l1', 100, 80))
    feed('b', layer('l1', 100, 30))
    feed('a', says('verifying sha256 digest'))
    feed('a', says('writing manifest'))
    feed('a', says('success'))
    feed('b', layer('l1', 100, 90))
    feed('b', says('verifying sha256 digest'))
    feed('b', says('writing manifest'))
    expect(merger.finished).toBe(false)
    feed('b', says('success'))
    expect(lines).toEqual([
      says('pulling manifest'),
      layer('l1', 100),
      layer('l1', 100, 30),
      layer('l1', 100, 90),
      says('verifying sha256 digest'),
      says('writing manifest'),
      layer('l1', 100, 100),
      says('success'),
    ])
    expect(merger.finished).toBe(true)
    expect(merger.last()).toEqual(says('success'))
  })

  it('ends in an error that names the backend when one fails that must not', () => {
    const merger = progressMerger(['a', 'b'])
    expect(merger.feed('b', { error: 'disk full' })).toEqual([{ error: 'b: disk full' }])
    expect(merger.feed('a', says('success'))).toEqual([])
    expect(merger.last()).toEqual({ error: 'b: disk full' })
  })

  it('goes on without one that may fail, and remembers why it did', () => {
    const merger = progressMerger(['a', 'b'], { mandatory: ['a'] })
    merger.feed('b', layer('l1', 10, 1))
    expect(merger.fail('b', 'gone')).toEqual([])
    expect(merger.feed('a', layer('l1', 10, 5))).toEqual([layer('l1', 10, 5)])
    expect(merger.feed('a', says('success')).at(-1)).toEqual(says('success'))
    expect([...merger.failures]).toEqual([['b', 'gone']])
  })

  it('ends in an error when all fail', () => {
    const merger = progressMerger(['a', 'b'], { mandatory: [] })
    merger.fail('a', 'gone')
    expect(merger.fail('b', 'lost')).toEqual([{ error: 'b: lost' }])
  })

  it('ends once and last, with bars that never go back, whatever the backends say', () => {
    const line = fc.oneof(
      fc.anything(),
      fc.constantFrom('pulling manifest', 'writing manifest', 'success', 'odd').map(says),
      fc
        .tuple(fc.constantFrom('l1', 'l2'), fc.nat({ max: 50 }), fc.nat({ max: 60 }))
        .map(([digest, total, completed]) => layer(digest, total, completed)),
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), line)), (events) => {
        const merger = progressMerger(['a', 'b', 'c'])
        const lines = events.flatMap(([target, event]) => merger.feed(target, event))
        for (const target of ['a', 'b', 'c']) lines.push(...merger.feed(target, says('success')))
        const ends = lines.filter((one) => one['status'] === 'success' || 'error' in one)
        expect(ends).toEqual([lines.at(-1)])
        const bars = new Map<unknown, ProgressLine>()
        for (const one of lines) {
          if (one['digest'] === undefined) continue
          const before = bars.get(one['digest'])
          if (before?.['total'] !== undefined) expect(one['total']).toBe(before['total'])
          expect(Number(one['completed'] ?? 0)).toBeGreaterThanOrEqual(
            Number(before?.['completed'] ?? 0),
          )
          bars.set(one['digest'], one)
        }
      }),
    )
  })
})
