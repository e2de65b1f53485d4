import { describe, expect, it } from 'vitest'
import { deafObserver, type Hedged } from '../../src/core/observer.ts'
import { isDeath, type Outcome } from '../../src/core/outcome.ts'
import type { Endpoint } from '../../src/pool/endpoint.ts'
import type { Lease } from '../../src/pool/lease.ts'
import { Answer } from '../../src/proxy/answer.ts'
import { type Hedge, Hedging } from '../../src/proxy/hedge.ts'
import { HedgeBudget, lateAfterMs, tellsWhenItBegins } from '../../src/proxy/hedge-decision.ts'
import { KeptBudget } from '../../src/proxy/kept.ts'
import type { WaitingRoom } from '../../src/proxy/waiting-room.ts'
import { SocketTrouble, type Wire, type WireListener } from '../../src/proxy/wire.ts'
import { handClock } from '../help/clock.ts'
import { settingsFrom } from '../help/fleet.ts'
import { backendOf, poolOf, ps } from '../pool/help.ts'
import { askOf, bodyOf, exchangeFor, filedBodyOf, recordingClient } from './help.ts'

const model = 'm:latest'
const ndjson = ['Content-Type', 'application/x-ndjson']
const piece = (from: string) => Buffer.from(`{"message":{"content":"${from}"}}\n`)
const last = Buffer.from('{"done":true}\n')
const lost = (reusedSocket = false) =>
  new SocketTrouble('lost', { sent: true, reusedSocket }, new Error('reset'))

/** A wire whose other ends are the test; each call is named by its backend. */
function handWire() {
  const hears = new Map<string, WireListener>()
  const done: string[] = []
  const wire: Wire = {
    send(backend, _request, listener) {
      done.push(`send ${backend.name}`)
      hears.set(backend.name, listener)
      return {
        pause: () => void done.push(`pause ${backend.name}`),
        resume: () => void done.push(`resume ${backend.name}`),
        abort: () => void done.push(`abort ${backend.name}`),
      }
    },
    stats: () => ({ open: 0, idle: 0 }),
    keepSpare() {},
    keepOnly() {},
    close: () => Promise.resolve(),
  }
  return { wire, done, at: (name: string) => hears.get(name)! }
}

interface Scene {
  readonly expectedS?: number
  /** Where a second seat is; undefined: at b. */
  readonly second?: string | undefined
  readonly requestsBefore?: number
  readonly loading?: string[]
  readonly ask?: Parameters<typeof askOf>[0]
  readonly more?: Parameters<typeof exchangeFor>[1]
  readonly config?: string
}

/** One exchange with its first seat at a, as the server has it in hand. */
function sceneOf(scene: Scene = {}) {
  const { expectedS = 1, second = 'b', requestsBefore = 50, loading = [] } = scene
  const clock = handClock()
  const client = recordingClient()
  const pool = poolOf(
    ['a', 'b', 'c'].map((name) => backendOf(name)),
    { clock },
  )
  for (const endpoint of pool.endpoints) endpoint.learnInMemory(ps(['m']))
  const exchange = exchangeFor(client, { body: bodyOf('{}'), ...scene.more, ask: scene.ask ?? {} })
  const answer = new Answer(
    exchange,
    {
      family: 'ollama',
      op: 'chat',
      modelUnknownText: () => '',
      headers: [],
      continues: true,
      continuationWish: undefined,
      explains: false,
      now: () => clock.now(),
    },
    new KeptBudget(),
  )
  const hand = handWire()
  const looks: string[] = []
  const queue = {
    firstWordOf: () => ({ expectedS, errorS: 0.1 }),
    leaseBeside(_exchange, first, _readSMax, mayTake) {
      looks.push(first.name)
      const endpoint = pool.endpoint(second)
      if (!endpoint || !mayTake(endpoint)) return undefined
      return endpoint.take(model, { seat: true, asTry: false })
    },
  } as Pick<WaitingRoom, 'firstWordOf' | 'leaseBeside'> as WaitingRoom
  const hedges: Hedged[] = []
  const hedging = new Hedging({
    wire: hand.wire,
    clock,
    queue,
    loads: { needed: ({ name }: Endpoint) => loading.includes(name) },
    observer: deafObserver({ hedged: (fact) => void hedges.push(fact) }),
    settings: settingsFrom(scene.config ?? 'routing: { hedge: on }', '/nowhere'),
    hop: 'hop',
  })
  const take = () => pool.endpoint('a')!.take(model, { seat: true, asTry: false })!
  for (let each = 0; each < requestsBefore; each++) {
    const lease = take()
    hedging.of(exchangeFor(recordingClient(), { body: bodyOf('{}') }), lease, answer)
    lease.settle({ kind: 'clientLeft' })
  }
  const lease = take()
  exchange.backend = 'a'
  const hedge = hedging.of(exchange, lease, answer)
  const outs: string[] = []
  const run = () =>
    hedge!.run((side, outcome) => {
      outs.push(`${side.lease.endpoint.name} ${outcome.kind}`)
      exchange.attempts.push({ backend: side.lease.endpoint.name, outcome })
      side.lease.settle(outcome, { forgiven: isDeath(outcome) })
    })
  const seats = () => pool.endpoints.reduce((sum, { inFlight }) => sum + inFlight, 0)
  return {
    ...hand,
    clock,
    client,
    pool,
    exchange,
    answer,
    lease,
    hedge,
    run,
    outs,
    looks,
    hedges,
    seats,
  }
}

/** What the server does with the one that counts. */
function settled(hedge: Hedge | undefined, first: Lease, outcome: Outcome): void {
  hedge!.counts.lease.settle(outcome)
  first[Symbol.dispose]()
  hedge![Symbol.dispose]()
}

const lateMs = 1_250

describe('whether an answer is late', () => {
  it('is said by what was expected and how well that is known, and never by less than a moment', () => {
    expect(lateAfterMs({ expectedS: 0.01, errorS: 0.005 })).toBe(260)
    expect(lateAfterMs({ expectedS: 10, errorS: 0 })).toBe(10_250)
    expect(lateAfterMs({ expectedS: 10, errorS: 2 })).toBeCloseTo(13_290)
  })

  it('can be heard of streams and embeddings, and of nothing else', () => {
    expect(tellsWhenItBegins(askOf())).toBe(true)
    expect(tellsWhenItBegins(askOf({ framing: 'sse' }))).toBe(true)
    expect(tellsWhenItBegins(askOf({ framing: 'json', op: 'embed' }))).toBe(true)
    expect(tellsWhenItBegins(askOf({ framing: 'json' }))).toBe(false)
    expect(tellsWhenItBegins(askOf({ purpose: 'load' }))).toBe(false)
    expect(tellsWhenItBegins(askOf({ repeatable: false }))).toBe(false)
  })
})

describe('the budget of second sendings', () => {
  it('allows two for a hundred requests at every moment, and few after a quiet time', () => {
    const budget = new HedgeBudget()
    let spent = 0
    for (let request = 1; request <= 1_000; request++) {
      budget.earn()
      if (budget.has) {
        budget.spend()
        spent++
      }
      expect(spent).toBeLessThanOrEqual(request / 50)
    }
    expect(spent).toBe(20)
    for (let request = 0; request < 100_000; request++) budget.earn()
    for (spent = 0; budget.has; spent++) budget.spend()
    expect(spent).toBe(10)
  })
})

describe('a hedged attempt', () => {
  it('is sent once when its answer begins in time, and ends like every attempt', async () => {
    const { run, at, clock, done, client, hedge, lease, hedges, seats } = sceneOf()
    const running = run()
    clock.pass(lateMs - 1)
    at('a').head(200, ndjson)
    at('a').data(piece('a'))
    clock.pass(60_000)
    at('a').data(last)
    at('a').ended()
    const outcome = await running
    settled(hedge, lease, outcome)
    expect(outcome.kind).toBe('answered')
    expect(done).toEqual(['send a', 'abort a'])
    expect(client.text()).toBe(`${piece('a')}${last}`)
    expect(hedges).toEqual([])
    expect(seats()).toBe(0)
  })

  it('is sent a second time when it is late; the first byte wins, and the other is ended in that tick', async () => {
    const { run, at, clock, done, client, exchange, hedge, lease, outs, hedges, seats, pool } =
      sceneOf()
    const running = run()
    clock.pass(lateMs)
    expect(done).toEqual(['send a', 'send b'])
    expect(seats()).toBe(2)
    at('b').head(200, ndjson)
    // A head is no byte of an answer.
    expect(done).toEqual(['send a', 'send b'])
    at('b').data(piece('b'))
    expect(done).toEqual(['send a', 'send b', 'abort a'])
    expect(outs).toEqual(['a overtaken'])
    expect(seats()).toBe(1)
    // What the loser still says is heard by nobody.
    at('a').head(200, ndjson)
    at('a').data(piece('a'))
    at('b').data(last)
    at('b').ended()
    const outcome = await running
    settled(hedge, lease, outcome)
    expect(client.text()).toBe(`${piece('b')}${last}`)
    expect(client.headers['x-chasqui-backend']).toBe('b')
    expect(client.headers['x-chasqui-attempts']).toBe('2')
    expect(exchange.backend).toBe('b')
    expect(hedges).toEqual([{ first: 'a', second: 'b', result: 'won' }])
    expect(seats()).toBe(0)
    expect(pool.endpoint('a')).toMatchObject({ lastError: undefined, breakerState: 'admitting' })
    expect(pool.endpoint('a')!.tally).toMatchObject({ answered: 0, failed: 0 })
  })

  it('goes on where it is when the first was only late', async () => {
    const { run, at, clock, done, client, hedge, lease, outs, hedges, seats } = sceneOf()
    const running = run()
    clock.pass(lateMs)
    at('b').head(200, ndjson)
    at('a').head(200, ndjson)
    at('a').data(piece('a'))
    expect(done).toEqual(['send a', 'send b', 'abort b'])
    at('a').data(last)
    at('a').ended()
    settled(hedge, lease, await running)
    expect(client.text()).toBe(`${piece('a')}${last}`)
    expect(outs).toEqual(['b overtaken'])
    expect(hedges).toEqual([{ first: 'a', second: 'b', result: 'lost' }])
    expect(seats()).toBe(0)
  })

  it.each([
    ['a', 'b', 'won'],
    ['b', 'a', 'lost'],
  ] as const)('goes on at the other when %s fails first', async (fails, other, result) => {
    const { run, at, clock, client, exchange, hedge, lease, outs, hedges, seats } = sceneOf()
    const running = run()
    clock.pass(lateMs)
    at(fails).failed(lost())
    expect(outs).toEqual([`${fails} brokeOff`])
    expect(seats()).toBe(1)
    expect(exchange.backend).toBe(other)
    at(other).head(200, ndjson)
    at(other).data(piece(other))
    at(other).data(last)
    at(other).ended()
    settled(hedge, lease, await running)
    expect(client.text()).toBe(`${piece(other)}${last}`)
    expect(hedges).toMatchObject([{ result }])
    expect(seats()).toBe(0)
  })

  it('is not joined any more once it has failed', async () => {
    const { run, at, clock, done, hedge, lease, seats } = sceneOf()
    const running = run()
    at('a').failed(lost())
    expect((await running).kind).toBe('brokeOff')
    clock.pass(60_000)
    settled(hedge, lease, await running)
    expect(done).toEqual(['send a', 'abort a'])
    expect(seats()).toBe(0)
  })

  it.each([
    ['a', 'b'],
    ['b', 'a'],
  ] as const)('ends with what the last one said when %s and then %s fail', async (one, other) => {
    const { run, at, clock, exchange, hedge, lease, outs, hedges, seats } = sceneOf()
    const running = run()
    clock.pass(lateMs)
    at(one).failed(lost())
    at(other).head(500, ['Content-Type', 'application/json'])
    at(other).data(Buffer.from('{"error":"no luck"}'))
    at(other).ended()
    const outcome = await running
    expect(outcome).toMatchObject({ kind: 'refused', status: 500 })
    expect(hedge!.counts.lease.endpoint.name).toBe(other)
    expect(exchange.backend).toBe(other)
    settled(hedge, lease, outcome)
    expect(outs).toEqual([`${one} brokeOff`])
    expect(hedges).toMatchObject([{ result: 'lost' }])
    expect(seats()).toBe(0)
  })

  it('takes no clean end without a byte for an answer while the other one is under way', async () => {
    const { run, at, clock, client, hedge, lease, outs, seats } = sceneOf()
    const running = run()
    clock.pass(lateMs)
    at('a').head(200, ndjson)
    at('a').ended()
    expect(outs).toEqual(['a brokeOff'])
    at('b').head(200, ndjson)
    at('b').data(piece('b'))
    at('b').data(last)
    at('b').ended()
    settled(hedge, lease, await running)
    expect(client.text()).toBe(`${piece('b')}${last}`)
    expect(seats()).toBe(0)
  })

  it('ends both when the request itself is at fault', async () => {
    const { run, at, clock, done, hedge, lease, seats } = sceneOf()
    const running = run()
    clock.pass(lateMs)
    at('b').head(400, ['Content-Type', 'application/json'])
    at('b').data(Buffer.from('{"error":"invalid options"}'))
    at('b').ended()
    expect(await running).toMatchObject({ kind: 'refused', why: 'clientFault' })
    settled(hedge, lease, await running)
    expect(done.filter((each) => each.startsWith('abort')).sort()).toEqual(['abort a', 'abort b'])
    expect(seats()).toBe(0)
  })

  it.each(['leave', 'expire', 'stop'] as const)('ends both in the tick of %s', async (how) => {
    const { run, clock, client, exchange, done, hedge, lease, outs, seats } = sceneOf()
    const running = run()
    clock.pass(lateMs)
    if (how === 'leave') client.leave()
    else exchange[how]()
    expect(done.filter((each) => each.startsWith('abort')).sort()).toEqual(['abort a', 'abort b'])
    const outcome = await running
    expect(outcome).toEqual({ kind: 'clientLeft' })
    expect(outs).toEqual(['b clientLeft'])
    settled(hedge, lease, outcome)
    expect(seats()).toBe(0)
  })

  it('is looked after as one: the rhythm of its stream is the winner’s', async () => {
    const { run, at, clock, exchange } = sceneOf()
    void run()
    clock.pass(lateMs)
    expect(exchange.attempt?.endpoint.name).toBe('a')
    expect(exchange.attempt?.gaps).toBeUndefined()
    at('b').head(200, ndjson)
    at('b').data(piece('b'))
    expect(exchange.attempt?.endpoint.name).toBe('b')
    expect(exchange.attempt?.gaps?.tokens).toBe(1)
  })

  it('asks for a seat later and later while there is none', () => {
    const { run, clock, looks, done } = sceneOf({ second: 'nowhere' })
    void run()
    clock.pass(lateMs)
    expect(looks).toHaveLength(1)
    clock.pass(600_000)
    expect(looks.length).toBeLessThan(11)
    expect(done).toEqual(['send a'])
  })

  it('never begins beside a load, and never where one would be needed', () => {
    const cold = sceneOf({ loading: ['a'] })
    expect(cold.hedge).toBeUndefined()
    const loading: string[] = []
    const { run, clock, done } = sceneOf({ loading })
    void run()
    // The server has dropped the model just before it got the request.
    loading.push('a')
    clock.pass(lateMs)
    loading.splice(0, 1, 'b')
    clock.pass(60_000)
    expect(done).toEqual(['send a'])
  })

  it('is sent once where nothing says that it is late, or where it may not be sent again', () => {
    expect(sceneOf().hedge).toBeDefined()
    expect(sceneOf({ ask: { framing: 'json' } }).hedge).toBeUndefined()
    expect(sceneOf({ more: { pinned: 'a' } }).hedge).toBeUndefined()
    expect(sceneOf({ more: { isPart: true } }).hedge).toBeUndefined()
    expect(sceneOf({ more: { priority: 'batch' } }).hedge).toBeUndefined()
    expect(sceneOf({ more: { body: filedBodyOf('{}') } }).hedge).toBeUndefined()
    const config = 'routing: { hedge: on }\nretries: { further_attempts: 0 }'
    expect(sceneOf({ config }).hedge).toBeUndefined()
  })

  it('is not sent a second time beyond the budget', () => {
    const { run, clock, done, looks } = sceneOf({ requestsBefore: 48 })
    void run()
    clock.pass(600_000)
    expect(done).toEqual(['send a'])
    expect(looks).toEqual([])
  })
})
