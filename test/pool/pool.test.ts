import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Outcome } from '../../src/core/outcome.ts'
import type { Endpoint } from '../../src/pool/endpoint.ts'
import type { Lease } from '../../src/pool/lease.ts'
import { handClock } from '../help/clock.ts'
import { backendOf, breakerSettings, figuresOf, makeReady, poolOf, ps, tags } from './help.ts'

describe('a pool that is given its backends anew', () => {
  it('keeps who stays, with everything that is held there', () => {
    const pool = poolOf([backendOf('a'), backendOf('b')])
    const [a, b] = pool.endpoints
    const lease = a?.take('m:latest', { seat: true, asTry: false })
    const { added, removed } = pool.reconcile([backendOf('c'), backendOf('a', { weight: 5 })])
    expect(pool.endpoints.map(({ name }) => name)).toEqual(['c', 'a'])
    expect([added.map(({ name }) => name), removed]).toEqual([['c'], [b]])
    expect(pool.endpoint('a')).toBe(a)
    expect(a).toMatchObject({ weight: 5, inFlight: 1, ready: true })
    lease?.settle({ kind: 'answered', status: 200 })
    expect(a?.inFlight).toBe(0)
  })

  it.each([
    ['address', { origin: 'http://elsewhere.test:11434' }],
    ['path', { pathPrefix: '/gpu1' }],
    ['login', { headers: { authorization: 'Basic x' } }],
  ])('takes another %s for another server, which the operator has still drained', (_, more) => {
    const pool = poolOf([backendOf('a'), backendOf('b')])
    const [a, b] = pool.endpoints
    pool.setEnabled(a!, false)
    pool.reconcile([backendOf('a', more), backendOf('b', more)])
    expect(pool.endpoint('a')).not.toBe(a)
    expect(pool.endpoint('a')).toMatchObject({ enabled: false, ready: false })
    expect(pool.endpoint('b')).toMatchObject({ enabled: true, ready: false })
    expect(b?.enabled).toBe(false)
  })
})

describe('an endpoint that is taken out while something runs there', () => {
  it('takes nothing new, and is gone when the last has ended', () => {
    const turned: string[] = []
    const backendTurned = (...words: string[]) => void turned.push(words.join(' '))
    const pool = poolOf([backendOf('a', { slots: 2 }), backendOf('b')], {
      observer: { backendTurned },
    })
    const a = pool.endpoint('a')!
    const leases = [1, 2].map(() => a.take('m:latest', { seat: true, asTry: false })!)
    pool.reconcile([])
    expect([pool.endpoints, [...pool.leaving], a.enabled]).toEqual([[], [a], false])
    leases[0]!.settle({ kind: 'answered', status: 200 })
    expect([...pool.leaving]).toEqual([a])
    leases[1]!.settle({ kind: 'answered', status: 200 })
    expect([...pool.leaving]).toEqual([])
    expect(turned).toEqual(['a gone removed by a reload'])
  })

  it('is judged by the breaker of now, as everybody is', () => {
    const pool = poolOf([backendOf('a')])
    const a = pool.endpoint('a')!
    pool.judgeBy({ ...breakerSettings, failuresInRow: 1 })
    a.judge('m:latest', { kind: 'unreachable', text: 'refused' }, 'bad')
    expect(a.admitting).toBe(false)
  })
})

describe('weights that differ under one name', () => {
  const fleet = (...held: [digest: string, modified_at?: string][]) => {
    const pool = poolOf(held.map((_, index) => backendOf(`b${index}`)))
    held.forEach(([digest, modified_at], index) => {
      makeReady(pool.endpoints[index]!, [
        { name: 'm', digest, ...(modified_at === undefined ? {} : { modified_at }) },
      ])
    })
    pool.learned()
    return pool
  }

  it.each<[string, [string, string?][], string | undefined]>([
    ['need no choice when all agree', [['x'], ['x']], undefined],
    ['serve by majority', [['x'], ['y'], ['x']], 'x'],
    [
      'serve by majority, however new the minority is',
      [['x'], ['y', '2030-01-01T00:00:00Z'], ['x']],
      'x',
    ],
    [
      'serve the newest on a tie',
      [
        ['x', '2026-01-01T00:00:00Z'],
        ['y', '2026-01-02T00:00:00Z'],
      ],
      'y',
    ],
    [
      'compare dates as moments, not as texts',
      [
        ['x', '2026-01-01T23:00:00-08:00'],
        ['y', '2026-01-02T01:00:00+02:00'],
      ],
      'x',
    ],
    [
      'serve the smaller digest when nothing else tells',
      [
        ['y', 'never'],
        ['x', 'long ago'],
      ],
      'x',
    ],
  ])('%s', (_, held, serving) => {
    expect(fleet(...held).servingDigest('m:latest')).toBe(serving)
  })

  it('are counted at those who can serve now', () => {
    const pool = fleet(['x'], ['y'], ['x'])
    pool.setEnabled(pool.endpoints[0]!, false)
    const [, , third] = pool.endpoints
    third!.health = { ...third!.health, state: 'away' }
    pool.learned()
    expect(pool.servingDigest('m:latest')).toBeUndefined()
    expect(pool.holders('m:latest')).toHaveLength(3)
  })
})

const outcomes: readonly Outcome[] = [
  { kind: 'answered', status: 200 },
  { kind: 'refused', status: 500, why: 'crashed', text: '' },
  { kind: 'refused', status: 503, why: 'busy', text: '' },
  { kind: 'unreachable', text: '' },
  { kind: 'timedOut', limit: 'idle', text: '' },
  { kind: 'brokeOff', afterFirstByte: true, reusedSocket: false, text: '' },
  { kind: 'clientLeft' },
]

describe('seats', () => {
  const models = ['m', 'n', 'all-minilm']
  const slotsAny = fc.oneof(
    fc.constant(undefined),
    fc.integer({ min: 1, max: 3 }),
    fc.integer({ min: 1, max: 3 }).map((count) => new Map([['m:latest', count]])),
  )
  const backendAny = fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    slots: slotsAny,
    slotsTotal: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
    moved: fc.boolean(),
  })
  const fleetAny = fc
    .uniqueArray(backendAny, { selector: ({ name }) => name, minLength: 1 })
    .map((backends) =>
      backends.map(({ name, moved, ...more }) =>
        backendOf(name, { ...more, origin: moved ? 'http://new.test' : 'http://old.test' }),
      ),
    )
  const stepAny = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        act: fc.constant('take' as const),
        which: fc.nat(2),
        model: fc.constantFrom(
          'm:latest',
          'n:latest',
          'alias:latest',
          'all-minilm:latest',
          'x:cloud',
        ),
        seat: fc.boolean(),
        asTry: fc.boolean(),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        act: fc.constant('settle' as const),
        which: fc.nat(20),
        outcome: fc.constantFrom(...outcomes),
        hiddenMs: fc.nat(500),
        again: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('reload' as const), fleet: fleetAny }) },
    {
      weight: 1,
      arbitrary: fc.record({
        act: fc.constant('list' as const),
        which: fc.nat(2),
        models: fc.subarray(['m', 'n', 'alias', 'all-minilm']),
        newDigest: fc.boolean(),
      }),
    },
    { weight: 1, arbitrary: fc.record({ act: fc.constant('back' as const), which: fc.nat(2) }) },
    { weight: 3, arbitrary: fc.record({ act: fc.constant('pass' as const), ms: fc.nat(3_000) }) },
  )

  it('are never exceeded and always come back, whatever order things happen in', () => {
    fc.assert(
      fc.property(fleetAny, fc.array(stepAny, { maxLength: 120, size: 'max' }), (fleet, steps) => {
        const clock = handClock()
        const pool = poolOf(fleet, { clock, models })
        const seen = new Set<Endpoint>(pool.endpoints)
        const held: Lease[] = []
        const listOf = (names: readonly string[], newDigest: boolean) =>
          tags(
            names.map((name) => ({
              name,
              digest: `${name === 'alias' ? 'm' : name} ${newDigest}`,
            })),
          )
        for (const step of steps) {
          const at = (which: number) => pool.endpoints[which % pool.endpoints.length]!
          switch (step.act) {
            case 'take': {
              const endpoint = at(step.which)
              const before = new Map(
                [...endpoint.seatRows()].map((row) => [row.model, row] as const),
              )
              const room = endpoint.roomInTotal
              const lease = endpoint.take(step.model, step)
              if (!lease) break
              held.push(lease)
              if (!step.seat) expect(lease.seat).toBeUndefined()
              if (!lease.seat) break
              expect(room).toBe(true)
              const row = before.get(step.model)
              if (row && row.used >= row.limit)
                expect([row.learned, step.asTry, lease.seat.isTry]).toEqual([true, true, true])
              break
            }
            case 'settle': {
              const [lease] = held.splice(step.which % Math.max(1, held.length), 1)
              lease?.settle(step.outcome, { figures: figuresOf(1_000, step.hiddenMs) })
              if (step.again) lease?.[Symbol.dispose]()
              break
            }
            case 'reload':
              for (const endpoint of pool.reconcile(step.fleet).added) makeReady(endpoint, models)
              for (const endpoint of pool.endpoints) seen.add(endpoint)
              break
            case 'list':
              at(step.which).learnOnDisk(listOf(step.models, step.newDigest))
              at(step.which).learnInMemory(ps(step.models))
              pool.learned()
              break
            case 'back':
              at(step.which).returned()
              break
            case 'pass':
              clock.pass(step.ms)
          }
          for (const endpoint of seen) {
            const own = held.filter((lease) => lease.endpoint === endpoint)
            expect(endpoint.leases.size).toBe(own.length)
            expect(endpoint.inFlight).toBe(own.filter(({ seat }) => seat).length)
          }
        }
        for (const lease of held) lease[Symbol.dispose]()
        for (const endpoint of seen) {
          expect([endpoint.inFlight, endpoint.leases.size]).toEqual([0, 0])
          for (const row of endpoint.seatRows()) expect(row.used).toBe(0)
        }
      }),
      { numRuns: 200 },
    )
  })
})
