import type { Ask } from '../core/ask.ts'
import type { FirstWord } from '../routing/first-word.ts'

/** Of a hundred answers that come as expected, 95 have come by the mean and so many standard errors. */
const errorsP95 = 1.645
/** Nothing is late by less: a busy moment of a machine or a network takes as long. */
const lateMsLeast = 250

/** Beyond so many seconds of reading the second would rarely be the first, and take a seat for long. */
export const readSMax = 2

/** A second sending for so many requests at most, of all that could have had one. */
const shareMax = 0.02
/** What quiet hours leave for a bad moment: enough to be of use, and no second load on a fleet in trouble. */
const creditMax = 10

/**
 * Whether the answer can be heard to be late: one that comes in one piece tells nothing on its way, except that
 * embeddings take no longer than their reading.
 */
export function tellsWhenItBegins({ purpose, repeatable, framing, op, name }: Ask): boolean {
  if (purpose !== 'infer' || !repeatable || name.cloud) return false
  return framing !== 'json' || op === 'embed'
}

/** After how many milliseconds on its seat an answer that has not begun is late. */
export function lateAfterMs({ expectedS, errorS }: FirstWord): number {
  return expectedS * 1_000 + Math.max(lateMsLeast, errorsP95 * errorS * 1_000)
}

/** Second sendings that are left: begins with none, so that there are never more than their share. */
export class HedgeBudget {
  #credit = 0

  /** A request that could be sent a second time. */
  earn(): void {
    this.#credit = Math.min(creditMax, this.#credit + shareMax)
  }

  get has(): boolean {
    // Fifty shares of a fiftieth are not quite one.
    return this.#credit >= 1 - 1e-9
  }

  spend(): void {
    this.#credit = Math.max(0, this.#credit - 1)
  }
}
