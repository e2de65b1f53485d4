/** Three buckets for each doubling, up to 2^18 tokens: a length is known to within an eighth of itself. */
const bucketsOfDoubling = 3
const bucketCount = 18 * bucketsOfDoubling
/** What older answers count when a new one comes: about the last hundred are remembered. */
const keptShare = 0.99
/** Past everything that was ever seen a text is as likely to go on as one with this share of its length to come. */
const unheardOfShare = 0.3

const middles = new Float64Array(bucketCount)
for (let at = 0; at < bucketCount; at++) middles[at] = 2 ** ((at + 0.5) / bucketsOfDoubling)

function bucketOf(tokens: number): number {
  if (!(tokens > 1)) return 0
  return Math.min(bucketCount - 1, Math.floor(Math.log2(tokens) * bucketsOfDoubling))
}

/**
 * How long answers are: an empirical distribution that forgets. A mean alone says nothing about how much is left of one
 * that runs already; the distribution does (its mean residual life).
 */
export class Lengths {
  readonly #weights = new Float64Array(bucketCount)
  /** Sums of weights, and of weights times lengths, from a bucket to the end. */
  readonly #above = new Float64Array(bucketCount + 1)
  readonly #tokensAbove = new Float64Array(bucketCount + 1)
  /** The last bucket that anything was ever in: behind it all of these are 0. */
  #last = 0

  /** Samples that are remembered, the older ones counted less. */
  get weight(): number {
    return this.#above[0]!
  }

  add(tokens: number, weight = 1): void {
    if (!(tokens >= 0) || !Number.isFinite(tokens)) return
    const into = bucketOf(tokens)
    if (into > this.#last) this.#last = into
    const weights = this.#weights
    const aboves = this.#above
    const tokensAboves = this.#tokensAbove
    let above = 0
    let tokensAbove = 0
    for (let at = this.#last; at >= 0; at--) {
      const own = weights[at]! * keptShare + (at === into ? weight : 0)
      weights[at] = own
      above += own
      tokensAbove += own * middles[at]!
      aboves[at] = above
      tokensAboves[at] = tokensAbove
    }
  }

  /** The same distribution, as if so many samples had told it. */
  worth(samples: number): Lengths {
    const lengths = new Lengths()
    const share = this.weight > 0 ? samples / this.weight : 0
    for (let at = 0; at <= this.#last; at++) {
      lengths.#weights[at] = this.#weights[at]! * share
      lengths.#above[at] = this.#above[at]! * share
      lengths.#tokensAbove[at] = this.#tokensAbove[at]! * share
    }
    lengths.#last = this.#last
    return lengths
  }

  /** Tokens still to come after so many, where no more than `max` are allowed. */
  residual(written: number, max: number): number {
    if (written >= max) return 0
    const from = written <= 0 ? 0 : Math.min(bucketCount, bucketOf(written) + 1)
    const above = this.#above[from]!
    if (above < 0.02) return Math.min(max - written, Math.max(1, written * unheardOfShare))
    const cut = max >= middles[bucketCount - 1]! ? bucketCount : bucketOf(max)
    if (cut <= from) return Math.max(0, max - written)
    const tokens =
      this.#tokensAbove[from]! - this.#tokensAbove[cut]! + this.#above[cut]! * Math.min(max, 1e9)
    return Math.max(0, tokens / above - written)
  }

  /** Expected tokens of a whole answer of at most `max`. */
  mean(max: number): number {
    return this.residual(0, max)
  }

  /** The share of answers with at most so many tokens. */
  shareUpTo(tokens: number): number {
    const all = this.#above[0]!
    return all === 0 ? 0 : 1 - this.#above[bucketOf(tokens)]! / all
  }
}

/** Lengths with one value: what is assumed before anything was seen. */
export function lengthsAround(mean: number): Lengths {
  const lengths = new Lengths()
  // Half, one and two and a half times, evenly: roughly the spread of answers to people (mean / median about 1.6).
  for (const share of [0.2, 0.5, 0.8, 2.5]) lengths.add(mean * share)
  return lengths
}
