import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isPriority, Line, type Priority, priorities, type Waiter } from '../../src/routing/line.ts'

interface Named extends Waiter {
  readonly name: string
}

/** `x2b` is the second of tenant x, of priority batch. */
function lineOf(text: string, acrossTenants: boolean): Line<Named> {
  const line = new Line<Named>(acrossTenants)
  const words: Record<string, Priority> = { i: 'interactive', n: 'normal', b: 'batch' }
  for (const name of text.split(' '))
    line.join({ name, tenant: name[0]!, priority: words[name[2]!]!, sinceMs: 0 })
  return line
}

const orderOf = (line: Line<Named>) =>
  line
    .inOrder()
    .map(({ name }) => name)
    .join(' ')

describe('the line', () => {
  it.each([
    ['keeps arrival among equals', 'x1n y1n x2n', 'x1n y1n x2n', 'x1n y1n x2n'],
    ['puts batch behind everybody', 'x1b y1n x2n', 'y1n x2n x1b', 'y1n x2n x1b'],
    ['lets a tenant swap its own places only', 'x1n y1n x2i', 'x2i y1n x1n', 'x2i x1n y1n'],
    ['lifts nobody over others without leave', 'x1n y1i', 'x1n y1i', 'y1i x1n'],
    ['keeps arrival within a band', 'x1i y1i x2i', 'x1i y1i x2i', 'x1i y1i x2i'],
    ['sorts three of one tenant', 'x1b x2n x3i', 'x3i x2n x1b', 'x3i x2n x1b'],
  ])('%s', (_, joined, within, across) => {
    expect(orderOf(lineOf(joined, false))).toBe(within)
    expect(orderOf(lineOf(joined, true))).toBe(across)
  })

  it('knows its priorities', () => {
    expect(['interactive', 'urgent', ''].map(isPriority)).toEqual([true, false, false])
  })

  it('uses a place up once, whoever of its tenant stood in it', () => {
    const line = lineOf('x1n y1n', false)
    const served: string[] = []
    for (let each = 2; each < 6; each++) {
      line.join({ name: `x${each}i`, tenant: 'x', priority: 'interactive', sinceMs: 0 })
      const [first] = line.inOrder()
      line.served(first!)
      served.push(first!.name)
    }
    expect(served).toEqual(['x2i', 'y1n', 'x3i', 'x4i'])
    expect(orderOf(line)).toBe('x5i x1n')
    expect(line.oldestSinceMs()).toBe(0)
    expect([...line.waiters()].map(({ name }) => name)).toEqual(['x1n', 'x5i'])
  })

  // Serving an interactive request once gave its own late place to the tenant's oldest request, so two normal ones
  // changed sides; whoever was served next then used up the wrong place, and another tenant fell behind.
  it('leaves a tenant in the order of its arrival when one of its own went first', () => {
    const line = lineOf('x1n x2n y1n x3i', false)
    line.served(line.inOrder()[0]!)
    expect(orderOf(line)).toBe('x1n y1n x2n')
    line.served(line.inOrder()[0]!)
    expect(orderOf(line)).toBe('y1n x2n')
  })

  it('holds nobody up by the priorities of another tenant, whoever is served', () => {
    const step = fc.oneof(
      fc.record({
        tenant: fc.constantFrom('x', 'y', 'z'),
        priority: fc.constantFrom<Priority>('interactive', 'normal'),
      }),
      fc.nat(20),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const line = new Line<Named>(false)
        /** Whose turn it is, place by place, if nobody had priorities. */
        const turns: string[] = []
        for (const each of steps) {
          if (typeof each === 'number') {
            const at = each % Math.max(1, line.size)
            const served = line.inOrder()[at]
            if (served) expect(line.served(served)).toBe(true)
            turns.splice(at, 1)
          } else {
            line.join({ ...each, name: '', sinceMs: 0 })
            turns.push(each.tenant)
          }
          expect(line.inOrder().map(({ tenant }) => tenant)).toEqual(turns)
        }
      }),
    )
  })

  const waiters = fc.array(
    fc.record({
      tenant: fc.constantFrom('x', 'y', 'z'),
      priority: fc.constantFrom(...priorities),
      stays: fc.boolean(),
    }),
    { maxLength: 30, size: 'max' },
  )

  it('has each waiter once, and serves a tenant by priority, then arrival', () => {
    fc.assert(
      fc.property(waiters, fc.boolean(), (given, across) => {
        const line = new Line<Named>(across)
        const all = given.map((each, index) => ({ ...each, name: `${index}`, sinceMs: index }))
        for (const each of all) line.join(each)
        for (const each of all) if (!each.stays) expect(line.leave(each)).toBe(true)
        for (const each of all) if (!each.stays) expect(line.leave(each)).toBe(false)
        const staying = all.filter(({ stays }) => stays)
        const order = line.inOrder()
        expect(new Set(order)).toEqual(new Set(staying))
        expect(order).toHaveLength(staying.length)
        expect([line.size, line.oldestSinceMs()]).toEqual([staying.length, staying[0]?.sinceMs])
        for (const priority of priorities)
          expect(line.byPriority()[priority]).toBe(
            staying.filter((each) => each.priority === priority).length,
          )
        const rank = ({ priority, sinceMs }: Named) =>
          priorities.indexOf(priority) * 1_000 + sinceMs
        for (const tenant of ['x', 'y', 'z']) {
          const own = order.filter((each) => each.tenant === tenant).map(rank)
          expect(own).toEqual([...own].sort((a, b) => a - b))
        }
        if (across) {
          const ranks = order.map(rank)
          expect(ranks).toEqual([...ranks].sort((a, b) => a - b))
        } else {
          // Nobody who is not batch stands behind where it came because of another tenant's priority.
          const held = staying.filter(({ priority }) => priority !== 'batch')
          const band = order.filter(({ priority }) => priority !== 'batch')
          expect(band.map(({ tenant }) => tenant)).toEqual(held.map(({ tenant }) => tenant))
        }
      }),
    )
  })
})
