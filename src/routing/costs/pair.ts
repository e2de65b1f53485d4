import { Slope } from './slope.ts'

/** Prompts below this are mostly overhead, and tell little about a token. */
const promptTokensMin = 64
/** Answers of so many tokens are a full sample of the time for one. */
const outTokensFull = 32
/** A moment without the processor makes a time longer by so much: five quick tokens may look five times as slow. */
const blurS = 0.02
/** A prompt read in less than this share of the expected time was not read: most of it was in the cache. */
const hitShare = 0.5
/** So many of those in a row with no hit expected are no hits: the machine is faster than believed. */
const hitsInRowMax = 8

/** With a larger share of the prompt expected in the cache its time says little about the speed. */
const cachedShareMax = 0.2

/** One model at one endpoint: how fast it reads and how fast it writes. */
export class Pair {
  readonly prefill = new Slope()
  readonly decode = new Slope()
  /** Another number with each sample. */
  version = 0
  #hitsInRow = 0
  #isKnown = false

  get samples(): number {
    return Math.max(this.decode.samples, this.prefill.samples)
  }

  /** Nothing of it has to be guessed. Once it is so it stays so, and each decision asks for it at every place. */
  get isKnown(): boolean {
    if (!this.#isKnown) this.#isKnown = this.decode.samples > 0 && this.prefill.samples > 0
    return this.#isKnown
  }

  learnDecode(tokens: number, seconds: number, streams: number): void {
    // The first token belongs to the prompt.
    if (tokens < 2) return
    const weight = Math.min(1, tokens / outTokensFull)
    this.decode.learn(seconds / tokens, streams, weight, blurS / tokens)
  }

  /**
   * `cached`: tokens that were expected not to be read. Gives the tokens that, by what is known of the speed, were not;
   * undefined while nothing is known.
   */
  learnPrefill(
    tokens: number,
    cached: number,
    seconds: number,
    streams: number,
  ): number | undefined {
    const known = this.prefill.samples > 0
    const expectedS = this.prefill.at(streams)
    const notRead = known ? Math.max(0, tokens - seconds / expectedS) : undefined
    const read = tokens - cached
    if (tokens < promptTokensMin) return notRead
    if (known && seconds / tokens < hitShare * expectedS) {
      if (cached > 0 || ++this.#hitsInRow < hitsInRowMax) return notRead
    } else this.#hitsInRow = 0
    // A hit that was expected and did not come would make the machine look slow; what is sure teaches enough.
    if (known && cached > cachedShareMax * tokens) return notRead
    if (read >= promptTokensMin) this.prefill.learn(seconds / read, streams, 1, blurS / read)
    return notRead
  }
}
