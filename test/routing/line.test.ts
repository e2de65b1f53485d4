import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isPriority, Line, type Priority, priorities, type Waiter } from '../../src/routing/line.ts'

interface Named extends Waiter {
  readonly name: string
}

const same = { model: 'm', key: 'm', deadlineMs: undefined, sinceMs: 0 }
const words: Record<string, Priority> = { i: 'interactive', n: 'normal', b: 'batch' }

/** `x2b` is the second of tenant x, of priority batch. */
function lineOf(text: string, acrossTenants: boolean): Line<Named> {
  const line = new Line<Named>(acrossTenants)
  for (const name of text.split(' '))
    line.join({ ...same, name, tenant: name[0]!, priority: words[name[2]!]! })
  return line
}

const orderOf = (line: Line<Named>, nowMs = 0) =>
  [...line.inOrder(nowMs)].map(({ name }) => name).join(' ')

/** The first one is served, and its tenant charged. */
function serveNext(line: Line<Named>, nowMs = 0): string {
  const [first] = line.inOrder(nowMs)
  line.served(first!)
  line.shares.charge(first!.tenant, first!.serviceS ?? 1, nowMs)
  return first!.name
}

describe('the line', () => {
  it.each([
    ['keeps arrival among equals', 'x1n y1n x2n', 'x1n y1n x2n', 'x1n y1n x2n'],
    ['lets tenants take turns', 'x1n x2n x3n y1n', 'x1n y1n x2n x3n', 'x1n y1n x2n x3n'],
    ['puts batch behind everybody', 'x1b y1n x2n', 'y1n x2n x1b', 'y1n x2n x1b'],
    ['lets a tenant swap its own turns only', 'x1n y1n x2i', 'x2i y1n x1n', 'x2i y1n x1n'],
    ['lifts nobody over others without leave', 'x1n y1i', 'x1n y1i', 'y1i x1n'],
    ['keeps arrival within a band', 'x1i y1i x2i', 'x1i y1i x2i', 'x1i y1i x2i'],
    ['sorts three of one tenant', 'x1b x2n x3i', 'x3i x2n x1b', 'x3i x2n x1b'],
  ])('%s', (_, joined, within, across) => {
    expect(orderOf(lineOf(joined, false))).toBe(within)
    expect(orderOf(lineOf(joined, true))).toBe(across)
  })

  it('puts batch work that has begun before the rest of it and behind everybody else, whoever has least', () => {
    const line = lineOf('x1b x2n', false)
    line.join({ ...same, name: 'y1b', tenant: 'y', priority: 'batch', hasBegun: true })
    line.shares.charge('y', 100, 0)
    expect(orderOf(line)).toBe('x2n y1b x1b')
    // Who has half an answer makes no room for others.
    expect(line.lastInPlace()?.name).toBe('x1b')
    line.leave(line.lastInPlace()!)
    expect(line.lastInPlace()).toBeUndefined()
    expect(line.byPriority()).toEqual({ interactive: 0, normal: 1, batch: 1 })
  })

  it('knows its priorities', () => {
    expect(['interactive', 'urgent', ''].map(isPriority)).toEqual([true, false, false])
  })

  it('gives the next turn to the tenant that was given least, however urgent the others call theirs', () => {
    const line = lineOf('x1n y1n', false)
    const served: string[] = []
    for (let each = 2; each < 6; each++) {
      const waiter = { ...same, name: `x${each}i`, tenant: 'x', priority: 'interactive' } as const
      line.join(waiter)
      served.push(serveNext(line))
    }
    expect(served).toEqual(['x2i', 'y1n', 'x3i', 'x4i'])
    expect(orderOf(line)).toBe('x5i x1n')
    expect(line.oldestSinceMs()).toBe(0)
    expect([...line.waiters()].map(({ name }) => name)).toEqual(['x1n', 'x5i'])
  })

  it('counts turns in seconds of work, not in requests', () => {
    const line = new Line<Named>(false)
    for (let each = 1; each <= 2; each++)
      line.join({ ...same, name: `x${each}`, tenant: 'x', priority: 'normal', serviceS: 4 })
    for (let each = 1; each <= 5; each++)
      line.join({ ...same, name: `y${each}`, tenant: 'y', priority: 'normal', serviceS: 1 })
    expect(orderOf(line)).toBe('x1 y1 y2 y3 y4 x2 y5')
  })

  it('lets an idle tenant save nothing up, and forgets what it was given by halves', () => {
    const line = lineOf('x1n y1n', false)
    line.shares.charge('x', 8, 0)
    line.shares.charge('y', 3, 60_000)
    expect(line.shares.of('x', 60_000)).toBe(4)
    expect(line.shares.of('z', 60_000)).toBe(0)
    expect(orderOf(line, 60_000)).toBe('y1n x1n')
  })

  it('lets a short one go before a long one, until that has waited long for its size', () => {
    const line = new Line<Named>(false)
    const of = { ...same, tenant: 'x', priority: 'normal' } as const
    line.join({ ...of, name: 'long', serviceS: 16 })
    line.join({ ...of, name: 'short', serviceS: 0.5, sinceMs: 4_000 })
    expect(orderOf(line, 4_000)).toBe('short long')
    line.join({ ...of, name: 'late', serviceS: 8, sinceMs: 100_000 })
    expect(orderOf(line, 100_000)).toBe('short long late')
    const byArrival = new Line<Named>(false, { shortFirst: false })
    byArrival.join({ ...of, name: 'long', serviceS: 16 })
    byArrival.join({ ...of, name: 'short', serviceS: 0.5 })
    expect(orderOf(byArrival)).toBe('long short')
  })

  // Parts of a run that waited before anything was learned were taken for long ones; later parts, known to be short,
  // overtook them for a minute, and the answer, which is let out in order, stood still.
  it('serves batch work in the order of its arrival, whatever its size is thought to be', () => {
    const line = new Line<Named>(false)
    const of = { ...same, tenant: 'x', priority: 'batch' } as const
    line.join({ ...of, name: 'unknown', serviceS: 7 })
    line.join({ ...of, name: 'short', serviceS: 0.1, sinceMs: 50 })
    line.join({ ...of, name: 'shorter', serviceS: 0.01, sinceMs: 90 })
    expect(orderOf(line, 100)).toBe('unknown short shorter')
    line.join({ ...of, name: 'urgent', serviceS: 1, deadlineMs: 3_000 })
    expect(orderOf(line, 100)).toBe('urgent unknown short shorter')
  })

  it('lets the nearest deadline go first once it is near', () => {
    const line = new Line<Named>(false)
    const of = { ...same, tenant: 'x', priority: 'normal' } as const
    line.join({ ...of, name: 'any' })
    line.join({ ...of, name: 'later', deadlineMs: 60_000 })
    line.join({ ...of, name: 'soon', deadlineMs: 30_000 })
    expect(orderOf(line)).toBe('any later soon')
    expect(orderOf(line, 26_000)).toBe('soon any later')
    expect(orderOf(line, 56_000)).toBe('soon later any')
  })

  it('lets whoever is overdue go first at every tenth start, and only then', () => {
    const line = lineOf('x1b', false)
    for (let each = 0; each < 30; each++)
      line.join({ ...same, name: `y${each}`, tenant: 'y', priority: 'normal', sinceMs: 299_999 })
    const before = Array.from({ length: 9 }, () => serveNext(line, 300_001))
    expect(before).not.toContain('x1b')
    expect(serveNext(line, 300_001)).toBe('x1b')
    expect(serveNext(line, 300_001)).toBe('y9')
  })

  it('follows a reload that lets priorities count against everybody', () => {
    const line = lineOf('x1n y1i', false)
    line.orderAcrossTenants(true)
    expect(orderOf(line)).toBe('y1i x1n')
    line.orderAcrossTenants(false)
    expect(orderOf(line)).toBe('x1n y1i')
  })

  it('knows how many wait for a model, and how long together', () => {
    const line = lineOf('x1n y1n', false)
    line.join({
      ...same,
      model: 'n',
      key: 'k',
      name: 'z',
      tenant: 'z',
      priority: 'batch',
      sinceMs: 50,
    })
    expect([line.countOf('m'), line.countOf('n'), line.keys]).toEqual([2, 1, 2])
    expect([line.waitedMsOf('m', 100), line.waitedMsOf('n', 100)]).toEqual([200, 50])
    expect([line.countOfTenant('x'), line.countOfTenant('w')]).toEqual([1, 0])
  })

  it('knows how many go before a newcomer: of others as many as will have had a turn, and none of a later band', () => {
    const line = lineOf('g1n g2n g3n g4n y1n z1b z2b x1n', false)
    expect(line.aheadOf('new', 'normal')).toBe(3)
    expect(line.aheadOf('x', 'normal')).toBe(4)
    expect(line.aheadOf('g', 'normal')).toBe(6)
    expect(line.aheadOf('new', 'batch')).toBe(7)
    const across = lineOf('g1n g2n g3n y1i', true)
    expect(across.aheadOf('new', 'interactive')).toBe(1)
    expect(across.aheadOf('new', 'normal')).toBe(2)
  })

  it('passes over whom nothing is free for, and counts no turn against their tenant', () => {
    const line = lineOf('x1n x2n y1n', false)
    const [first] = line.inOrder(0)
    line.rekey(first!, () => Object.assign(first!, { key: 'k' }))
    const kinds = () => [...line.oneOfEach()].map(({ key }) => key)
    expect([kinds(), line.keys]).toEqual([['m', 'k'], 2])
    const names = (...passed: string[]) =>
      [...line.inOrder(70_000, new Set(passed))].map(({ name }) => name).join(' ')
    expect(names()).toBe('x1n y1n x2n')
    expect(names('k')).toBe('x2n y1n')
    expect(names('m')).toBe('x1n')
    // Where the overdue come first as well.
    for (let each = 0; each < 9; each++) {
      const waiter = { ...same, name: `z${each}`, tenant: 'z', priority: 'normal' } as const
      line.join(waiter)
      line.served(waiter)
    }
    expect(names('k')).toBe('x2n y1n')
    line.leave(first!)
    expect([kinds(), line.keys]).toEqual([['m'], 1])
  })

  const steps = fc.array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          tenant: fc.constantFrom('x', 'y', 'z'),
          priority: fc.constantFrom(...priorities),
          serviceS: fc.constantFrom(0.1, 1, 30),
          deadlineMs: fc.option(fc.integer({ min: 0, max: 400_000 }), { nil: undefined }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ leave: fc.nat(50) }) },
      { weight: 1, arbitrary: fc.record({ pass: fc.integer({ min: 1, max: 100_000 }) }) },
      { weight: 2, arbitrary: fc.constant('serve' as const) },
    ),
    { maxLength: 80, size: 'max' },
  )

  it('has everybody who waits exactly once, whoever comes, leaves, is lifted or served', () => {
    fc.assert(
      fc.property(steps, fc.boolean(), (given, across) => {
        const line = new Line<Named>(across)
        const here = new Set<Named>()
        let nowMs = 0
        for (const [at, step] of given.entries()) {
          if (step === 'serve') {
            for (const first of line.inOrder(nowMs)) {
              line.served(first)
              here.delete(first)
              line.shares.charge(first.tenant, first.serviceS!, nowMs)
              break
            }
          } else if ('pass' in step) nowMs += step.pass
          else if ('leave' in step) {
            const waiter = [...here][step.leave % Math.max(1, here.size)]
            if (!waiter) continue
            expect(line.leave(waiter)).toBe(true)
            expect(line.leave(waiter)).toBe(false)
            here.delete(waiter)
          } else {
            const waiter = { ...same, ...step, name: `${at}`, sinceMs: nowMs }
            line.join(waiter)
            here.add(waiter)
          }
          const order = [...line.inOrder(nowMs)]
          expect(order).toHaveLength(here.size)
          expect(new Set(order)).toEqual(here)
          for (const priority of priorities)
            expect(line.byPriority()[priority]).toBe(
              [...here].filter((each) => each.priority === priority).length,
            )
        }
      }),
      { numRuns: 60 },
    )
  })

  it('passes nobody over for ever, whoever keeps coming', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...priorities),
        fc.constantFrom(0.1, 1, 60),
        fc.array(
          fc.record({
            tenant: fc.constantFrom('x', 'y'),
            priority: fc.constantFrom<Priority>('interactive', 'normal'),
            serviceS: fc.constantFrom(0.1, 1, 60),
          }),
          { minLength: 1, maxLength: 5 },
        ),
        (priority, serviceS, others) => {
          const line = new Line<Named>(false)
          line.join({ ...same, name: 'poor', tenant: 'x', priority, serviceS })
          let nowMs = 0
          for (let round = 0; ; round++) {
            // One is served a second, and two come.
            for (let each = 0; each < 2; each++) {
              const other = others[(round + each) % others.length]!
              line.join({ ...same, ...other, name: 'other', sinceMs: nowMs })
            }
            if (serveNext(line, nowMs) === 'poor') break
            nowMs += 1_000
            expect(round).toBeLessThan(3_000)
          }
        },
      ),
      { numRuns: 30 },
    )
  })
})
