import type { Figures } from '../core/observer.ts'
import { blame, type Outcome } from '../core/outcome.ts'
import type { Rostered } from '../core/roster.ts'
import type { Probes } from './breakers.ts'
import type { Endpoint } from './endpoint.ts'
import type { Seat } from './seats.ts'

/** Who wants to know how a lease goes. */
export interface LeaseWatcher {
  /** The model was not there and had to be loaded first; now it is. */
  leaseLoaded(): void
  /** It was given back. */
  leaseSettled(outcome: Outcome, figures: Figures | undefined): void
}

/**
 * One place at one endpoint, held: counted when it was chosen, given back exactly once. `using` gives it back on every
 * way out; an early `settle` says how the attempt ended.
 */
export class Lease implements Disposable, Rostered {
  readonly endpoint: Endpoint
  readonly model: string
  /** Undefined for work that takes no seat: show, tags, loads, cloud models. */
  readonly seat: Seat | undefined
  /** What this one was let in to find out, after a rest. */
  readonly probes: Probes
  /** Set by whoever uses the lease: called when the probes give the endpoint up before it said a word. */
  onAway: (() => void) | undefined
  /** Set by whoever took it. */
  watcher: LeaseWatcher | undefined
  /** Among those of its endpoint. */
  place = -1
  #settled = false

  constructor(endpoint: Endpoint, model: string, seat: Seat | undefined, probes: Probes) {
    this.endpoint = endpoint
    this.model = model
    this.seat = seat
    this.probes = probes
  }

  /**
   * Ends the hold. `forgiven` keeps a failure away from the breakers: a request that kills every runner it meets
   * must not take the fleet down with it.
   */
  settle(
    outcome: Outcome,
    more: {
      figures?: Figures | undefined
      firstByteMs?: number | undefined
      forgiven?: boolean
    } = {},
  ): void {
    if (this.#settled) return
    this.#settled = true
    const now = this.endpoint.now
    const answered = outcome.kind === 'answered'
    this.seat?.giveBack(
      now,
      answered ? { figures: more.figures, firstByteMs: more.firstByteMs } : undefined,
    )
    if (answered && more.figures && more.figures.outputNs > 0)
      this.endpoint.tokensPerSecond.add((more.figures.outputTokens * 1e9) / more.figures.outputNs)
    if (answered && more.firstByteMs !== undefined) this.endpoint.firstByteMs.add(more.firstByteMs)
    const faulty = blame(outcome) === 'backend'
    const unsent =
      outcome.kind === 'clientLeft' ||
      outcome.kind === 'overtaken' ||
      (outcome.kind === 'refused' && outcome.why === 'loadsHang')
    const nothing = unsent || (faulty && more.forgiven === true)
    this.endpoint.judge(this.model, outcome, nothing ? 'nothing' : faulty ? 'bad' : 'good', this)
    this.watcher?.leaseSettled(outcome, answered ? more.figures : undefined)
    this.endpoint.settled(this)
  }

  /** The load that it waited for is over. */
  loaded(): void {
    this.watcher?.leaseLoaded()
  }

  [Symbol.dispose](): void {
    this.settle({ kind: 'clientLeft' })
  }
}
