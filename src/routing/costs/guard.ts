import { Recent } from '../../core/recent.ts'

/** So many predictions are looked at together. */
const windowSize = 50
/** Half of them off by more than this: they are not used any more. */
const badAt = 0.6
/** Half of them off by less than this: they are used again. */
const goodAt = 0.4
const modelsMax = 1_000

interface Row {
  readonly errors: Float64Array
  count: number
  bad: boolean
  median: number
}

/**
 * Whether predictions hold, model by model. What is compared is the time for the tokens that there were: how long an
 * answer would be nobody could know, and that is no fault of the beliefs about machines.
 */
export class Guard {
  readonly #rows = new Recent<string, Row>(modelsMax)
  readonly #sorted = new Float64Array(windowSize)

  /** Gives true when this turned the verdict over. */
  compare(model: string, predictedS: number, tookS: number): boolean {
    if (!(predictedS > 0) || !(tookS > 0)) return false
    let row = this.#rows.get(model)
    if (!row) {
      row = { errors: new Float64Array(windowSize), count: 0, bad: false, median: 0 }
      this.#rows.set(model, row)
    }
    row.errors[row.count++ % windowSize] = Math.abs(predictedS - tookS) / tookS
    // Every tenth time is soon enough, and sorting costs.
    if (row.count < windowSize || row.count % 10 !== 0) return false
    this.#sorted.set(row.errors)
    row.median = this.#sorted.sort()[windowSize >> 1]!
    const was = row.bad
    row.bad = row.median > (was ? goodAt : badAt)
    return row.bad !== was
  }

  isBad(model: string): boolean {
    return this.#rows.peek(model)?.bad === true
  }

  /** Half of the last predictions were off by more than this share; 0 before there were enough. */
  medianError(model: string): number {
    return this.#rows.peek(model)?.median ?? 0
  }

  /** Models whose predictions are not used at present. */
  bad(): string[] {
    return [...this.#rows].filter(([, { bad }]) => bad).map(([model]) => model)
  }
}
