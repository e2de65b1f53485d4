/** Losses that lie no further apart belong together: a dying host takes all its connections within a few milliseconds. */
const togetherMsMax = 250

/** When connections to one server were lost in the middle of their work: the last burst of them. */
export class Losses {
  #fromMs = Number.NEGATIVE_INFINITY
  #toMs = Number.NEGATIVE_INFINITY
  #count = 0

  add(atMs: number): void {
    if (atMs - this.#toMs > togetherMsMax) {
      this.#fromMs = atMs
      this.#count = 0
    }
    this.#toMs = atMs
    this.#count++
  }

  /** Others were lost with the one at that moment. What is older than the last burst is not known: nobody is accused. */
  inCompany(atMs: number): boolean {
    return atMs < this.#fromMs || this.#count > 1
  }
}
