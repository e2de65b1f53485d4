import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Permit } from '../../backends/agent/permit.ts'
import { Failure } from '../../src/core/failure.ts'
import type { Outcome } from '../../src/core/outcome.ts'
import type { Settings } from '../../src/core/settings.ts'
import type { Lease } from '../../src/pool/lease.ts'
import { type Priority, priorities } from '../../src/routing/line.ts'
import { handClock } from '../help/clock.ts'
import { backendOf, figuresOf, poolOf, ps } from '../pool/help.ts'
import { exchangeOf, settled } from '../routing/waiting.ts'

const answered: Outcome = { kind: 'answered', status: 200 }
const fromProxy = ['X-From-Proxy', 'yes']

function permitOf(
  given: {
    slots?: number | undefined
    models?: readonly string[]
    waitingMax?: number
    modelsLoadedMax?: number
  } = {},
) {
  const clock = handClock()
  const { slots = 1, models = ['m'] } = given
  const pool = poolOf([backendOf('a', { slots: 'slots' in given ? given.slots : slots })], {
    clock,
    models,
  })
  const [endpoint] = pool.endpoints
  const queue = {
    waitingMax: given.waitingMax ?? 100,
    waitMsMax: 60_000,
    priorityAcrossTenants: false,
  }
  const permit = new Permit({
    pool,
    settings: { queue } as Settings,
    clock,
    isFromProxy: ({ asked }) => asked.rawHeaders === fromProxy,
    modelsLoadedMax: () => given.modelsLoadedMax,
  })
  const story: string[] = []
  const ask = (
    name: string,
    { model = 'm', priority = 'normal' as Priority, byProxy = false } = {},
  ) => {
    const { exchange, leave } = exchangeOf(model, {
      priority,
      rawHeaders: byProxy ? fromProxy : [],
    })
    const lease = permit.lease(exchange)
    lease.then(
      () => story.push(name),
      (error: Error) =>
        story.push(`${name}: ${error instanceof Failure ? error.code : error.constructor.name}`),
    )
    return { lease, leave, exchange }
  }
  const load = (...names: string[]) => {
    endpoint!.learnInMemory(ps(names))
    pool.learned()
  }
  return { permit, pool, endpoint: endpoint!, clock, story, ask, load }
}

describe('the permit', () => {
  it('lets so many run as there are slots, and the next one when one ends', async () => {
    const { ask, story, permit, endpoint } = permitOf({ slots: 2 })
    const first = ask('1')
    ask('2')
    ask('3')
    ask('4')
    await settled()
    expect(story).toEqual(['1', '2'])
    expect(endpoint.inFlight).toBe(2)
    expect(permit.size).toBe(2)
    expect(permit.byModel()).toEqual({ 'm:latest': 2 })
    ;(await first.lease).settle(answered)
    await settled()
    expect(story).toEqual(['1', '2', '3'])
    expect(permit.active).toBe(2)
  })

  it('serves bands in their order and each in the order of its coming', async () => {
    const { ask, story } = permitOf()
    const held = ask('held')
    ask('batch', { priority: 'batch' })
    ask('normal 1')
    ask('urgent 1', { priority: 'interactive', byProxy: true })
    ask('normal 2')
    ask('urgent 2', { priority: 'interactive', byProxy: true })
    await settled()
    let lease: Lease = await held.lease
    for (let each = 0; each < 5; each++) {
      const before = story.length
      lease.settle(answered)
      await settled()
      expect(story).toHaveLength(before + 1)
      lease = [...lease.endpoint.leases][0]!
    }
    expect(story).toEqual(['held', 'urgent 1', 'urgent 2', 'normal 1', 'normal 2', 'batch'])
  })

  it('lets nobody but the proxy put a request before others', async () => {
    const { ask, story, permit } = permitOf()
    const held = ask('held')
    ask('normal')
    ask('urgent', { priority: 'interactive' })
    expect(permit.byPriority()).toEqual({ interactive: 0, normal: 2, batch: 0 })
    ;(await held.lease).settle(answered)
    await settled()
    expect(story).toEqual(['held', 'normal'])
  })

  it('gives the place of one that leaves while it waits to the next', async () => {
    const { ask, story, permit } = permitOf()
    const held = ask('held')
    const leaver = ask('leaver')
    ask('next')
    leaver.leave()
    await settled()
    expect(permit.size).toBe(1)
    ;(await held.lease).settle(answered)
    await settled()
    expect(story).toEqual(['held', 'leaver: NotWanted', 'next'])
  })

  it('never lets one model hold up another', async () => {
    const { ask, story } = permitOf({ models: ['m', 'n'] })
    ask('m 1')
    ask('m 2')
    ask('n 1', { model: 'n' })
    await settled()
    expect(story).toEqual(['m 1', 'n 1'])
  })

  it('refuses beyond queue.max, and who has waited for queue.timeout', async () => {
    const { ask, story, clock } = permitOf({ waitingMax: 1 })
    ask('held')
    ask('waits')
    ask('too many')
    await settled()
    expect(story).toEqual(['held', 'too many: queue_full'])
    clock.pass(60_000)
    await settled()
    expect(story.at(-1)).toBe('waits: queue_timeout')
  })

  it('learns the slots that nobody told, by one try at a time beside a loaded model', async () => {
    const { ask, story, load, clock } = permitOf({ slots: undefined })
    load('m')
    const first = ask('1')
    const tried = ask('2')
    ask('3')
    await settled()
    expect(story).toEqual(['1', '2'])
    const seat = await tried.lease
    expect(seat.seat?.isTry).toBe(true)
    clock.pass(1_000)
    seat.settle(answered, { figures: figuresOf(1_000, 1) })
    await settled()
    // It ran beside the first, so there are two seats, and the third is the try for one more.
    expect(story).toEqual(['1', '2', '3'])
    ask('4')
    await settled()
    expect(story).toEqual(['1', '2', '3'])
    // A try keeps its distance from the request before it.
    clock.pass(250)
    await settled()
    expect(story).toEqual(['1', '2', '3', '4'])
    ;(await first.lease).settle(answered)
  })

  it('holds those who wait while the server is away, and refuses who comes', async () => {
    const { ask, story, endpoint, pool } = permitOf()
    const held = ask('held')
    ask('waits')
    await settled()
    endpoint.health = { ...endpoint.health, state: 'away', reason: 'gone' }
    pool.learned()
    ask('comes')
    ;(await held.lease).settle({ kind: 'unreachable', text: 'refused' })
    await settled()
    expect(story).toEqual(['held', 'comes: NobodyCan'])
    endpoint.health = { ...endpoint.health, state: 'ready', reason: '' }
    pool.learned()
    await settled()
    expect(story.at(-1)).toBe('waits')
  })

  it('tells who waits for a model that was deleted', async () => {
    const { ask, story, endpoint, pool } = permitOf()
    ask('held')
    ask('waits')
    endpoint.learnOnDisk([])
    pool.learned()
    await settled()
    expect(story).toEqual(['held', 'waits: NobodyCan'])
  })

  it('refuses new requests once it is drained, and serves those that were there', async () => {
    const { ask, story, permit } = permitOf()
    const held = ask('held')
    ask('waits')
    await settled()
    permit.drain()
    ask('late')
    ;(await held.lease).settle(answered)
    await settled()
    expect(story).toEqual(['held', 'late: drained', 'waits'])
    permit.resume()
    expect(permit.freeSeats()).toBe(0)
    ask('again')
    await settled()
    expect(permit.size).toBe(1)
  })

  it('lets everybody wait while it is held, also with its server away, and says when nothing runs', async () => {
    const { ask, story, permit, endpoint, pool } = permitOf()
    const held = ask('held')
    await settled()
    permit.hold()
    let idle = false
    void permit.whenIdle('waiting may').then(() => {
      idle = true
    })
    ask('waits')
    await settled()
    expect(idle).toBe(false)
    ;(await held.lease).settle(answered)
    await settled()
    expect(idle).toBe(true)
    endpoint.health = { ...endpoint.health, state: 'away', reason: 'it restarts' }
    pool.learned()
    ask('comes')
    await settled()
    expect(story).toEqual(['held'])
    endpoint.health = { ...endpoint.health, state: 'ready', reason: '' }
    permit.goOn()
    await settled()
    expect(story).toEqual(['held', 'waits'])
    expect(permit.size).toBe(1)
  })

  it('loads a cold model only when one of those in a full memory has nothing to do', async () => {
    const { ask, story, load } = permitOf({ models: ['m', 'n'], modelsLoadedMax: 1 })
    load('m')
    const running = ask('m 1')
    ask('n 1', { model: 'n' })
    await settled()
    expect(story).toEqual(['m 1'])
    ;(await running.lease).settle(answered)
    await settled()
    expect(story).toEqual(['m 1', 'n 1'])
  })

  it('lets a cold model have its turn after five seconds of others', async () => {
    const { ask, story, load, clock } = permitOf({ models: ['m', 'n'], modelsLoadedMax: 1 })
    load('m')
    const running = ask('m 1')
    await settled()
    ask('n 1', { model: 'n' })
    clock.pass(5_000)
    ask('m 2')
    ;(await running.lease).settle(answered)
    await settled()
    expect(story).toEqual(['m 1', 'n 1'])
  })

  it('gives every seat back and starves nobody, whatever comes and goes', async () => {
    const act = fc.record({
      what: fc.constantFrom('ask', 'ask', 'ask', 'end', 'leave'),
      which: fc.nat(1_000),
      model: fc.constantFrom('m', 'n'),
      priority: fc.constantFrom(...priorities),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
        const { ask, permit, endpoint } = permitOf({ slots: 2, models: ['m', 'n'] })
        const all: ReturnType<typeof ask>[] = []
        for (const { what, which, model, priority } of acts) {
          if (what === 'ask') all.push(ask('x', { model, priority, byProxy: true }))
          else if (what === 'leave') all[which % (all.length || 1)]?.leave()
          else [...endpoint.leases][which % (endpoint.leases.size || 1)]?.settle(answered)
          await settled()
          const used = [...endpoint.seatRows()].map((row) => row.used)
          expect(Math.max(0, ...used)).toBeLessThanOrEqual(2)
          // Nobody waits beside a free seat.
          for (const { model: name, used: taken } of endpoint.seatRows())
            if (taken < 2) expect(permit.byModel()[name] ?? 0).toBe(0)
        }
        while (endpoint.leases.size > 0) {
          for (const lease of endpoint.leases) lease.settle(answered)
          await settled()
        }
        expect([permit.size, permit.active, endpoint.inFlight]).toEqual([0, 0, 0])
      }),
      { numRuns: 60 },
    )
  })
})
