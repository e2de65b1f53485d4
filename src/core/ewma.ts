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

  add(sample: number): void {
    this.#value =
      this.#value === undefined ? sample : this.#value + this.#share * (sample - this.#value)
  }
}
