import { Recent } from '../../core/recent.ts'

/** Rates over a minute and over ten: the first sees a change, the second what is usual. */
const shortS = 60
const longS = 600
/** A rate is not taken of less than this, or the first request would make a flood. */
const ageSMin = 30
const usualMin = 2.5
/** More models than a fleet serves in ten minutes; the one unasked longest is forgotten. */
const modelsMax = 1_000

interface Row {
  short: number
  long: number
  sinceMs: number
  lastMs: number
}

/** How often each model is asked for. Exponentially forgotten counts: two numbers a model, no timers. */
export class Demand {
  readonly #rows = new Recent<string, Row>(modelsMax)

  arrived(model: string, nowMs: number): void {
    let row = this.#rows.get(model)
    if (!row) {
      row = { short: 0, long: 0, sinceMs: nowMs, lastMs: nowMs }
      this.#rows.set(model, row)
    }
    const passedS = (nowMs - row.lastMs) / 1_000
    row.short = row.short * Math.exp(-passedS / shortS) + 1
    row.long = row.long * Math.exp(-passedS / longS) + 1
    row.lastMs = nowMs
  }

  /** Requests a second, now: the mean of both rates, since either alone is late or restless. */
  perSecond(model: string, nowMs: number): number {
    const row = this.#rows.peek(model)
    if (!row) return 0
    return (rate(row.short, shortS, row, nowMs) + rate(row.long, longS, row, nowMs)) / 2
  }

  /** Asked for more than once or twice in the last minutes: what is loaded ahead is loaded for that. */
  isUsual(model: string, nowMs: number): boolean {
    const row = this.#rows.peek(model)
    if (!row) return false
    return row.long * Math.exp(-(nowMs - row.lastMs) / 1_000 / longS) >= usualMin
  }

  /** When it was asked for last; -Infinity: not that anybody remembers. */
  lastMs(model: string): number {
    return this.#rows.peek(model)?.lastMs ?? Number.NEGATIVE_INFINITY
  }

  *models(): Iterable<string> {
    for (const [model] of this.#rows) yield model
  }
}

function rate(count: number, overS: number, { lastMs, sinceMs }: Row, nowMs: number): number {
  const left = count * Math.exp(-(nowMs - lastMs) / 1_000 / overS)
  const ageS = Math.max(ageSMin, (nowMs - sinceMs) / 1_000)
  // What has been counted for less than its span stands for the whole of it.
  return left / (overS * (1 - Math.exp(-ageS / overS)))
}
