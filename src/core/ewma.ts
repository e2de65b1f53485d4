/** A moving average that forgets: each sample counts `share`, everything before it the rest. */
export class Ewma {
  readonly #share: number
  #value: number | undefined

  constructor(share: number) {
    this.#share = share
  }

  get value(): number | undefined {
    return this.#value
  }

  /** A sample that is no number would stay in the average for ever, so it is not taken. */
  add(sample: number): void {
    if (!Number.isFinite(sample)) return
    this.#value =
      this.#value === undefined ? sample : this.#value + this.#share * (sample - this.#value)
  }
}
