import type { Clock } from '../core/clock.ts'
import type { Figures } from '../core/observer.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Lease, LeaseWatcher } from '../pool/lease.ts'
import type { Decision } from '../routing/decisions.ts'
import type { Dispatcher } from '../routing/dispatcher.ts'
import { type FirstWord, firstWordOf } from '../routing/first-word.ts'
import type { Action, Waiting } from '../routing/plan.ts'
import type { Run } from '../routing/running.ts'
import type { Exchange } from './exchange.ts'

/** What the leases of one house are followed with. */
interface SeatDoors {
  readonly dispatcher: Dispatcher
  readonly clock: Clock
  readonly trustTurned: (model: string, why: string | undefined) => void
}

/** Follows every lease from the decision to its end, so that routing learns what became of it. */
export class SeatWatch {
  readonly #doors: SeatDoors

  constructor(
    dispatcher: Dispatcher,
    clock: Clock,
    trustTurned: (model: string, why: string | undefined) => void,
  ) {
    this.#doors = { dispatcher, clock, trustTurned }
  }

  /** The lease was taken as decided; to be called before the next decision. */
  follow(
    lease: Lease,
    exchange: Exchange,
    start: Action<Waiting> & { readonly kind: 'start' },
  ): void {
    const { dispatcher, clock } = this.#doors
    const nowMs = clock.now()
    const { substitute, rules, modelRule } = exchange
    const decision = dispatcher.noted(start, {
      substitute,
      rules,
      modelRule,
      id: exchange.asked.id,
      waitedMs: nowMs - start.waiting.sinceMs,
      atWallMs: clock.wall(),
    })
    const run = lease.seat && dispatcher.began(start, exchange.size, exchange, nowMs)
    lease.watcher = new Followed(this.#doors, decision, run, nowMs)
  }

  /** When the first word of who holds this lease was expected; undefined where nothing can be said of that. */
  firstWordOf({ watcher }: Lease): FirstWord | undefined {
    return watcher instanceof Followed ? watcher.firstWord : undefined
  }
}

class Followed implements LeaseWatcher {
  readonly #doors: SeatDoors
  readonly #decision: Decision
  /** Undefined for what takes no seat. */
  readonly #run: Run | undefined
  readonly #startedMs: number

  constructor(doors: SeatDoors, decision: Decision, run: Run | undefined, startedMs: number) {
    this.#doors = doors
    this.#decision = decision
    this.#run = run
    this.#startedMs = startedMs
  }

  get firstWord(): FirstWord | undefined {
    const run = this.#run
    if (!run) return undefined
    const { running } = this.#doors.dispatcher
    return firstWordOf(run, this.#decision.table, running.of(run.served.endpoint).length)
  }

  leaseLoaded(): void {
    const { dispatcher, clock } = this.#doors
    if (this.#run) dispatcher.loaded(this.#run, clock.now())
  }

  leaseSettled(outcome: Outcome, figures: Figures | undefined): void {
    const { dispatcher, clock, trustTurned } = this.#doors
    const nowMs = clock.now()
    this.#decision.tookMs = nowMs - this.#startedMs
    if (outcome.kind === 'gaveWay') this.#decision.gaveWay = outcome
    if (!this.#run) return
    const whole = outcome.kind === 'answered' && figures !== undefined
    if (!dispatcher.ended(this.#run, nowMs, { figures, whole })) return
    const { model } = this.#run.size
    trustTurned(model, dispatcher.costs.distrust(model))
  }
}
