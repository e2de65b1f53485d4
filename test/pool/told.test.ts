import { describe, expect, it } from 'vitest'
import { readLoadReport } from '../../src/core/load-report.ts'
import { deafObserver } from '../../src/core/observer.ts'
import { Prober } from '../../src/pool/prober.ts'
import { Seats } from '../../src/pool/seats.ts'
import { placesFor } from '../../src/proxy/manage/targets.ts'
import { handClock } from '../help/clock.ts'
import { until } from '../help/until.ts'
import { report } from '../members/help.ts'
import { backendOf, evenDice, makeReady, poolOf } from './help.ts'

const said = (more: object) => readLoadReport({ ...report, ...more })!
const slots = (limit: number, learned: boolean) =>
  said({ slots: { m: { used: 0, limit, learned } } })

const limits = (pool: ReturnType<typeof poolOf>) =>
  [...pool.endpoints[0]!.seatRows()].map(({ limit, learned }) => [limit, learned])

describe('the seats of a model before which an agent stands', () => {
  it('are as many as the agent knows, unless the operator said another number', () => {
    const pool = poolOf([backendOf('a')])
    pool.endpoints[0]!.learnLoad(slots(3, false))
    pool.endpoints[0]!.take('m:latest', { seat: true, asTry: false })
    expect(limits(pool)).toEqual([[3, false]])
    pool.endpoints[0]!.learnLoad(slots(5, false))
    expect(limits(pool)).toEqual([[5, false]])
    const told = poolOf([backendOf('a', { slots: 2 })])
    told.endpoints[0]!.learnLoad(slots(5, false))
    told.endpoints[0]!.take('m:latest', { seat: true, asTry: false })
    expect(limits(told)).toEqual([[2, false]])
  })

  // A request that waits at the agent shows no wait in Ollama's figures. Each try here seemed to have found a seat, and
  // so the proxy's number grew while the agent's line did.
  it('grow with what the agent learns, and not by what is tried here', () => {
    const seats = new Seats(undefined)
    seats.tell(2)
    const held = [seats.take(0, false), seats.take(0, false)]
    const tried = seats.take(0, true)
    expect([tried?.isTry, seats.take(0, true)]).toEqual([true, undefined])
    const figures = {
      totalNs: 1e9,
      loadNs: 0,
      promptTokens: 1,
      promptNs: 5e8,
      outputTokens: 1,
      outputNs: 5e8,
    }
    tried?.giveBack(1_000, { figures, firstByteMs: 10 })
    expect([seats.limit, seats.mayTry(1_500), seats.mayTry(3_100)]).toEqual([2, false, true])
    seats.tell(3)
    expect([seats.limit, seats.free]).toEqual([3, true])
    for (const seat of held)
      seat?.giveBack(4_000, { figures: { ...figures, totalNs: 9e9 }, firstByteMs: 1 })
    expect(seats.limit).toBe(3)
    seats.unlearn()
    expect(seats.limit).toBe(1)
  })
})

describe('what an agent says of its machine', () => {
  const card = { name: 'card', memory_total_bytes: 24e9, memory_used_bytes: 1e9, use: 0.5 }

  it('decides where a model fits when the operator has not said it', () => {
    const pool = poolOf([backendOf('a'), backendOf('b', { memoryBytes: 90e9 }), backendOf('c')])
    const [a, b, c] = pool.endpoints
    a!.learnLoad(said({ gpus: [card, card] }))
    b!.learnLoad(said({ gpus: [card] }))
    c!.learnLoad(said({ gpus: [{ ...card, memory_total_bytes: null }] }))
    expect([a!.memoryBytes, b!.memoryBytes, c!.memoryBytes]).toEqual([48e9, 90e9, undefined])
    const fits = (bytes: number) =>
      placesFor(pool.endpoints, { to: 'fit' }, bytes).map(({ name }) => name)
    expect([fits(40e9), fits(60e9), fits(95e9)]).toEqual([['a', 'b', 'c'], ['b', 'c'], ['c']])
    a!.learnLoad(said({}))
    expect(a!.memoryBytes).toBe(64e9)
  })

  it('counts for as long as it is of now', () => {
    const clock = handClock()
    const pool = poolOf([backendOf('a')], { clock })
    const [endpoint] = pool.endpoints
    endpoint!.learnLoad(said({ queue: 7 }))
    expect(endpoint!.waitingThere).toBe(7)
    endpoint!.learnLoadNow({ free_slots: 0, queue: 2, active: 3, hidden: null })
    expect([endpoint!.waitingThere, endpoint!.told?.report.active]).toEqual([2, 3])
    clock.pass(15_000)
    expect(endpoint!.waitingThere).toBe(0)
  })
})

describe('an agent that is silent', () => {
  it('is away whatever answers the probes, and ready with its next word', async () => {
    const clock = handClock()
    const turned: string[] = []
    const observer = deafObserver({
      backendTurned: (name, state, reason) => turned.push(`${name} ${state} ${reason}`.trim()),
    })
    const pool = poolOf([backendOf('a')], { clock, observer })
    let looks = 0
    let isThere = true
    const ask = async (_endpoint: unknown, { path }: { path: string }) => {
      looks++
      if (!isThere) throw new Error('nothing there')
      return path === '/api/version' ? { version: '1' } : { models: [] }
    }
    const settings = {
      intervalMs: 1_000,
      timeoutMs: 500,
      modelsEveryMs: 60_000,
      fall: 2,
      rise: 2,
      jitter: 0,
    }
    using prober = new Prober(pool, settings, { clock, dice: evenDice, observer, ask })
    const endpoint = pool.endpoints[0]!
    makeReady(endpoint, ['m'])
    await prober.start()

    // Its breaker rests as well: connections were refused.
    for (let each = 0; each < 5; each++)
      endpoint.judge('m:latest', { kind: 'unreachable', text: 'refused' }, 'bad')
    expect(endpoint.admitting).toBe(false)
    prober.silent(endpoint)
    expect([endpoint.ready, endpoint.health.reason]).toEqual([false, 'no heartbeat'])
    for (let each = 0; each < 5; each++) {
      const before = looks
      clock.pass(1_000)
      await until(() => looks > before)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect([endpoint.ready, endpoint.health.reason]).toEqual([false, 'no heartbeat'])

    void prober.back(endpoint, false)
    expect([endpoint.ready, endpoint.admitting]).toEqual([true, true])
    expect(turned).toEqual(['a away no heartbeat', 'a ready'])

    // Another run of it may have found nothing to serve yet: a look says so before anybody is sent there.
    prober.silent(endpoint)
    isThere = false
    await prober.back(endpoint, true)
    expect(endpoint.ready).toBe(false)
    isThere = true
    await prober.back(endpoint, true)
    expect(endpoint.ready).toBe(true)
  })
})
