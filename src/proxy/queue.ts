import type { Clock } from '../core/clock.ts'
import { Ewma } from '../core/ewma.ts'
import { Failure } from '../core/failure.ts'
import type { QueueSettings, RoutingSettings } from '../core/settings.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Lease } from '../pool/lease.ts'
import type { Pool } from '../pool/pool.ts'
import { prefillSAt } from '../routing/costs/rates.ts'
import { Dispatcher } from '../routing/dispatcher.ts'
import type { Bar } from '../routing/filters.ts'
import type { FirstWord } from '../routing/first-word.ts'
import { Line, type Priority, type Waiter } from '../routing/line.ts'
import { type Need, needKey } from '../routing/need.ts'
import type { Action, Waiting } from '../routing/plan.ts'
import type { Work } from '../routing/work.ts'
import type { Asked, Exchange } from './exchange.ts'
import { type GiveWay, PeopleFirst } from './people-first.ts'
import { SeatWatch } from './seat-watch.ts'
import type { FoundWaiter, ShownWaiter, WaitingNow } from './waiting-now.ts'
import type { WaitingRoom } from './waiting-room.ts'

/** Some things come true by time alone (a try that is due, or far enough from the last request): who waits looks again. */
const tickMs = 250

/**
 * Who gave its seat away waits for so long at least. It stands before all other batch work, and the overdue have their
 * turns: after an hour there is nobody who could serve it.
 */
const pausedMsMax = 3_600_000

/** Of the places in line, for one tenant, unless it is said. */
const tenantShare = 0.8
/** A request that is less likely than this to be answered in time is refused. */
const chanceLeast = 0.1

/** Thrown to whoever waits when the exchange ended from the client's side. */
export class NotWanted extends Error {}

/** Nobody can serve it; the bars say why, by endpoint. */
export class NobodyCan extends Error {
  readonly bars: ReadonlyMap<string, Bar>
  constructor(bars: ReadonlyMap<string, Bar>) {
    super('no endpoint can serve this')
    this.bars = bars
  }
}

interface InLine extends Omit<Waiting, 'need' | 'key' | 'priority'>, Omit<Waiter, 'key'> {
  readonly exchange: Exchange
  need: Need
  key: string
  readonly serve: (lease: Lease) => void
  readonly giveUp: (why: Error) => void
}

type Start = Action<Waiting> & { readonly kind: 'start' }

/** What the queue is given beside the fleet. */
export interface QueueDoors {
  /** Who decides; one of its own that has learned nothing unless given. */
  readonly dispatcher?: Dispatcher
  /** Predictions for a model are used again, or not any more. */
  readonly trustTurned?: (model: string, why: string | undefined) => void
  /** How batch work gives its seat to people; none does without. */
  readonly giveWay?: GiveWay
}

/**
 * The queue in front of the fleet. A request is sent only into a free seat; until there is one it waits here, where
 * priority, order and leaving are ours to decide (Ollama's own queue is unbounded and blind). It is walked so that
 * each waiter takes the first seat that it can use: a waiter for one model never holds up another.
 */
export class Queue implements WaitingRoom, WaitingNow {
  readonly #pool: Pool
  #settings: QueueSettings
  readonly #clock: Clock
  readonly #line: Line<InLine>
  readonly #dispatcher: Dispatcher
  readonly #watch: SeatWatch
  readonly #peopleFirst: PeopleFirst<InLine>
  readonly #serviceMs = new Ewma(0.1)
  /** The digests that serve those who wait, by model. */
  readonly #digests = new Map<string, string | undefined>()
  #walkDue = false
  #tick: Disposable | undefined

  constructor(
    pool: Pool,
    settings: { queue: QueueSettings; routing: RoutingSettings },
    clock: Clock,
    doors: QueueDoors = {},
  ) {
    this.#pool = pool
    this.#settings = settings.queue
    this.#clock = clock
    this.#dispatcher =
      doors.dispatcher ?? new Dispatcher({ endpoints: () => pool.endpoints }, settings.routing)
    const { shares } = this.#dispatcher
    this.#line = new Line(settings.queue.priorityAcrossTenants, { shares })
    const trustTurned = doors.trustTurned ?? (() => {})
    this.#watch = new SeatWatch(this.#dispatcher, clock, trustTurned)
    const giveWay = doors.giveWay ?? (() => false)
    this.#peopleFirst = new PeopleFirst(this.#line, this.#dispatcher, clock, giveWay)
    pool.onChange(() => this.#walkSoon())
  }

  /** After a reload: for who comes next, and for the order of those who wait. */
  reconfigure(settings: { queue: QueueSettings; routing: RoutingSettings }): void {
    this.#settings = settings.queue
    this.#dispatcher.reconfigure(settings.routing)
    this.#line.orderAcrossTenants(settings.queue.priorityAcrossTenants)
    this.#walkSoon()
  }

  get size(): number {
    return this.#line.size
  }

  byPriority(): Readonly<Record<Priority, number>> {
    return this.#line.byPriority()
  }

  byModel(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const model of this.#line.models()) counts[model] = this.#line.countOf(model)
    return counts
  }

  countOf(model: string): number {
    return this.#line.countOf(model)
  }

  batchOf(model: string): number {
    return this.#line.batchOf(model)
  }

  waitedMsOf(model: string, nowMs: number): number {
    return this.#line.waitedMsOf(model, nowMs)
  }

  waiting(most: number): ShownWaiter[] {
    const nowMs = this.#clock.now()
    const shown: ShownWaiter[] = []
    for (const waiting of this.#line.inOrder(nowMs)) {
      if (shown.length === most) break
      shown.push(this.#shown(waiting, shown.length + 1, nowMs))
    }
    return shown
  }

  find(id: string): FoundWaiter | undefined {
    let found: InLine | undefined
    for (const waiting of this.#line.waiters()) {
      if (waiting.exchange.asked.id !== id) continue
      found = waiting
      break
    }
    // The line is put in order only for somebody who stands in it.
    if (!found) return undefined
    const nowMs = this.#clock.now()
    let position = 1
    for (const waiting of this.#line.inOrder(nowMs)) {
      if (waiting === found) break
      position++
    }
    const { exchange } = found
    return { shown: this.#shown(found, position, nowMs), exchange, waiting: found }
  }

  #shown(waiting: InLine, position: number, nowMs: number): ShownWaiter {
    return {
      id: waiting.exchange.asked.id,
      model: waiting.model,
      band: waiting.priority,
      position,
      waited_ms: Math.round(nowMs - waiting.sinceMs),
      promised: waiting.promised ?? null,
      expected_ms: this.#expectedMs(position),
    }
  }

  oldestWaitMs(): number {
    const since = this.#line.oldestSinceMs()
    return since === undefined ? 0 : this.#clock.now() - since
  }

  /** Seats of loaded models, else one for each backend that could load something. */
  capacity(): number {
    let seats = 0
    for (const endpoint of this.#pool.endpoints)
      if (endpoint.enabled && endpoint.ready) seats += endpoint.capacity
    return seats
  }

  /** How long a newcomer would wait, as far as the last answers tell. */
  estimatedWaitMs(): number {
    return this.#line.size === 0 ? 0 : this.#expectedMs(this.#line.size + 1)
  }

  /** For the one at this place in line, from 1. */
  #expectedMs(place: number): number {
    return Math.round((place * (this.#serviceMs.value ?? 1_000)) / Math.max(1, this.capacity()))
  }

  /** An exchange held its seat this long. */
  served(tookMs: number): void {
    this.#serviceMs.add(tookMs)
  }

  /** A seat that is free for this exchange at this moment; undefined: `lease` knows what there is to wait for. */
  leaseNow(exchange: Exchange): Lease | undefined {
    const now = this.#now(exchange, this.#alone(exchange))
    return now?.kind === 'taken' ? now.lease : undefined
  }

  /**
   * A seat for this exchange, now or when one comes free. Throws NobodyCan, NotWanted, or a Failure when the queue is
   * full or the wait too long.
   */
  async lease(exchange: Exchange): Promise<Lease> {
    const alone = this.#alone(exchange)
    const now = this.#now(exchange, alone)
    if (now?.kind === 'nobody') throw new NobodyCan(now.bars)
    if (now?.kind === 'taken') return now.lease
    return await this.#wait(exchange, alone)
  }

  firstWordOf(lease: Lease): FirstWord | undefined {
    return this.#watch.firstWordOf(lease)
  }

  leaseBeside(
    exchange: Exchange,
    first: Endpoint,
    readSMax: number,
    mayTake: (endpoint: Endpoint) => boolean,
  ): Lease | undefined {
    const dispatcher = this.#dispatcher
    const line = this.#line
    const all = this.#needOf(exchange)
    // What is free is theirs who have no seat yet.
    if (line.size > 0 && (this.#walkDue || line.countOf(all.model) > 0)) return undefined
    const need = { ...all, beside: first.name }
    const may = ({ endpoint: name, asTry, isCold, place, cachedTokens, waiting }: Start) => {
      if (asTry || isCold || place.held) return false
      const streams = dispatcher.running.of(name).length + 1
      const readS = (waiting.work.promptTokens - cachedTokens) * prefillSAt(place.rates, streams)
      if (!(readS < readSMax)) return false
      const endpoint = this.#pool.endpoint(name)
      return endpoint !== undefined && mayTake(endpoint)
    }
    const start = dispatcher.decideBeside(need, exchange.size, line, this.#clock.now(), may)
    return start && this.#take(start, exchange)
  }

  /**
   * For a newcomer. Those in line could use nothing that is free now (or they would have it), so it overtakes nobody;
   * unless some of them wait for something better than what is free, and then it stands behind them first.
   */
  #now(
    exchange: Exchange,
    alone: Waiting,
  ): { kind: 'taken'; lease: Lease } | (Action<Waiting> & { kind: 'nobody' }) | undefined {
    const line = this.#line
    const { need } = alone
    // What takes no seat takes it from nobody.
    if (line.size > 0 && need.seat && (this.#walkDue || line.countOf(need.model) > 0))
      return undefined
    const action = this.#dispatcher.decideFor(alone, line, this.#clock.now())
    if (action?.kind === 'nobody') return action
    if (action?.kind !== 'start') return undefined
    // A try comes due by time alone: then it is for who waits, and the newcomer stands behind them.
    if (action.asTry && line.size > 0) {
      this.#walkSoon()
      return undefined
    }
    const lease = this.#take(action, exchange)
    return lease && { kind: 'taken', lease }
  }

  #alone(exchange: Exchange): Waiting {
    const { priority, deadlineMs, ask } = exchange.asked
    const nowMs = this.#clock.now()
    this.#dispatcher.arrived(ask.name.canonical, priority, nowMs)
    return {
      need: this.#needOf(exchange),
      key: '',
      work: this.#workOf(exchange),
      priority,
      sinceMs: nowMs,
      deadlineMs,
      promised: undefined,
    }
  }

  #workOf(exchange: Exchange): Work {
    return this.#dispatcher.workOf(exchange.size)
  }

  #needOf(exchange: Exchange): Need {
    const model = exchange.asked.ask.name.canonical
    return exchange.need(
      this.#pool.servingDigest(model),
      this.#dispatcher.costs.bytesPerToken(model),
    )
  }

  /** Choosing and counting are one act: nothing is decided between the two. */
  #take(start: Start, exchange: Exchange): Lease | undefined {
    const { need } = start.waiting
    const endpoint = this.#pool.endpoint(start.endpoint)
    const rests = () => endpoint?.model(need.model)?.admitting === false
    const rested = rests()
    // The first that is let in after a rest is the only one: its seat was planned for others as well.
    if (rested && !isKnownToRest(start)) return undefined
    const lease = endpoint?.take(need.model, { seat: need.seat, asTry: start.asTry })
    if (!lease) return undefined
    this.#watch.follow(lease, exchange, start)
    // This was that one. If all others rest as well, those who wait are asked for all the same.
    if (!rested && rests()) this.#walkSoon()
    return lease
  }

  #wait(exchange: Exchange, alone: Waiting): Promise<Lease> | Lease {
    if (exchange.endedBy) throw new NotWanted()
    // Who gave its seat away is not turned away: its client has half an answer, and it was us who cut it.
    const hasBegun = exchange.gaveWay
    if (!hasBegun && !exchange.asked.isOurs) {
      const lease = this.#letIn(exchange, alone)
      if (lease) return lease
    }
    return new Promise<Lease>((resolve, reject) => {
      const startedMs = alone.sinceMs
      const done = () => {
        limit[Symbol.dispose]()
        ended[Symbol.dispose]()
        exchange.waitMs += this.#clock.now() - startedMs
      }
      const waiting: InLine = {
        ...alone,
        exchange,
        tenant: exchange.asked.tenant,
        priority: exchange.asked.priority,
        model: alone.need.model,
        serviceS: alone.work.serviceS,
        hasBegun,
        key: needKey(alone.need),
        serve: (lease) => {
          done()
          resolve(lease)
        },
        giveUp: (why) => {
          this.#line.leave(waiting)
          done()
          reject(why)
        },
      }
      const { waitMsMax } = this.#settings
      const limitMs = hasBegun ? Math.max(waitMsMax, pausedMsMax) : waitMsMax
      const limit = this.#clock.after(limitMs, () =>
        waiting.giveUp(this.#tooLong(limitMs, hasBegun)),
      )
      if (!this.#digests.has(waiting.model)) this.#digests.set(waiting.model, waiting.need.digest)
      this.#line.join(waiting)
      this.#tickWhileSomebodyWaits()
      const ended = exchange.onEnd(() => waiting.giveUp(new NotWanted()))
      // Where others wait for this model on purpose, something less good may be free for the newcomer.
      if (this.#walkDue) return
      if (this.#line.countOf(waiting.model) > 1) this.#walk()
      else this.#letPeopleThrough()
    })
  }

  /** Throws where there is no place in line for it; a seat where one is left over. */
  #letIn(exchange: Exchange, alone: Waiting): Lease | undefined {
    if (this.#line.size >= this.#settings.waitingMax) {
      const lease = this.#leftOver(alone, exchange)
      if (lease) return lease
      this.#makeRoom(exchange)
    }
    this.#refuseGreed(exchange.asked.tenant)
    this.#refuseHopeless(alone, exchange.asked)
    return undefined
  }

  #tooLong(waitMsMax: number, hasBegun: boolean): Failure {
    const seconds = Math.round(waitMsMax / 1_000)
    const why = hasBegun ? 'for an answer that gave its own to a person' : '(queue.timeout)'
    return new Failure('queue_timeout', `no seat came free within ${seconds} s ${why}`, {
      retryAfterS: this.retryAfterS(),
    })
  }

  /** A seat that is free although the line is full, since those in it can not use it or wait for a better one. */
  #leftOver(alone: Waiting, exchange: Exchange): Lease | undefined {
    if (this.#walkDue || this.#settings.waitingMax === 0) return undefined
    const action = this.#dispatcher.decideFor(alone, this.#line, this.#clock.now())
    return action?.kind === 'start' && !action.asTry ? this.#take(action, exchange) : undefined
  }

  /** The queue is everybody's: one tenant leaves room for the others. */
  #refuseGreed(tenant: string): void {
    const { waitingMax, waitingPerTenantMax } = this.#settings
    const most = waitingPerTenantMax || Math.ceil(tenantShare * waitingMax)
    if (this.#line.countOfTenant(tenant) < most) return
    throw new Failure(
      'queue_share_full',
      `${most} requests of this tenant are waiting already (queue.max_per_tenant)`,
      { retryAfterS: this.retryAfterS() },
    )
  }

  /** Who can hardly be finished in time is told so at once: waiting would help neither it nor those behind it. */
  #refuseHopeless(alone: Waiting, { tenant, priority }: Pick<Asked, 'tenant' | 'priority'>): void {
    if (alone.deadlineMs === undefined || !alone.need.seat) return
    const nowMs = this.#clock.now()
    const ahead = this.#line.aheadOf(tenant, priority)
    const waitMs = ahead === 0 ? 0 : this.#expectedMs(ahead + 1)
    const leftS = (alone.deadlineMs - nowMs - waitMs) / 1_000
    if (this.#dispatcher.chanceWithin(alone, leftS, nowMs) >= chanceLeast) return
    throw new Failure('deadline_hopeless', 'it can hardly be answered before its deadline', {
      retryAfterS: this.retryAfterS(),
    })
  }

  /** Batch work steps back behind everybody, also where there is no room for all; throws where there is none. */
  #makeRoom({ asked }: Exchange): void {
    const last = asked.priority === 'batch' ? undefined : this.#line.lastInPlace()
    if (!last) throw this.#full()
    last.giveUp(this.#full())
  }

  #full(): Failure {
    const { waitingMax } = this.#settings
    const retryAfterS = this.retryAfterS()
    return waitingMax === 0
      ? new Failure('all_busy', 'every backend is busy and the queue is switched off', {
          retryAfterS,
        })
      : new Failure('queue_full', `${waitingMax} requests are waiting already (queue.max)`, {
          retryAfterS,
        })
  }

  /** Between a second and a minute: later would be a guess, and sooner a storm. */
  retryAfterS(): number {
    return Math.min(60, Math.max(1, Math.ceil(this.estimatedWaitMs() / 1_000)))
  }

  #walkSoon(): void {
    if (this.#walkDue || this.#line.size === 0) return
    this.#walkDue = true
    queueMicrotask(() => {
      this.#walkDue = false
      this.#walk()
    })
  }

  /** Until nothing begins any more: a seat that was taken may be followed by one that is worth a try. */
  #walk(): void {
    if (this.#line.size === 0) return
    this.#renew()
    while (this.#line.size > 0 && this.#step()) {}
    this.#letPeopleThrough()
  }

  #letPeopleThrough(): void {
    if (this.#settings.givesWay) this.#peopleFirst.look()
  }

  /** True: somebody was given a seat. */
  #step(): boolean {
    let begun = false
    for (const action of this.#dispatcher.decide(this.#line, this.#clock.now())) {
      const { waiting } = action
      if (action.kind === 'promise') waiting.promised = action.endpoint
      else if (action.kind === 'start') {
        const lease = this.#take(action, waiting.exchange)
        if (!lease) continue
        this.#line.served(waiting)
        waiting.serve(lease)
        begun = true
      } else if (!mayComeBack(action.bars)) waiting.giveUp(new NobodyCan(action.bars))
    }
    return begun
  }

  /** Which weights serve may have changed while somebody waited. */
  #renew(): void {
    for (const [model, digest] of this.#digests) {
      if (this.#line.countOf(model) === 0) {
        this.#digests.delete(model)
        continue
      }
      const serving = this.#pool.servingDigest(model)
      if (serving === digest) continue
      this.#digests.set(model, serving)
      for (const waiting of this.#line.waiters()) if (waiting.model === model) this.#rekey(waiting)
    }
  }

  #rekey(waiting: InLine): void {
    this.#line.rekey(waiting, () => {
      waiting.need = this.#needOf(waiting.exchange)
      waiting.key = needKey(waiting.need)
    })
  }

  #tickWhileSomebodyWaits(): void {
    if (this.#tick) return
    this.#tick = this.#clock.after(tickMs, () => {
      this.#tick = undefined
      if (this.#line.size === 0) return
      this.#walkSoon()
      this.#tickWhileSomebodyWaits()
    })
  }
}

/** Who already waits goes on waiting for a backend that may return; only what no waiting can mend ends it. */
function mayComeBack(bars: ReadonlyMap<string, Bar>): boolean {
  return [...bars.values()].some(
    (bar) => bar === 'away' || bar === 'resting' || bar === 'draining' || bar === 'loadsHang',
  )
}

/** It was chosen although it rests, since all do. */
function isKnownToRest({ endpoint, barred }: Start): boolean {
  return barred.some((each) => each.endpoint === endpoint && each.bar === 'resting')
}
