import type { Clock } from '../core/clock.ts'
import { Ewma } from '../core/ewma.ts'
import { Failure } from '../core/failure.ts'
import type { QueueSettings, RoutingSettings } from '../core/settings.ts'
import type { Lease } from '../pool/lease.ts'
import type { Pool } from '../pool/pool.ts'
import { type Choice, choose } from '../routing/choose.ts'
import type { Bar } from '../routing/filters.ts'
import { Line, type Priority, type Waiter } from '../routing/line.ts'
import { type Need, needKey } from '../routing/need.ts'
import { Turns } from '../routing/pickers.ts'
import type { Exchange } from './exchange.ts'
import type { WaitingRoom } from './waiting-room.ts'

/** Bytes of text that make a token, for asking whether a prompt fits; English prose has a little over four. */
const bytesPerToken = 4
/** Some things come true by time alone (a try that is due again): who waits looks again this often. */
const tickMs = 1_000

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

interface Waiting extends Waiter {
  readonly exchange: Exchange
  need: Need
  key: string
  generation: number
  readonly serve: (lease: Lease) => void
  readonly giveUp: (why: Error) => void
}

/**
 * The queue in front of the fleet. A request is sent only into a free seat; until there is one it waits here, where
 * priority, order and leaving are ours to decide (Ollama's own queue is unbounded and blind). It is walked so that
 * each waiter takes the first seat that it can use: a waiter for one model never holds up another.
 */
export class Queue implements WaitingRoom {
  readonly #pool: Pool
  #settings: QueueSettings
  #routing: RoutingSettings
  readonly #clock: Clock
  readonly #line: Line<Waiting>
  readonly #turns = new Turns()
  readonly #serviceMs = new Ewma(0.1)
  readonly #byKey = new Map<string, number>()
  #generation = 0
  #walkDue = false
  #tick: Disposable | undefined

  constructor(
    pool: Pool,
    settings: { queue: QueueSettings; routing: RoutingSettings },
    clock: Clock,
  ) {
    this.#pool = pool
    this.#settings = settings.queue
    this.#routing = settings.routing
    this.#clock = clock
    this.#line = new Line(settings.queue.priorityAcrossTenants)
    pool.onChange(() => {
      this.#generation++
      this.#walkSoon()
    })
  }

  /** After a reload: for who comes next, and for the order of those who wait. */
  reconfigure(settings: { queue: QueueSettings; routing: RoutingSettings }): void {
    this.#settings = settings.queue
    this.#routing = settings.routing
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
    for (const { need } of this.#line.waiters()) counts[need.model] = (counts[need.model] ?? 0) + 1
    return counts
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
    if (this.#line.size === 0) return 0
    return Math.round(
      ((this.#line.size + 1) * (this.#serviceMs.value ?? 1_000)) / Math.max(1, this.capacity()),
    )
  }

  /** An exchange held its seat this long. */
  served(tookMs: number): void {
    this.#serviceMs.add(tookMs)
  }

  /** A seat that is free for this exchange at this moment; undefined: `lease` knows what there is to wait for. */
  leaseNow(exchange: Exchange): Lease | undefined {
    if (this.#walkDue && this.#line.size > 0) return undefined
    const now = this.#tryNow(this.#needOf(exchange), 'newcomer')
    return now.kind === 'taken' ? now.lease : undefined
  }

  /**
   * A seat for this exchange, now or when one comes free. Throws NobodyCan, NotWanted, or a Failure when the queue is
   * full or the wait too long.
   */
  async lease(exchange: Exchange): Promise<Lease> {
    const need = this.#needOf(exchange)
    // Nobody in line could use what is free now (or they would have it), so a newcomer overtakes nobody.
    const now = this.#walkDue && this.#line.size > 0 ? undefined : this.#tryNow(need, 'newcomer')
    if (now?.kind === 'nobody') throw new NobodyCan(now.bars)
    if (now?.kind === 'taken') return now.lease
    return await this.#wait(exchange, need)
  }

  #needOf(exchange: Exchange): Need {
    return exchange.need(this.#pool.servingDigest(exchange.asked.ask.name.canonical), bytesPerToken)
  }

  #tryNow(
    need: Need,
    who: 'newcomer' | 'waiter',
  ): { kind: 'taken'; lease: Lease } | { kind: 'wait' } | (Choice & { kind: 'nobody' }) {
    const choice = choose(this.#pool.endpoints, need, this.#turns, this.#routing)
    if (choice.kind !== 'take') return choice
    // A try comes due by time alone: then it is for who waits, and the newcomer stands behind them.
    if (choice.asTry && who === 'newcomer' && this.#line.size > 0) {
      this.#walkSoon()
      return { kind: 'wait' }
    }
    const endpoint = this.#pool.endpoint(choice.endpoint)
    const lease = endpoint?.take(need.model, { seat: need.seat, asTry: choice.asTry })
    return lease ? { kind: 'taken', lease } : { kind: 'wait' }
  }

  #wait(exchange: Exchange, need: Need): Promise<Lease> {
    if (exchange.endedBy) throw new NotWanted()
    if (this.#line.size >= this.#settings.waitingMax) throw this.#full()
    return new Promise<Lease>((resolve, reject) => {
      const startedMs = this.#clock.now()
      const done = () => {
        limit[Symbol.dispose]()
        ended[Symbol.dispose]()
        exchange.waitMs += this.#clock.now() - startedMs
      }
      const waiting: Waiting = {
        exchange,
        tenant: exchange.asked.tenant,
        priority: exchange.asked.priority,
        sinceMs: startedMs,
        need,
        key: needKey(need),
        generation: this.#generation,
        serve: (lease) => {
          done()
          resolve(lease)
        },
        giveUp: (why) => {
          this.#leave(waiting)
          done()
          reject(why)
        },
      }
      const limit = this.#clock.after(this.#settings.waitMsMax, () => {
        const seconds = Math.round(this.#settings.waitMsMax / 1_000)
        waiting.giveUp(
          new Failure('queue_timeout', `no seat came free within ${seconds} s (queue.timeout)`, {
            retryAfterS: this.retryAfterS(),
          }),
        )
      })
      this.#join(waiting)
      const ended = exchange.onEnd(() => waiting.giveUp(new NotWanted()))
    })
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

  #join(waiting: Waiting): void {
    this.#line.join(waiting)
    this.#byKey.set(waiting.key, (this.#byKey.get(waiting.key) ?? 0) + 1)
    this.#tickWhileSomebodyWaits()
  }

  #leave(waiting: Waiting): void {
    if (!this.#line.leave(waiting)) return
    this.#countOut(waiting.key)
  }

  #countOut(key: string): void {
    const left = (this.#byKey.get(key) ?? 1) - 1
    if (left > 0) this.#byKey.set(key, left)
    else this.#byKey.delete(key)
  }

  #walkSoon(): void {
    if (this.#walkDue || this.#line.size === 0) return
    this.#walkDue = true
    queueMicrotask(() => {
      this.#walkDue = false
      this.#walk()
    })
  }

  #walk(): void {
    const stuck = new Set<string>()
    for (const waiting of this.#line.inOrder()) {
      // Every kind of need in line has been tried and found nothing: the rest need not be looked at.
      if (stuck.size >= this.#byKey.size) return
      this.#renew(waiting)
      if (stuck.has(waiting.key)) continue
      const result = this.#tryNow(waiting.need, 'waiter')
      if (result.kind === 'taken') {
        if (this.#line.served(waiting)) this.#countOut(waiting.key)
        waiting.serve(result.lease)
      } else if (result.kind === 'nobody' && !mayComeBack(result.bars)) {
        waiting.giveUp(new NobodyCan(result.bars))
      } else {
        stuck.add(waiting.key)
      }
    }
  }

  /** Which weights serve may have changed while it waited. */
  #renew(waiting: Waiting): void {
    if (waiting.generation === this.#generation) return
    waiting.generation = this.#generation
    const need = this.#needOf(waiting.exchange)
    if (need.digest === waiting.need.digest) return
    this.#countOut(waiting.key)
    waiting.need = need
    waiting.key = needKey(need)
    this.#byKey.set(waiting.key, (this.#byKey.get(waiting.key) ?? 0) + 1)
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
  return [...bars.values()].some((bar) => bar === 'away' || bar === 'resting' || bar === 'draining')
}
