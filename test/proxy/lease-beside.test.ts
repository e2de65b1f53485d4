import { describe, expect, it } from 'vitest'
import type { Backend } from '../../src/core/backend.ts'
import type { Endpoint } from '../../src/pool/endpoint.ts'
import { Queue } from '../../src/proxy/queue.ts'
import type { DecisionEntry } from '../../src/routing/decision-entry.ts'
import { Dispatcher } from '../../src/routing/dispatcher.ts'
import { decidedAgain } from '../../src/routing/replay.ts'
import { handClock } from '../help/clock.ts'
import { settingsFrom } from '../help/fleet.ts'
import { backendOf, poolOf, ps } from '../pool/help.ts'
import { exchangeOf } from '../routing/waiting.ts'

/** A request on its seat at a, and b beside it, both with the model in memory. */
function besideOf({
  b = {},
  isWarm = true,
  textBytes = 100,
}: {
  b?: Partial<Backend>
  isWarm?: boolean
  textBytes?: number
} = {}) {
  const clock = handClock()
  const pool = poolOf([backendOf('a', { slots: 1 }), backendOf('b', { slots: 1, ...b })], { clock })
  const at = (name: string) => pool.endpoint(name)!
  at('a').learnInMemory(ps(['m']))
  if (isWarm) at('b').learnInMemory(ps(['m']))
  const settings = settingsFrom(
    'routing: { picker: capability, preferences: { chat: [a, b] } }',
    '',
  )
  const log: DecisionEntry[] = []
  const record = (entry: DecisionEntry) => void log.push(entry)
  const dispatcher = new Dispatcher({ endpoints: () => pool.endpoints, record }, settings.routing)
  const queue = new Queue(pool, settings, clock, { dispatcher })
  const { exchange } = exchangeOf('m', { textBytes })
  const lease = queue.leaseNow(exchange)!
  expect(lease.endpoint.name).toBe('a')
  const second = (mayTake: (endpoint: Endpoint) => boolean = () => true) =>
    queue.leaseBeside(exchange, at('a'), 2, mayTake)
  return { clock, pool, at, queue, lease, second, log, dispatcher, id: exchange.asked.id }
}

const name = (lease: ReturnType<Queue['leaseBeside']>) => lease?.endpoint.name

describe('a second seat for one that is under way', () => {
  it('is one elsewhere that is free with the model in memory, and is held like any other', () => {
    const { second, at } = besideOf()
    const lease = second()
    expect(name(lease)).toBe('b')
    expect(at('b').inFlight).toBe(1)
    lease?.settle({ kind: 'overtaken', text: '' })
    expect(at('b').inFlight).toBe(0)
  })

  // Nothing of second sendings stood in the log of decisions, and of the first server "it has failed this request" was
  // said while it still worked for it.
  it('is noted as it was decided, and told as what it is', () => {
    const { second, log, dispatcher, id } = besideOf()
    const before = log.length
    expect(second(() => false)).toBeUndefined()
    expect(log).toHaveLength(before)
    expect(name(second())).toBe('b')
    const [noted, ...more] = log.slice(before)
    expect(more).toEqual([])
    expect(noted?.waiting[0]?.need.beside).toBe('a')
    expect(noted?.actions).toMatchObject([{ kind: 'start', endpoint: 'b' }])
    expect(decidedAgain(noted!)).toEqual(noted?.actions)
    expect(dispatcher.decisions.of(id)).toMatchObject([
      { backend: 'a', beside: null },
      { backend: 'b', beside: 'a', barred: [{ backend: 'a', reason: 'underWay' }] },
    ])
  })

  it('is not where it is already, nor where the caller does not want it', () => {
    const { second, lease } = besideOf()
    expect(second(() => false)).toBeUndefined()
    // Its own place has a seat free again.
    lease.settle({ kind: 'clientLeft' })
    expect(name(second())).toBe('b')
    expect(second()).toBeUndefined()
  })

  it('is never one where the model would have to be loaded', () => {
    expect(besideOf({ isWarm: false }).second()).toBeUndefined()
  })

  it('is never one that may not exist', () => {
    const { second, at } = besideOf({ b: { slots: undefined } })
    const taken = at('b').take('m:latest', { seat: true, asTry: false })
    expect(at('b').model('m:latest')).toMatchObject({ seatFree: false, seatToTry: true })
    expect(second()).toBeUndefined()
    taken?.settle({ kind: 'clientLeft' })
    expect(name(second())).toBe('b')
  })

  it('is never one where the prompt would be read for long', () => {
    // Two thousand tokens and more, at a thousand in a second as long as nothing is known.
    expect(besideOf({ textBytes: 12_000 }).second()).toBeUndefined()
    expect(name(besideOf({ textBytes: 4_000 }).second())).toBe('b')
  })

  it('is never one at a server that came back a moment ago and has its share', () => {
    const { second, at, clock } = besideOf({ b: { slots: 4 } })
    at('b').returned()
    const taken = at('b').take('m:latest', { seat: true, asTry: false })
    expect(at('b').model('m:latest')).toMatchObject({ heldBack: true, seatFree: true })
    expect(second()).toBeUndefined()
    taken?.settle({ kind: 'clientLeft' })
    clock.pass(60_000)
    expect(name(second())).toBe('b')
  })

  it('is theirs first who have none yet', async () => {
    const { second, queue, at } = besideOf()
    const taken = at('b').take('m:latest', { seat: true, asTry: false })
    const { exchange, leave } = exchangeOf('m', {})
    const waiting = queue.lease(exchange)
    waiting.catch(() => {})
    expect(queue.size).toBe(1)
    // Free in this very turn, and the one who waits has not been given it yet.
    taken?.settle({ kind: 'clientLeft' })
    expect(second()).toBeUndefined()
    expect(name(await waiting)).toBe('b')
    leave()
  })
})
