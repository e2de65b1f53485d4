/** Four buckets for each doubling, from a microsecond to 71 minutes. */
const bucketsOfDoubling = 4
const bucketCount = 32 * bucketsOfDoubling
const countMax = 65_535

/**
 * How long one stream is silent between its pieces: a histogram with buckets that grow by a quarter of a doubling, 256
 * bytes for a stream of any length, and a few whole-number operations for each piece.
 */
export class Gaps {
  readonly #counts = new Uint16Array(bucketCount)
  #count = 0
  #tokens = 0
  /** −1 before the first: a field that is always a number has its value in place. */
  #lastMs = -1

  /** Frames that were heard: about as many tokens. */
  get tokens(): number {
    return this.#tokens
  }

  /** Milliseconds since the last piece, on the clock's `now`; 0 before the first. */
  silentMs(nowMs: number): number {
    return this.#lastMs < 0 ? 0 : nowMs - this.#lastMs
  }

  /** Bytes have come; `frames` of them were whole. */
  heard(nowMs: number, frames: number): void {
    const before = this.#lastMs
    this.#lastMs = nowMs
    this.#tokens += frames
    if (before < 0) return
    const us = Math.max(1, Math.min((nowMs - before) * 1_000, 4_294_967_295)) >>> 0
    const doubling = 31 - Math.clz32(us)
    const quarter = doubling >= 2 ? (us >>> (doubling - 2)) & 3 : 0
    const bucket = doubling * bucketsOfDoubling + quarter
    if (this.#counts[bucket] === countMax) this.#halve()
    this.#counts[bucket]!++
    this.#count++
  }

  /** The gap that 99 of 100 did not exceed, in milliseconds, up to a quarter too long; undefined before two pieces. */
  get p99Ms(): number | undefined {
    if (this.#count === 0) return undefined
    let above = Math.floor(this.#count / 100)
    for (let bucket = bucketCount - 1; bucket >= 0; bucket--) {
      above -= this.#counts[bucket]!
      if (above >= 0) continue
      const doubling = Math.floor(bucket / bucketsOfDoubling)
      const quarter = bucket % bucketsOfDoubling
      return (2 ** doubling * (1 + (quarter + 1) / bucketsOfDoubling)) / 1_000
    }
    return undefined
  }

  /** What is long ago counts less, and nothing runs over. */
  #halve(): void {
    this.#count = 0
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      this.#counts[bucket]! >>= 1
      this.#count += this.#counts[bucket]!
    }
  }
}
