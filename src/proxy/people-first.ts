import type { Clock } from '../core/clock.ts'
import type { Dispatcher } from '../routing/dispatcher.ts'
import type { WhyGiven } from '../routing/give-way.ts'
import type { Line, Waiter } from '../routing/line.ts'
import type { Waiting } from '../routing/plan.ts'
import { Exchange } from './exchange.ts'

/** A seat that was given up comes free within moments; where it did not, another one is asked for after this. */
const owedMsMax = 1_000

/**
 * Between two looks: one takes 0.4 ms with 64 backends and 1.4 with 256, and a busy fleet would have it look with every
 * seat that comes free. Who waits looks again by itself after a quarter of a second.
 */
const apartMs = 50

/** Cuts an answer that can go on later, so that its seat comes free for the request of that name; false: it can not. */
export type GiveWay = (exchange: Exchange, to: string, why: WhyGiven) => boolean

interface InLine extends Waiting, Waiter {
  readonly key: string
  readonly priority: Waiter['priority']
  readonly exchange: Exchange
}

/** Has batch work give its seats to people who wait, where that is worth it and its answer can go on later. */
export class PeopleFirst<W extends InLine> {
  readonly #line: Line<W>
  readonly #dispatcher: Dispatcher
  readonly #clock: Clock
  readonly #giveWay: GiveWay
  #lookedMs = Number.NEGATIVE_INFINITY
  /** Until when a seat is on its way to somebody, on the clock's `now`. */
  readonly #owed = new WeakMap<W, number>()

  constructor(line: Line<W>, dispatcher: Dispatcher, clock: Clock, giveWay: GiveWay) {
    this.#line = line
    this.#dispatcher = dispatcher
    this.#clock = clock
    this.#giveWay = giveWay
  }

  /** To be called when all was given that is free. */
  look(): void {
    if (this.#line.byPriority().interactive === 0 || !this.#dispatcher.running.hasBatch) return
    const nowMs = this.#clock.now()
    if (nowMs - this.#lookedMs < apartMs) return
    this.#lookedMs = nowMs
    this.#dispatcher.giveWay(this.#line, nowMs, {
      isOwed: (waiting) => (this.#owed.get(waiting) ?? 0) > nowMs,
      mayGive: ({ run: { progress } }, waiting, why) => {
        if (!(progress instanceof Exchange)) return false
        // By then it must be finished: an interruption is the last thing that it needs.
        if (progress.asked.deadlineMs !== undefined) return false
        if (!this.#giveWay(progress, waiting.exchange.asked.id, why)) return false
        this.#owed.set(waiting, nowMs + owedMsMax)
        return true
      },
    })
  }
}
