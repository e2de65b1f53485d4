import { describe, expect, it } from 'vitest'
import { startSimulator } from '../../../backends/simulator/server.ts'
import type { AskInside, InnerCall } from '../../../src/core/inner-call.ts'
import { readPs, readTags } from '../../../src/pool/catalogue.ts'
import { Conformance, type Sighting } from '../../../src/proxy/continuing/conformance.ts'
import { restart } from '../../../src/proxy/continuing/manner.ts'
import type { AskProbe } from '../../../src/proxy/continuing/measure.ts'
import { measure } from '../../../src/proxy/continuing/measure.ts'
import {
  askAtIn,
  isIdleIn,
  isThereIn,
  keepAliveOf,
} from '../../../src/proxy/continuing/probe-doors.ts'
import { handClock } from '../../help/clock.ts'
import { startFleet } from '../../help/fleet.ts'
import { until } from '../../help/until.ts'
import { backendOf, poolOf } from '../../pool/help.ts'

const sighting = (digest = 'd1', more: Partial<Sighting> = {}): Sighting => ({
  digest,
  version: '0.33.0',
  backend: 'a',
  canonical: 'm:latest',
  model: 'm',
  runner: {},
  canThink: false,
  isBatch: false,
  ...more,
})

const text = 'The river runs down from the hills and over many stones to the sea.'

/** A model that goes on to the letter. */
const goesOn: AskProbe = async (_, body) => {
  const { messages, prompt } = body as { messages?: { content: string }[]; prompt?: string }
  if (prompt !== undefined) return { response: text.slice(Math.max(0, prompt.indexOf('is') - 55)) }
  return { message: { content: text.slice(messages?.[1]?.content.length ?? 0) } }
}

function bench(
  more: {
    isIdle?: (seen: Sighting) => boolean
    isThere?: (seen: Sighting) => boolean
    ask?: AskProbe
  } = {},
) {
  const clock = handClock()
  const asked: string[] = []
  const ended: string[] = []
  let running = 0
  let runningMost = 0
  const conformance = new Conformance({
    clock,
    isIdle: more.isIdle ?? (() => true),
    isThere: more.isThere ?? (() => false),
    askAt: (seen) => async (path, body) => {
      runningMost = Math.max(runningMost, ++running)
      asked.push(`${seen.digest}@${seen.backend}`)
      try {
        await Promise.resolve()
        return await (more.ask ?? goesOn)(path, body)
      } finally {
        running--
      }
    },
    ended: (seen, result, error) =>
      void ended.push(`${seen.digest}: ${result ? 'measured' : String(error)}`),
  })
  return { clock, conformance, asked, ended, most: () => runningMost }
}

describe('what is known of the models', () => {
  it('is measured once for each model and release, one at a time', async () => {
    const { clock, conformance, asked, ended, most } = bench()
    expect(conformance.waysOf(sighting(), 'plain')).toBeUndefined()
    for (const digest of ['d1', 'd2', 'd1']) conformance.seen(sighting(digest))
    expect(asked).toEqual([])
    clock.pass(250)
    await until(() => ended.length === 1)
    clock.pass(250)
    await until(() => ended.length === 2)
    expect(ended).toEqual(['d1: measured', 'd2: measured'])
    expect(most()).toBe(1)
    expect(conformance.waysOf(sighting(), 'plain')).toEqual([
      { method: 'trailing', manner: 'exact' },
      restart,
    ])
    expect(conformance.waysOf(sighting(), 'thought')).toBeUndefined()
    const count = asked.length
    conformance.seen(sighting())
    expect(conformance.isKnown(sighting())).toBe(true)
    clock.pass(60_000)
    expect(asked.length).toBe(count)
    // Another release may bring other templates.
    expect(conformance.isKnown(sighting('d1', { version: '0.34.0' }))).toBe(false)
  })

  it('waits for a free seat at the backend where the model was seen last', async () => {
    let free = ''
    const { clock, conformance, asked, ended } = bench({
      isIdle: ({ backend }) => backend === free,
    })
    conformance.seen(sighting('d1', { backend: 'a' }))
    clock.pass(5_000)
    conformance.seen(sighting('d1', { backend: 'b' }))
    free = 'b'
    clock.pass(8_000)
    await until(() => ended.length === 1)
    expect(new Set(asked)).toEqual(new Set(['d1@b']))
  })

  // In a fleet that was full from the first minute on nothing was ever measured, so that no answer could go on elsewhere.
  it('waits in line for a seat where none was free for half a minute, as long as the model is there', async () => {
    let isThere = false
    const { clock, conformance, asked, ended } = bench({
      isIdle: () => false,
      isThere: () => isThere,
    })
    conformance.seen(sighting())
    clock.pass(120_000)
    expect(asked).toEqual([])
    isThere = true
    clock.pass(30_000)
    await until(() => ended.length === 1)
    expect(ended).toEqual(['d1: measured'])

    const patient = bench({ isIdle: () => false, isThere: () => true })
    patient.conformance.seen(sighting())
    patient.clock.pass(29_000)
    expect(patient.asked).toEqual([])
  })

  it('gives the seat up between two questions, and asks on when one is free again', async () => {
    let isIdle = true
    const { clock, conformance, asked, ended } = bench({
      isIdle: () => isIdle,
      isThere: () => true,
      ask: (path, body) => {
        isIdle = asked.length !== 2
        return goesOn(path, body)
      },
    })
    conformance.seen(sighting())
    clock.pass(250)
    await until(() => asked.length === 2)
    for (let each = 0; each < 20; each++) {
      clock.pass(250)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(asked.length).toBe(2)
    isIdle = true
    clock.pass(250)
    await until(() => ended.length === 1)
    expect(ended).toEqual(['d1: measured'])
  })

  it('asks no more where the model has left the memory between two questions, and tries again later', async () => {
    let isIdle = true
    const { clock, conformance, asked, ended } = bench({
      isIdle: () => isIdle,
      ask: (path, body) => {
        isIdle = asked.length !== 2
        return goesOn(path, body)
      },
    })
    conformance.seen(sighting())
    clock.pass(250)
    await until(() => ended.length === 1)
    expect(ended).toEqual(['d1: Error: it is not in memory any more'])
    isIdle = true
    conformance.seen(sighting())
    clock.pass(1_000)
    expect(asked.length).toBe(2)
    clock.pass(30_000)
    conformance.seen(sighting())
    clock.pass(250)
    await until(() => ended.length === 2)
    expect(ended[1]).toBe('d1: measured')
  })

  it('keeps the newest 512 models, and pauses longer with every failure', async () => {
    const { clock, conformance, ended } = bench()
    for (let index = 0; index < 514; index++) {
      conformance.seen(sighting(`d${index}`))
      clock.pass(250)
      while (ended.length <= index) await new Promise((resolve) => setImmediate(resolve))
    }
    expect(conformance.rows.size).toBe(512)
    expect([conformance.isKnown(sighting('d1')), conformance.isKnown(sighting('d2'))]).toEqual([
      false,
      true,
    ])

    const failing = bench({ ask: async () => ({ message: { content: 'Hi.' } }) })
    const triesWithin = async (ms: number) => {
      const before = failing.ended.length
      for (let passed = 0; passed < ms; passed += 500) {
        failing.conformance.seen(sighting())
        failing.clock.pass(500)
        await new Promise((resolve) => setImmediate(resolve))
      }
      return failing.ended.length - before
    }
    expect(await triesWithin(29_000)).toBe(1)
    expect(await triesWithin(40_000)).toBe(1)
    expect(await triesWithin(20_000)).toBe(0)
    expect(failing.ended[0]).toMatch('too little')
  })

  it('waits for no more than 64 models, and for none after the stop', async () => {
    const { clock, conformance, asked } = bench({ isIdle: ({ digest }) => digest === 'd64' })
    for (let index = 0; index < 65; index++) conformance.seen(sighting(`d${index}`))
    clock.pass(60_000)
    expect(asked).toEqual([])
    conformance.stop()
    conformance.seen(sighting('d64'))
    conformance.stop()
    clock.pass(60_000)
    expect(asked).toEqual([])
  })
})

describe('a backend that is idle for a probe', () => {
  const models = [{ name: 'm', digest: 'd1' }]
  const seen = sighting()
  const ready = (isLoaded = true) => {
    const pool = poolOf([backendOf('a', { slots: 1 }), backendOf('b', { slots: 1 })], { models })
    pool.endpoint('a')!.learnLoaded('m:latest')
    return { pool, isLoaded: () => isLoaded, givesWay: () => true }
  }

  it('has the model in memory and a seat free, and another ready one holds it too', () => {
    expect(isIdleIn(ready(), seen)).toBe(true)
  })

  it('is not one that would load, that is busy, drained or alone', () => {
    expect(isIdleIn(ready(false), seen)).toBe(false)
    expect(isThereIn(ready(false), seen)).toBe(false)
    expect(isIdleIn(ready(), { ...seen, backend: 'b' })).toBe(false)
    expect(isIdleIn(ready(), { ...seen, digest: 'd2' })).toBe(false)
    expect(isIdleIn(ready(), { ...seen, backend: 'gone' })).toBe(false)
    const busy = ready()
    using _ = busy.pool.endpoint('a')!.take('m:latest', { seat: true, asTry: false })!
    expect(isIdleIn(busy, seen)).toBe(false)
    expect(isThereIn(busy, seen)).toBe(true)
    const drained = ready()
    drained.pool.setEnabled(drained.pool.endpoint('a')!, false)
    expect(isIdleIn(drained, seen)).toBe(false)
    const alone = ready()
    alone.pool.setEnabled(alone.pool.endpoint('b')!, false)
    expect(isIdleIn(alone, seen)).toBe(false)
    // Batch work may have to give its seat to a person, and goes on at the same one.
    expect(isIdleIn(alone, { ...seen, isBatch: true })).toBe(true)
    expect(isIdleIn({ ...alone, givesWay: () => false }, { ...seen, isBatch: true })).toBe(false)
  })

  it('keeps the model as long as it would have', () => {
    const { pool } = ready()
    const endpoint = pool.endpoint('a')!
    const expires = (text: string) => {
      endpoint.learnInMemory(readPs({ models: [{ name: 'm', expires_at: text }] }))
      return keepAliveOf(endpoint, 'm:latest', Date.parse('2026-11-21T12:00:00Z'))
    }
    expect(expires('2026-11-21T12:10:00Z')).toBe(600)
    expect(expires('2026-11-21T12:00:01Z')).toBe(60)
    expect(expires('2318-01-01T00:00:00Z')).toBe(-1)
    expect(expires('soon')).toBeUndefined()
  })
})

describe('a probe of a simulated server', () => {
  it('goes to the one backend, behind everybody, and keeps its model in memory', async () => {
    const kinds = { m: 'repeats-the-last-word' } as const
    await using a = await startSimulator({ models: ['m'], kinds, keepAliveMs: 1_000_000 })
    await using b = await startSimulator({ models: ['m'], kinds })
    const pool = poolOf([backendOf('a', { origin: a.url }), backendOf('b', { origin: b.url })], {
      models: [],
    })
    const get = async (path: string) => (await fetch(a.url + path)).json()
    await fetch(`${a.url}/api/generate`, { method: 'POST', body: '{"model":"m"}' })
    const lists = [await get('/api/tags'), await get('/api/ps')]
    for (const endpoint of pool.endpoints) endpoint.learnOnDisk(readTags(lists[0]))
    pool.endpoint('a')!.learnInMemory(readPs(lists[1]))
    const { digest } = pool.endpoint('a')!.model('m:latest')!

    const calls: InnerCall[] = []
    const ask: AskInside = (call) => {
      calls.push(call)
      const origin = pool.endpoints.find(({ name }) => !call.except.has(name))!.backend.origin
      const answer = fetch(origin + call.path, { method: 'POST', body: new Uint8Array(call.body) })
      return {
        backend: 'a',
        onSeatSinceMs: 0,
        answer: answer.then(async (given) => ({
          status: given.status,
          body: Buffer.from(await given.arrayBuffer()),
          code: undefined,
          backend: 'a',
          attempts: 1,
          waitMs: 0,
          servedMs: 0,
          figures: undefined,
        })),
        cancel: () => {},
      }
    }
    const clock = { ...handClock(), wall: () => Date.now() }
    const doors = { pool, clock, ask, isLoaded: () => true }
    const found = await measure(sighting(), askAtIn(doors, sighting(digest!)))
    expect(found.plain?.[0]).toEqual({ method: 'trailing', manner: 'repeats-the-last-word' })
    expect(b.trace()).toEqual([])
    expect(new Set(calls.map(({ priority }) => priority))).toEqual(new Set(['batch']))
    const { keep_alive } = JSON.parse(calls[0]!.body.toString()) as { keep_alive: number }
    expect(keep_alive).toBeGreaterThan(900)
    await expect(askAtIn(doors, sighting())('/api/chat', { model: 'gone' })).rejects.toThrow('404')
  })

  it('comes to the same through the whole proxy', async () => {
    const simulator = { models: ['m'], kinds: { m: 'adds-a-space' as const } }
    await using fleet = await startFleet({ simulators: [simulator] })
    const found = await measure(sighting(), async (path, body) => {
      const answer = await fetch(fleet.url + path, { method: 'POST', body: JSON.stringify(body) })
      expect(answer.status).toBe(200)
      return answer.json()
    })
    expect(found.plain).toEqual([{ method: 'trailing', manner: 'adds-a-space' }, restart])
  })
})
