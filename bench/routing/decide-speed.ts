import { seededDice } from '../../src/core/dice.ts'
import type { EndpointView, ModelView } from '../../src/core/endpoint-view.ts'
import { Seats } from '../../src/pool/seats.ts'
import { Dispatcher } from '../../src/routing/dispatcher.ts'
import { Line } from '../../src/routing/line.ts'
import type { Run } from '../../src/routing/running.ts'
import type { Goal } from '../goals.ts'
import { figure, table } from '../lib/table.ts'
import type { Request } from './engine/specs.ts'
import { quantile } from './measure.ts'
import { type Waiter, waiterOf } from './ours/waiter.ts'
import { plainRequest, Texts } from './traffic/trace.ts'

export interface DecideRow {
  readonly endpoints: number
  readonly waiting: number
  readonly p50Us: number
  readonly p99Us: number
  /**
   * CPU time of the process: what is left when others use the cores. Not of the thread, which systems count in steps of
   * up to 4 ms; helpers of the engine, such as its compiler, are in it as well.
   */
  readonly cpu99Us: number
}

const waiting = 1_000
const seatsEach = 4
const serviceMs = 4_000
const modelNames = ['a', 'b', 'c', 'd', 'e']

/** What a decision costs when a seat came free and so many wait: at every step one ends, and who is next begins. */
export function measureDecisions(isShort: boolean): DecideRow[] {
  return [64, 256].map((endpoints) => measure(endpoints, isShort ? 40 : 2_000))
}

export function decideTable(rows: readonly DecideRow[]): string {
  return table(
    ['decide', 'endpoints', 'waiting', 'p50 µs', 'p99 µs', 'p99 CPU µs'],
    rows.map((row) => [
      'a seat came free',
      figure(row.endpoints),
      figure(row.waiting),
      figure(row.p50Us),
      figure(row.p99Us),
      figure(row.cpu99Us),
    ]),
  )
}

export function decideGoals(rows: readonly DecideRow[]): Goal[] {
  const bounds: Readonly<Record<number, number>> = { 64: 200, 256: 1_000 }
  return rows.map(({ endpoints, p99Us }) => ({
    ...{ promise: `decide p99, ${endpoints} endpoints and 1,000 waiting` },
    ...{ bound: bounds[endpoints]!, better: 'lower', found: p99Us, unit: 'µs', digits: 0 },
  }))
}

interface Held {
  readonly run: Run
  readonly end: () => void
}

function measure(endpointCount: number, steps: number): DecideRow {
  const dice = seededDice(5)
  const endpoints = Array.from({ length: endpointCount }, (_, index) => new Stand(`e${index}`))
  const dispatcher = new Dispatcher(
    { endpoints: () => endpoints },
    { picker: 'expected-completion', preferences: {}, loadRescue: false },
  )
  const line = new Line<Waiter>(false, { shares: dispatcher.shares })
  const texts = new Texts()
  let nowMs = 0
  let id = 0
  const join = () => {
    const size = { promptTokens: 100 + Math.floor(4_000 * dice.roll()), outputTokens: 200 }
    const request: Request = plainRequest(texts, { id: id++, atMs: nowMs, ...size })
    const model = modelNames[Math.floor(modelNames.length * dice.roll())]!
    line.join(waiterOf(request, model, nowMs, (each) => dispatcher.workOf(each)))
  }
  const held: Held[] = []
  const offer = (): { ns: number; cpuUs: number; begun: number } => {
    const cpuFrom = process.cpuUsage()
    const from = process.hrtime.bigint()
    const actions = dispatcher.decide(line, nowMs)
    const ns = Number(process.hrtime.bigint() - from)
    const cpu = process.cpuUsage(cpuFrom)
    let begun = 0
    for (const action of actions) {
      if (action.kind === 'promise') action.waiting.promised = action.endpoint
      if (action.kind !== 'start') continue
      begun++
      line.served(action.waiting)
      const stand = endpoints.find(({ name }) => name === action.endpoint)!
      const seat = stand.model(action.waiting.need.model).seats.take(nowMs, action.asTry)
      const progress = { firstTokenAtMs: nowMs + 500, pieces: 20 }
      const run = dispatcher.began(action, action.waiting.size, progress, nowMs)
      held.push({ run, end: () => seat?.giveBack(nowMs) })
    }
    return { ns, cpuUs: cpu.user + cpu.system, begun }
  }
  for (let each = 0; each < waiting + endpointCount * seatsEach * modelNames.length; each++) join()
  // Every seat is taken before the first measured step.
  while (offer().begun > 0) {}
  const times: { ns: number; cpuUs: number }[] = []
  for (let step = 0; step < steps; step++) {
    // As often as seats come free in such a fleet.
    nowMs += serviceMs / (endpointCount * seatsEach * modelNames.length)
    const [ended] = held.splice(Math.floor(held.length * dice.roll()), 1)
    if (!ended) break
    ended.end()
    const figures = { totalNs: serviceMs * 1e6, loadNs: 0, promptTokens: 1_000, promptNs: 1e9 }
    const more = { outputTokens: 200, outputNs: (2 + dice.roll()) * 1e9 }
    dispatcher.ended(ended.run, nowMs, { figures: { ...figures, ...more }, whole: true })
    while (line.size < waiting) join()
    times.push(offer())
  }
  // Warming up: the first half is not what is measured.
  const kept = times.slice(times.length >> 1)
  const ns = kept.map((each) => each.ns).sort((one, other) => one - other)
  const cpuUs = kept.map((each) => each.cpuUs).sort((one, other) => one - other)
  return {
    ...{ endpoints: endpointCount, waiting, cpu99Us: quantile(cpuUs, 0.99) },
    ...{ p50Us: quantile(ns, 0.5) / 1_000, p99Us: quantile(ns, 0.99) / 1_000 },
  }
}

/** A server of which only what routing looks at is there. */
class Stand implements EndpointView {
  readonly name: string
  readonly weight = 1
  readonly labels: readonly string[] = []
  readonly enabled = true
  readonly ready = true
  readonly admitting = true
  readonly contextDefault = 131_072
  readonly inFlight = 0
  readonly room = Number.POSITIVE_INFINITY
  readonly #models = new Map(modelNames.map((name) => [name, new StandModel(name)]))

  constructor(name: string) {
    this.name = name
  }

  model(canonical: string): StandModel {
    return this.#models.get(canonical)!
  }
}

class StandModel implements ModelView {
  readonly digest: string
  readonly capabilities = undefined
  readonly resident = true
  readonly contextLoaded = undefined
  readonly admitting = true
  readonly seatToTry = false
  readonly sizeBytes = 4e9
  readonly evicts = false
  readonly heldBack = false
  readonly seats = new Seats(seatsEach)

  constructor(name: string) {
    this.digest = name
  }

  get seatFree(): boolean {
    return this.seats.free
  }
  get seatsUsed(): number {
    return this.seats.used
  }
  get seatsLimit(): number {
    return this.seats.limit
  }
}
