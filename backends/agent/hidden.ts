import type { Figures } from '../../src/core/observer.ts'
import { hiddenMsOf } from '../../src/pool/seats.ts'

/** What was seen so long ago says nothing any more. */
const forgottenAfterMs = 30_000
/** A wait below this, and below this share of the whole, is overhead and nobody's request. */
const keptWaitingMsMin = 50
const keptWaitingShareMin = 0.1

/**
 * Requests at our Ollama that came past us. They can not be counted, only felt: with no more of ours there than slots,
 * one that was kept waiting for a slot met strangers in those that we had left free.
 */
export class Hidden {
  #strangers = 0
  #heardMs: number | undefined

  /** `ours`: seats that we held of the model when this request was sent, itself among them, of `limit` there are. */
  heard(figures: Figures | undefined, ours: number, limit: number, nowMs: number): void {
    const waitedMs = figures && hiddenMsOf({ figures, firstByteMs: undefined })
    if (figures === undefined || waitedMs === undefined) return
    const leastMs = Math.max(keptWaitingMsMin, (keptWaitingShareMin * figures.totalNs) / 1e6)
    const strangers = waitedMs > leastMs ? Math.max(1, limit - ours + 1) : 0
    const before = this.#faded(nowMs)
    // One that met nobody halves what others met a moment ago: they may have been elsewhere in the line.
    this.#strangers = strangers >= before ? strangers : (strangers + before) / 2
    this.#heardMs = nowMs
  }

  /** Undefined before any answer has told. */
  strangers(nowMs: number): number | undefined {
    return this.#heardMs === undefined ? undefined : Math.round(this.#faded(nowMs))
  }

  #faded(nowMs: number): number {
    if (this.#heardMs === undefined) return 0
    return this.#strangers * Math.max(0, 1 - (nowMs - this.#heardMs) / forgottenAfterMs)
  }
}
