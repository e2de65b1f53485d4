import { describe, expect, it } from 'vitest'
import { readModelName } from '../../src/core/model-name.ts'
import { deafObserver } from '../../src/core/observer.ts'
import type { Outcome } from '../../src/core/outcome.ts'
import type { Settings } from '../../src/core/settings.ts'
import { type LoadResult, Loads } from '../../src/proxy/loads.ts'
import { Keeper } from '../../src/proxy/residency/keeper.ts'
import { Residency } from '../../src/routing/residency/residency.ts'
import { handClock } from '../help/clock.ts'
import { backendOf, poolOf, ps } from '../pool/help.ts'
import { tenSeconds, usual } from '../routing/residency/help.ts'
import { askOf } from './help.ts'

interface Call {
  readonly backend: string
  readonly body: { readonly model: string; readonly keep_alive?: unknown }
  /** It was ended from here. */
  ended: boolean
  answer(status: number): void
}

const refused = (status: number): Outcome => ({
  kind: 'refused',
  status,
  why: 'serverFault',
  text: '',
})

/** Servers that are the test: it answers every call, and says what is in memory. */
function keeping(backends: readonly string[], more: Partial<Settings['residency']> = {}) {
  const clock = handClock()
  const calls: Call[] = []
  const heard: string[] = []
  const memory = new Map<string, string[]>()
  const observer = deafObserver({
    loadsHung: (backend, model, hang) => void heard.push(`${backend} ${model} ${hang}`),
  })
  const pool = poolOf(
    backends.map((name) => backendOf(name)),
    { models: ['m', 'n', 'o'], clock, observer },
  )
  const settings = { residency: { ...usual, ...more } } as Settings
  const residency = new Residency(settings.residency, tenSeconds)
  const send: ConstructorParameters<typeof Loads>[0] = (endpoint, _path, body, onEnd) =>
    new Promise((resolve) => {
      const handle = onEnd?.(() => {
        call.ended = true
        resolve({ outcome: { kind: 'clientLeft' }, answer: undefined })
      })
      const call: Call = {
        backend: endpoint.name,
        body: JSON.parse(body) as Call['body'],
        ended: false,
        answer(status) {
          handle?.[Symbol.dispose]()
          resolve({
            outcome: status < 300 ? { kind: 'answered', status } : refused(status),
            answer: undefined,
          })
        },
      }
      calls.push(call)
    })
  const keeper = new Keeper({
    ...{ pool, clock, observer, settings, residency, send },
    times: { ...tenSeconds, loaded: () => {}, unloaded: () => {} },
    refresh: async (endpoint) => endpoint.learnInMemory(ps(memory.get(endpoint.name) ?? [])),
    waiters: () => ({}),
  })
  const loads = new Loads(send, clock, observer, keeper)
  keeper.start(loads)
  const has = (name: string, ...models: string[]) => {
    memory.set(name, models)
    pool.endpoint(name)!.learnInMemory(ps(models))
  }
  const join = (name: string, model: string) =>
    loads.join(pool.endpoint(name)!, askOf({ modelText: model, name: readModelName(model)! }))
  return { clock, calls, heard, pool, residency, keeper, loads, has, join }
}

async function settled(): Promise<void> {
  for (let each = 0; each < 30; each++) await Promise.resolve()
}

/** Time passes in small steps, with turns between them in which what has ended is heard. */
async function passing(clock: { pass(ms: number): void }, ms: number, stepMs = 100): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    clock.pass(stepMs)
    await settled()
  }
}

async function passingUntil<T>(clock: { pass(ms: number): void }, result: Promise<T>): Promise<T> {
  await passing(clock, 1_000)
  return await result
}

describe('room for a load', () => {
  it('is made first: nobody new goes to the one that leaves, who runs there finishes, and only then it is unloaded', async () => {
    const { clock, calls, pool, has, join } = keeping(['a', 'b'])
    const a = pool.endpoint('a')!
    has('a', 'm')
    a.memory.refused(0, 2)
    const running = a.take('m:latest', { seat: true, asTry: false })!
    const load = join('a', 'n')
    await passing(clock, 500)
    expect(calls).toEqual([])
    expect(a.model('m:latest')!.seatFree).toBe(false)
    running.settle({ kind: 'answered', status: 200 })
    expect(a.model('m:latest')!.seatFree).toBe(false)
    await passing(clock, 100)
    expect(calls.map(({ body }) => body)).toMatchObject([{ model: 'm:latest', keep_alive: 0 }])
    calls[0]!.answer(200)
    await settled()
    // Still listed: it is not gone.
    await passing(clock, 400)
    expect(calls).toHaveLength(1)
    has('a')
    await passing(clock, 400)
    expect(calls[1]!.body.model).toBe('n')
    expect(a.parting.size).toBe(0)
    calls[1]!.answer(200)
    expect(await load.result).toEqual({ kind: 'loaded' })
  })

  it('is not made any longer when nobody wants the load', async () => {
    const { clock, calls, pool, has, join } = keeping(['a', 'b'])
    const a = pool.endpoint('a')!
    has('a', 'm')
    a.memory.refused(0, 2)
    using _running = a.take('m:latest', { seat: true, asTry: false })!
    join('a', 'n').leave()
    await passing(clock, 200)
    expect(calls.map(({ body }) => body.keep_alive)).not.toContain(0)
    expect(a.parting.size).toBe(0)
  })

  it('is given up with its load when the last one who wants it leaves, and another load may follow', async () => {
    // The load was begun all the same, beside the model that was in use, and where making room went wrong no other model
    // was ever let in again.
    const { clock, calls, pool, residency, has, join } = keeping(['a', 'b'])
    const a = pool.endpoint('a')!
    has('a', 'm')
    a.memory.refused(0, 2)
    using _running = a.take('m:latest', { seat: true, asTry: false })!
    const load = join('a', 'n')
    await passing(clock, 200)
    const pressure = { waitedS: 100, longestS: 40, warm: false, urgent: false }
    expect(residency.mayLoad('a', 'o:latest', pressure, clock.now(), false)).toBe(false)
    load.leave()
    expect(await passingUntil(clock, load.result)).toMatchObject({
      kind: 'failed',
      outcome: { kind: 'clientLeft' },
    })
    expect(calls).toEqual([])
    expect(residency.mayLoad('a', 'o:latest', pressure, clock.now(), false)).toBe(true)
  })

  it('does not wait for those who hold a seat only to wait for a load themselves', async () => {
    // Each of two loads waited once for the seat of the other's client, for ever.
    const { clock, calls, pool, has, join } = keeping(['a', 'b'])
    const a = pool.endpoint('a')!
    has('a', 'm')
    a.memory.refused(0, 2)
    using _waits = a.take('m:latest', { seat: true, asTry: false })!
    join('a', 'n')
    join('a', 'm')
    await passing(clock, 200)
    expect(calls[0]?.body).toMatchObject({ model: 'm:latest', keep_alive: 0 })
  })
})

describe('room for a load', () => {
  // An order to unload that was never answered held up every load at its server for good.
  it('is not waited for any longer than two minutes where the server does not answer', async () => {
    const { clock, calls, pool, has, join } = keeping(['a', 'b'])
    has('a', 'm')
    pool.endpoint('a')!.memory.refused(0, 2)
    join('a', 'n')
    await passing(clock, 119_000, 1_000)
    expect(calls).toMatchObject([{ body: { keep_alive: 0 }, ended: false }])
    await passing(clock, 12_000, 1_000)
    expect(calls[0]!.ended).toBe(true)
    expect(calls[1]!.body.model).toBe('n')
  })
})

describe('a load that takes long', () => {
  it('is given up after a minute without a sign of it, where somebody else can do better', async () => {
    const { clock, heard, pool, join } = keeping(['a', 'b'])
    const load = join('a', 'n')
    await settled()
    await passing(clock, 59_000, 1_000)
    expect(heard).toEqual([])
    await passing(clock, 1_000, 1_000)
    expect(heard).toEqual(['a n:latest true'])
    const result = (await load.result) as LoadResult & { kind: 'failed' }
    expect(result.outcome).toMatchObject({ kind: 'refused', why: 'loadsHang' })
    const a = pool.endpoint('a')!
    expect([a.loadsHang, a.admitting]).toEqual([true, true])
  })

  it('is waited for while the server lists it: it is only slow', async () => {
    const { clock, heard, calls, has, join } = keeping(['a', 'b'])
    const load = join('a', 'n')
    await settled()
    has('a', 'n')
    await passing(clock, 200_000, 1_000)
    expect(heard).toEqual([])
    calls[0]!.answer(200)
    expect(await load.result).toEqual({ kind: 'loaded' })
  })

  it('is waited for where nobody else could load it', async () => {
    const { clock, heard, calls, join } = keeping(['a'])
    const load = join('a', 'n')
    await passing(clock, 600_000, 5_000)
    expect(heard).toEqual([])
    calls[0]!.answer(200)
    expect(await load.result).toEqual({ kind: 'loaded' })
  })

  it('is asked for again when no answer comes, and over with the first one that is answered', async () => {
    // A server had read the request for a load and forgotten it: all who came for that model waited for a minute, and for
    // ever where the model was there meanwhile. The server took nobody else to prove itself after a rest, either.
    const { clock, heard, calls, has, join } = keeping(['a', 'b'])
    const load = join('a', 'n')
    await settled()
    await passing(clock, 29_000, 1_000)
    expect(calls).toHaveLength(1)
    // Listed, it is not held to hang: nothing else would ever end it.
    has('a', 'n')
    await passing(clock, 1_000, 1_000)
    expect(calls.map(({ backend, body }) => `${backend} ${body.model}`)).toEqual(['a n', 'a n'])
    expect(calls[0]!.ended).toBe(false)
    calls[1]!.answer(200)
    expect(await load.result).toEqual({ kind: 'loaded' })
    expect(calls[0]!.ended).toBe(true)
    expect(heard).toEqual([])
  })

  it('is asked for three times more at most, and no refusal of those decides', async () => {
    const { clock, calls, has, join } = keeping(['a', 'b'])
    const load = join('a', 'n')
    has('a', 'n')
    await passing(clock, 31_000, 1_000)
    calls[1]!.answer(503)
    await passing(clock, 600_000, 1_000)
    expect(calls.map(({ ended }) => ended)).toEqual([false, false, false, false])
    calls[0]!.answer(200)
    expect(await load.result).toEqual({ kind: 'loaded' })
    expect(calls.map(({ ended }) => ended)).toEqual([true, true, true, true])
  })

  it('is not asked for again of a server that answers nothing', async () => {
    const { clock, calls, pool, join } = keeping(['a', 'b'])
    const a = pool.endpoint('a')!
    join('a', 'n')
    await settled()
    const ready = a.health
    a.health = { ...ready, state: 'away' }
    await passing(clock, 120_000, 1_000)
    expect(calls).toHaveLength(1)
    a.health = ready
    await passing(clock, 30_000, 1_000)
    expect(calls).toHaveLength(2)
  })

  it('is followed by a try with the smallest model, after a pause, that tells when loads work again', async () => {
    const { clock, heard, calls, pool, join } = keeping(['a', 'b'])
    join('a', 'n')
    await passing(clock, 61_000, 1_000)
    expect(pool.endpoint('a')!.loadsHang).toBe(true)
    await passing(clock, 61_000, 1_000)
    // The load was asked for once more before it was given up.
    expect(calls.map(({ backend, body }) => `${backend} ${body.model}`)).toEqual([
      'a n',
      'a n',
      'a m:latest',
    ])
    calls[2]!.answer(200)
    await settled()
    expect(pool.endpoint('a')!.loadsHang).toBe(false)
    expect(heard).toHaveLength(2)
    expect(heard[1]).toMatch(/^a .* false$/)
  })
})

describe('what is wanted', () => {
  it('is loaded ahead of demand where there is room, one load at a time for each server', async () => {
    const { clock, calls, residency, has } = keeping(['a', 'b'])
    has('a', 'm')
    for (let each = 0; each < 300; each++) {
      residency.arrived('m:latest', clock.now())
      await passing(clock, 2_200, 2_200)
      calls.at(-1)?.answer(200)
    }
    expect(calls.map(({ backend, body }) => `${backend} ${body.model}`)).toEqual(['b m:latest'])
  })

  it('is not loaded where residency is switched off, nor on the only server', async () => {
    for (const fleet of [keeping(['a', 'b'], { on: false }), keeping(['a'])]) {
      fleet.has('a', 'm')
      for (let each = 0; each < 300; each++) {
        fleet.residency.arrived('m:latest', fleet.clock.now())
        fleet.residency.arrived('n:latest', fleet.clock.now())
        await passing(fleet.clock, 2_200, 2_200)
      }
      expect(fleet.calls).toEqual([])
    }
  })

  it('is kept longer the more it is asked for, by empty requests, where that is switched on', async () => {
    const { clock, calls, residency, has } = keeping(['a'], { keepAlive: true })
    has('a', 'm', 'n', 'o')
    for (let each = 0; each < 30; each++) {
      residency.arrived('m:latest', clock.now())
      if (each % 3 === 0) residency.arrived('n:latest', clock.now())
      await passing(clock, 2_000, 1_000)
    }
    await passing(clock, 2_000, 1_000)
    const kept = Object.fromEntries(calls.map(({ body }) => [body.model, body.keep_alive]))
    expect(kept).toEqual({ 'm:latest': '1800s', 'n:latest': '960s' })
  })
})
