import type { Clock } from '../../src/core/clock.ts'
import { Ewma } from '../../src/core/ewma.ts'
import { Failure } from '../../src/core/failure.ts'
import { Roster, type Rostered } from '../../src/core/roster.ts'
import type { QueueSettings, RoutingSettings, Settings } from '../../src/core/settings.ts'
import type { Endpoint } from '../../src/pool/endpoint.ts'
import type { Lease } from '../../src/pool/lease.ts'
import type { Pool } from '../../src/pool/pool.ts'
import type { ServedModel } from '../../src/pool/served-model.ts'
import type { Exchange } from '../../src/proxy/exchange.ts'
import { NobodyCan, NotWanted } from '../../src/proxy/queue.ts'
import type { WaitingRoom } from '../../src/proxy/waiting-room.ts'
import { type Bar, barOf } from '../../src/routing/filters.ts'
import type { Priority } from '../../src/routing/line.ts'
import { Hidden } from './hidden.ts'
import { seatsNow } from './permit-decisions.ts'
import { Row, type Waiting } from './permit-row.ts'

const bytesPerToken = 4
/** Some things come true by time alone (a try that is due again): for who waits they are looked at again this often. */
const tickMs = 250
/** Rows of weights that nobody uses are kept up to this many; a machine holds fewer models in memory. */
const idleRowsMax = 64

export interface PermitDoors {
  readonly pool: Pool
  readonly settings: Settings
  readonly clock: Clock
  /** A request that comes from the proxy that was joined: only that one may put requests before others. */
  readonly isFromProxy: (exchange: Exchange) => boolean
  /** OLLAMA_MAX_LOADED_MODELS where it is known. */
  readonly modelsLoadedMax: () => number | undefined
}

/** A lease that somebody holds, and its place in the queue of its weights. */
interface Held extends Rostered {
  readonly lease: Lease
  readonly exchange: Exchange
  readonly model: string
  readonly sinceMs: number
  /** Of these weights when it was taken, itself among them. */
  readonly ours: number
  readonly row: Row | undefined
  readonly done: () => void
}

/**
 * The permit in front of one Ollama: a p-queue for each set of weights, as wide as the slots that Ollama has for them,
 * so that its own unbounded queue is never used. Seats are the pool's, learned there where nobody said their number.
 */
export class Permit implements WaitingRoom {
  readonly #doors: PermitDoors
  #settings: QueueSettings
  readonly #rows = new Map<string, Row>()
  readonly #held = new Roster<Held>()
  readonly #hidden = new Hidden()
  readonly #serviceMs = new Ewma(0.1)
  #idleListeners: { resolve: () => void; mayWait: boolean }[] = []
  #tick: Disposable | undefined
  /** The models on disk by which those who wait were judged. */
  #listed: unknown
  #drained = false
  #closing = false
  #onHold = false

  constructor(doors: PermitDoors) {
    this.#doors = doors
    this.#settings = doors.settings.queue
    doors.pool.onChange(() => this.#changed())
  }

  reconfigure({ queue }: { queue: QueueSettings; routing: RoutingSettings }): void {
    this.#settings = queue
  }

  get size(): number {
    let size = 0
    for (const { waiting } of this.#rows.values()) size += waiting.length
    return size
  }

  byPriority(): Readonly<Record<Priority, number>> {
    const counts = { interactive: 0, normal: 0, batch: 0 }
    for (const { priority } of this.#waiting()) counts[priority]++
    return counts
  }

  byModel(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const { model } of this.#waiting()) counts[model] = (counts[model] ?? 0) + 1
    return counts
  }

  oldestWaitMs(): number {
    const now = this.#doors.clock.now()
    let oldestMs = now
    for (const row of this.#rows.values()) oldestMs = Math.min(oldestMs, row.oldestSinceMs() ?? now)
    return now - oldestMs
  }

  capacity(): number {
    const { enabled, ready, capacity } = this.#endpoint
    return enabled && ready ? capacity : 0
  }

  estimatedWaitMs(): number {
    const { size } = this
    if (size === 0) return 0
    return Math.round(
      ((size + 1) * (this.#serviceMs.value ?? 1_000)) / Math.max(1, this.capacity()),
    )
  }

  retryAfterS(): number {
    return Math.min(60, Math.max(1, Math.ceil(this.estimatedWaitMs() / 1_000)))
  }

  served(tookMs: number): void {
    this.#serviceMs.add(tookMs)
  }

  /** Requests with a lease, those that take no seat among them. */
  get active(): number {
    return this.#held.size
  }

  /** Who runs now, oldest first; `sinceMs` is a date. */
  running(): { id: string; model: string; sinceMs: number }[] {
    return [...this.#held]
      .map(({ exchange, model, sinceMs }) => ({ id: exchange.asked.id, model, sinceMs }))
      .sort((a, b) => a.sinceMs - b.sinceMs)
  }

  /** Seats that somebody could have now; the load of a model makes one at least. */
  freeSeats(): number {
    if (this.#drained || this.#onHold) return 0
    return Math.max(0, this.capacity() - this.#endpoint.inFlight)
  }

  strangers(): number | undefined {
    return this.#hidden.strangers(this.#doors.clock.now())
  }

  get drained(): boolean {
    return this.#drained
  }

  /** Refuses what is new; what runs and what waits is served. */
  drain(): void {
    this.#drained = true
  }

  resume(): void {
    this.#drained = false
  }

  /** The agent is about to end: nobody new but those whom the proxy had sent before it heard of it. */
  close(): void {
    this.#closing = true
  }

  /** Who comes waits, also while the server is away, because it is about to be back. What runs ends. */
  hold(): void {
    this.#onHold = true
    this.#tuneAll()
  }

  goOn(): void {
    this.#onHold = false
    this.#changed()
  }

  /** Resolves when nothing runs; with `waiting`, when nobody waits either. */
  whenIdle(waiting: 'waiting too' | 'waiting may' = 'waiting too'): Promise<void> {
    return new Promise((resolve) => {
      this.#idleListeners.push({ resolve, mayWait: waiting === 'waiting may' })
      this.#tellIdle()
    })
  }

  leaseNow(exchange: Exchange): Lease | undefined {
    const { endpoint, served, need, bar } = this.#look(exchange)
    if (this.#onHold || bar !== undefined || this.#refusalOf(exchange)) return undefined
    if (!need.seat || served === undefined || served.remote)
      return this.#holdPlain(exchange, endpoint, need.model, need.seat)
    const row = this.#rowOf(endpoint, served)
    this.#tune(row)
    if (!row.isOpen || !row.seats.free) return undefined
    const lease = endpoint.take(need.model, { seat: true, asTry: false })
    if (lease) this.#hold(exchange, lease, row, row.hold())
    return lease
  }

  async lease(exchange: Exchange): Promise<Lease> {
    const refusal = this.#refusalOf(exchange)
    if (refusal) throw refusal
    const lease = this.leaseNow(exchange)
    if (lease) return lease
    const { endpoint, served, need, bar } = this.#look(exchange)
    if (bar !== undefined && !(this.#onHold && bar === 'away'))
      throw new NobodyCan(new Map([[endpoint.name, bar]]))
    if (!need.seat || served === undefined || served.remote)
      throw new NobodyCan(new Map([[endpoint.name, bar ?? 'noModel']]))
    if (exchange.endedBy) throw new NotWanted()
    if (this.size >= this.#settings.waitingMax) throw this.#full()
    return await this.#wait(exchange, need.model, this.#rowOf(endpoint, served))
  }

  #refusalOf(exchange: Exchange): Failure | undefined {
    if (this.#drained)
      return new Failure('drained', 'this server takes no new requests for now', { retryAfterS: 5 })
    if (this.#closing && !this.#doors.isFromProxy(exchange))
      return new Failure('stopping', 'this server is about to stop', { retryAfterS: 5 })
    return undefined
  }

  /** A house with one backend. */
  get #endpoint(): Endpoint {
    return this.#doors.pool.endpoints[0]!
  }

  #look(exchange: Exchange) {
    const endpoint = this.#endpoint
    const need = exchange.need(undefined, bytesPerToken)
    const served = endpoint.model(need.model)
    const bar = barOf(endpoint, served, need)
    // A model that can not do what is asked: Ollama says so in its own words.
    return { endpoint, served, need, bar: bar === 'noCapability' ? undefined : bar }
  }

  #holdPlain(exchange: Exchange, endpoint: Endpoint, model: string, seat: boolean) {
    const lease = endpoint.take(model, { seat, asTry: false })
    if (lease) this.#hold(exchange, lease, undefined, nothing)
    return lease
  }

  #hold(exchange: Exchange, lease: Lease, row: Row | undefined, done: () => void): void {
    this.#held.add({
      lease,
      exchange,
      model: lease.model,
      sinceMs: this.#doors.clock.wall(),
      ours: row?.seats.used ?? 0,
      row,
      done,
      place: -1,
    })
  }

  #rowOf(endpoint: Endpoint, served: ServedModel): Row {
    const seats = endpoint.seatsOf(served)
    const known = this.#rows.get(served.seatKey)
    // One that somebody still waits in is not put aside, whatever has become of its weights.
    if (known && (known.seats === seats || !known.isIdle)) return known
    if (this.#rows.size >= idleRowsMax)
      for (const [key, row] of this.#rows) if (row.isIdle) this.#rows.delete(key)
    const row = new Row(served.disk.canonical, seats)
    this.#rows.set(served.seatKey, row)
    this.#tune(row)
    return row
  }

  #wait(exchange: Exchange, model: string, row: Row): Promise<Lease> {
    const { clock } = this.#doors
    return new Promise<Lease>((resolve, reject) => {
      const startedMs = clock.now()
      const abort = new AbortController()
      const over = () => {
        limit[Symbol.dispose]()
        ended[Symbol.dispose]()
        exchange.waitMs += clock.now() - startedMs
        row.leave(waiting)
      }
      const serve = (lease: Lease, done: () => void) => {
        over()
        this.#hold(exchange, lease, row, done)
        resolve(lease)
      }
      const giveUp = (why: Error) => {
        if (!row.waiting.includes(waiting)) return
        over()
        row.forget(waiting)
        abort.abort(why)
        reject(why)
        this.#tellIdle()
      }
      const priority = this.#priorityOf(exchange)
      const waiting: Waiting = {
        exchange,
        model,
        priority,
        sinceMs: startedMs,
        row,
        serve,
        giveUp,
      }
      const limit = clock.after(this.#settings.waitMsMax, () => giveUp(this.#tooLong()))
      const ended = exchange.onEnd(() => giveUp(new NotWanted()))
      row.join(waiting, abort.signal, this.#offer)
      this.#tune(row)
      this.#tickWhileSomebodyWaits()
    })
  }

  /** Stepping back is free for everybody; before others only the proxy may put somebody. */
  #priorityOf(exchange: Exchange): Priority {
    const { priority } = exchange.asked
    const mayStepBefore = priority !== 'interactive' || this.#doors.isFromProxy(exchange)
    return mayStepBefore ? priority : 'normal'
  }

  /** Its turn has come. False: there is no seat after all, and it stays at turn until there is one. */
  readonly #offer = (waiting: Waiting): boolean => {
    const { bar } = this.#look(waiting.exchange)
    if (this.#onHold || bar !== undefined) return false
    const { row } = waiting
    // Another model may have begun since its queue was opened.
    if (row.seats.used >= this.#seatsNow(row)) return false
    const lease = this.#endpoint.take(waiting.model, { seat: true, asTry: true })
    if (!lease) return false
    waiting.serve(lease, row.doneOf(waiting))
    return true
  }

  #changed(): void {
    for (const held of this.#held) {
      // A lease is on its endpoint's roster until it is settled.
      if (held.lease.place >= 0) continue
      this.#held.delete(held)
      this.#heard(held)
      held.done()
    }
    if (this.#endpoint.onDisk !== this.#listed) this.#refuseWhoNobodyServes()
    this.#tuneAll()
    for (const row of this.#rows.values()) row.offerAgain(this.#offer)
    this.#tellIdle()
  }

  #heard({ lease, exchange, row, ours }: Held): void {
    // What was tried beyond the known seats was expected to wait.
    if (!row || !lease.seat || lease.seat.isTry) return
    this.#hidden.heard(exchange.figures, ours, row.seats.limit, this.#doors.clock.now())
  }

  /** Who waits goes on waiting for a server that may return; only what no waiting can mend ends it. */
  #refuseWhoNobodyServes(): void {
    this.#listed = this.#endpoint.onDisk
    for (const waiting of [...this.#waiting()]) {
      const { bar } = this.#look(waiting.exchange)
      if (bar === undefined || mayComeBack.has(bar)) continue
      waiting.giveUp(new NobodyCan(new Map([[this.#endpoint.name, bar]])))
    }
  }

  #tuneAll(): void {
    for (const row of this.#rows.values()) this.#tune(row)
  }

  #tune(row: Row): void {
    const endpoint = this.#endpoint
    const served = endpoint.model(row.model)
    const able = !this.#onHold && endpoint.enabled && endpoint.ready && served?.admitting !== false
    row.open(able ? this.#seatsNow(row) : 0)
  }

  #seatsNow(row: Row): number {
    const endpoint = this.#endpoint
    return seatsNow(row, this.#rows.values(), {
      nowMs: this.#doors.clock.now(),
      modelsLoadedMax: this.#doors.modelsLoadedMax(),
      isResident: ({ model }) => endpoint.residentAs(model),
    })
  }

  *#waiting(): Iterable<Waiting> {
    for (const { waiting } of this.#rows.values()) yield* waiting
  }

  #tellIdle(): void {
    if (this.#idleListeners.length === 0 || this.#held.size > 0) return
    const { size } = this
    for (const listener of this.#idleListeners.splice(0))
      if (size === 0 || listener.mayWait) listener.resolve()
      else this.#idleListeners.push(listener)
  }

  #tickWhileSomebodyWaits(): void {
    if (this.#tick) return
    this.#tick = this.#doors.clock.after(tickMs, () => {
      this.#tick = undefined
      if (this.size === 0) return
      this.#refuseWhoNobodyServes()
      this.#changed()
      this.#tickWhileSomebodyWaits()
    })
  }

  #full(): Failure {
    const { waitingMax } = this.#settings
    const retryAfterS = this.retryAfterS()
    return waitingMax === 0
      ? new Failure('all_busy', 'every slot is taken and the queue is switched off', {
          retryAfterS,
        })
      : new Failure('queue_full', `${waitingMax} requests are waiting already (queue.max)`, {
          retryAfterS,
        })
  }

  #tooLong(): Failure {
    const seconds = Math.round(this.#settings.waitMsMax / 1_000)
    return new Failure('queue_timeout', `no slot came free within ${seconds} s (queue.timeout)`, {
      retryAfterS: this.retryAfterS(),
    })
  }
}

const mayComeBack: ReadonlySet<Bar> = new Set<Bar>(['away', 'resting', 'draining'])

function nothing(): void {}
