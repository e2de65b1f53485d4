/** Nonces of some minutes: eighty a second for two minutes, which is more than any fleet's agents join. */
const noncesMax = 10_000

/** What was signed once counts once. A nonce is remembered for as long as its signature could be believed. */
export class Replays {
  readonly #until = new Map<string, number>()
  readonly #keepMs: number

  /** `keepMs`: twice the difference of clocks that is tolerated. */
  constructor(keepMs: number) {
    this.#keepMs = keepMs
  }

  /** `full`: refused as well, since forgetting an old one would let it be played again. */
  see(nonce: string, nowMs: number): 'new' | 'seen' | 'full' {
    this.#forget(nowMs)
    if (this.#until.has(nonce)) return 'seen'
    if (this.#until.size >= noncesMax) return 'full'
    this.#until.set(nonce, nowMs + this.#keepMs)
    return 'new'
  }

  /** They were put in by time, so the oldest stand first. */
  #forget(nowMs: number): void {
    for (const [nonce, untilMs] of this.#until) {
      if (untilMs > nowMs) return
      this.#until.delete(nonce)
    }
  }
}
