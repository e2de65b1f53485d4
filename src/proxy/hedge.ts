import type { Clock } from '../core/clock.ts'
import type { Failure } from '../core/failure.ts'
import type { Observer } from '../core/observer.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Settings } from '../core/settings.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Lease } from '../pool/lease.ts'
import type { Pool } from '../pool/pool.ts'
import { candidatesFor } from '../routing/able.ts'
import type { Answer } from './answer.ts'
import type { AttemptDoors } from './attempt.ts'
import type { Exchange } from './exchange.ts'
import { HedgeBudget, lateAfterMs, readSMax, tellsWhenItBegins } from './hedge-decision.ts'
import { type Racing, Side } from './hedge-side.ts'
import type { Loads } from './loads.ts'
import type { Placing } from './placing.ts'
import { isWorthRetrying } from './retry.ts'
import type { WaitingRoom } from './waiting-room.ts'

export interface HedgeDoors extends AttemptDoors {
  readonly queue: WaitingRoom
  readonly loads: Pick<Loads, 'needed'>
  readonly clock: Clock
  readonly observer: Observer
  readonly settings: Settings
  readonly placing?: Placing | undefined
}

/** Who may be sent a second time when the answer is late to begin, and how often that happens. */
export class Hedging {
  readonly #doors: HedgeDoors
  readonly #budget = new HedgeBudget()

  constructor(doors: HedgeDoors) {
    this.#doors = doors
  }

  /** Its first attempt, as one that a second may join; undefined where it is sent once. */
  of(exchange: Exchange, lease: Lease, answer: Answer): Hedge | undefined {
    const { asked, attempts } = exchange
    const { queue, loads, settings } = this.#doors
    // What has failed once is on the way of retries, and parts are looked after by who has made them.
    if (attempts.length > 0 || asked.isPart || asked.pinned !== undefined) return undefined
    // Nobody waits for the first word of a batch.
    if (asked.priority === 'batch') return undefined
    if (settings.retries.furtherAttemptsMax < 1 || !tellsWhenItBegins(asked.ask)) return undefined
    // A body in a file is too long to be read anew in moments.
    if (!asked.body.bytes || !queue.leaseBeside) return undefined
    this.#budget.earn()
    // Whoever gives up a load that a server makes for a request ends that load.
    if (loads.needed(lease.endpoint, asked.ask)) return undefined
    const firstWord = queue.firstWordOf?.(lease)
    if (!firstWord) return undefined
    const lateMs = lateAfterMs(firstWord)
    return new Hedge(exchange, lease, answer, lateMs, this.#budget, this.#doors)
  }
}

/** A side that is out while the other one goes on: to be settled in this very tick. */
export type SideOut = (held: Pick<Side, 'lease' | 'takenMs'>, outcome: Outcome) => void

/**
 * An attempt that is joined by a second one elsewhere when its answer is late to begin. The first byte wins: the other
 * connection is closed in the same tick, which is how a backend learns that nobody waits for it. One that fails before
 * leaves it to the other; what came of the last one is what came of both.
 */
export class Hedge implements Racing, Disposable {
  readonly #exchange: Exchange
  readonly #answer: Answer
  readonly #doors: HedgeDoors
  readonly #budget: HedgeBudget
  readonly #first: Side
  #second: Side | undefined
  #winner: Side | undefined
  #counts: Side
  #lateMs: number
  #timer: Disposable | undefined
  #out: SideOut = nobodyHears
  #told: { resolve(outcome: Outcome): void; reject(error: Failure): void } | undefined

  constructor(
    exchange: Exchange,
    lease: Lease,
    answer: Answer,
    lateMs: number,
    budget: HedgeBudget,
    doors: HedgeDoors,
  ) {
    this.#exchange = exchange
    this.#answer = answer
    this.#lateMs = lateMs
    this.#budget = budget
    this.#doors = doors
    this.#first = new Side(this, lease, doors.clock.now())
    this.#counts = this.#first
  }

  /** Ends with how it went at `counts`. Throws only when the fault is ours. */
  run(out: SideOut): Promise<Outcome> {
    this.#out = out
    return new Promise((resolve, reject) => {
      this.#told = { resolve, reject }
      this.#begin(this.#first)
      if (!this.#first.isOut) this.#lookAfter(this.#lateMs)
    })
  }

  /** Whose outcome it is: the winner's, or that of the one that was left. */
  get counts(): Side {
    return this.#counts
  }

  get answer(): Answer {
    return this.#answer
  }

  isLast(side: Side): boolean {
    return this.#besides(side) === undefined
  }

  won(side: Side): void {
    this.#winner = side
    this.#stopLooking()
    const other = this.#besides(side)
    if (other) this.#drop(other, overtaken)
    this.#goOnWith(side)
  }

  over(side: Side, outcome: Outcome): void {
    this.#noteSending(side, outcome)
    const other = this.#besides(side)
    if (other && isWorthRetrying(outcome)) {
      this.#out(side, outcome)
      return this.#goOnWith(other)
    }
    this.#finish(side, outcome)
    this.#told?.resolve(outcome)
  }

  failed(side: Side, error: Failure): void {
    this.#finish(side, overtaken)
    this.#told?.reject(error)
  }

  /** The one that counts has failed: whoever was slower than it is asked again only where nobody else is there. */
  leaveSlower(pool: Pool): void {
    if (!this.#winner || !this.#second) return
    const { name } = (this.#winner === this.#second ? this.#first : this.#second).lease.endpoint
    const { name: failed } = this.#winner.lease.endpoint
    const need = this.#exchange.need(
      pool.servingDigest(this.#first.lease.model),
      bytesPerTokenLeast,
    )
    const others = candidatesFor(pool.endpoints, need, []).some(
      ({ endpoint }) => endpoint.name !== name && endpoint.name !== failed,
    )
    if (others) this.#exchange.hasTried({ name })
  }

  /** What was not settled by then is given back. */
  [Symbol.dispose](): void {
    this.#stopLooking()
    this.#second?.lease[Symbol.dispose]()
  }

  #begin(side: Side): void {
    const { placing } = this.#doors
    side.sending = placing?.sent(this.#exchange, side.lease.endpoint.name)
    side.start(this.#exchange, this.#doors)
  }

  #lookAfter(ms: number): void {
    this.#timer = this.#doors.clock.after(ms, () => this.#join())
  }

  #stopLooking(): void {
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
  }

  /** It is late: where a seat is free at this moment it is sent there too, else it is looked for again later. */
  #join(): void {
    const lease = this.#budget.has ? this.#seatElsewhere() : undefined
    if (!lease) {
      // Later and later: in a fleet that is full everybody is late, and nobody should have to ask all the time.
      this.#lookAfter(this.#lateMs)
      this.#lateMs *= 2
      return
    }
    this.#timer = undefined
    this.#budget.spend()
    this.#second = new Side(this, lease, this.#doors.clock.now())
    this.#begin(this.#second)
    // Until one of them has won, the first is the one that is looked after.
    if (!this.#first.isOut) this.#exchange.attempt = this.#first.attempt
  }

  /** Neither there nor where it is a load may be under way. */
  #seatElsewhere(): Lease | undefined {
    const { loads, queue } = this.#doors
    const { ask } = this.#exchange.asked
    const first = this.#first.lease.endpoint
    if (loads.needed(first, ask)) return undefined
    const isWarm = (endpoint: Endpoint) => !loads.needed(endpoint, ask)
    return queue.leaseBeside?.(this.#exchange, first, readSMax, isWarm)
  }

  /** The other one, if it is under way. */
  #besides(side: Side): Side | undefined {
    const other = side === this.#first ? this.#second : this.#first
    return other && !other.isOut ? other : undefined
  }

  #goOnWith(side: Side): void {
    this.#counts = side
    this.#exchange.backend = side.lease.endpoint.name
    this.#exchange.seatedMs = side.takenMs
    this.#exchange.attempt = side.attempt
  }

  #drop(side: Side, outcome: Outcome): void {
    side.end(outcome)
    this.#noteSending(side, outcome)
    this.#out(side, outcome)
  }

  #noteSending(side: Side, outcome: Outcome): void {
    const { sending, lease } = side
    if (sending) this.#doors.placing?.ended(this.#exchange, lease.endpoint, sending, outcome)
  }

  /** The request itself is at fault, nobody wants its answer, or it is whole: the other one could do no better. */
  #finish(side: Side, outcome: Outcome): void {
    this.#stopLooking()
    this.#counts = side
    const other = this.#besides(side)
    if (other) this.#drop(other, outcome.kind === 'clientLeft' ? outcome : overtaken)
    if (!this.#second) return
    this.#doors.observer.hedged({
      first: this.#first.lease.endpoint.name,
      second: this.#second.lease.endpoint.name,
      result: this.#winner === this.#second ? 'won' : 'lost',
    })
  }
}

/** No text makes more tokens: nobody is counted on whose context might be too small. */
const bytesPerTokenLeast = 1

const overtaken: Outcome = { kind: 'overtaken', text: 'another backend was faster' }

function nobodyHears(): void {}
