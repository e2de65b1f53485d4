/** What older samples count when a new one comes: about the last thirty are remembered. */
const keptShare = 0.97
/** A sample further off than this many times the usual error counts as if it were only so far off. */
const clipAt = 4
/** Standard error of a guess, as a share of it: as if there had been one sample. */
export const errorOfGuess = 0.19
/** What a clock may be off by is assumed for fewer samples than these. */
const blurAssumedFor = 16
/** So many of those in a row, all on one side, are no accidents: the machine has changed. */
const changedAfter = 3
/** Where nothing was measured beside others: each further stream makes a token so much slower. */
export const slopeUsual = 0.25
const slopeMax = 3
/** What the usual slope counts, in samples: enough to hold it where all samples were taken beside as many others. */
const slopeAssumed = 4

/**
 * How long one token takes as a function of how many streams run: `base + extra * (streams - 1)`, by recursive least
 * squares with forgetting, in which no single sample counts for much more than the usual error.
 */
export class Slope {
  #base = 0
  #slope = slopeUsual
  /** Sums over the samples, older ones counted less: weights, and products of streams beside and seconds. */
  #w = 0
  #x = 0
  #y = 0
  #xx = 0
  #xy = 0
  /** Of squared weights: how many full samples all of them are worth. And of squared weighted blurs. */
  #ww = 0
  #blur = 0
  #error = 0
  #samples = 0
  #strays = 0

  get samples(): number {
    return this.#samples
  }

  /** Seconds for one token alone. */
  get base(): number {
    return this.#base
  }

  /** Share by which each further stream slows a token down. */
  get slope(): number {
    return this.#slope
  }

  /** The usual error, as a share of `base`. */
  get spread(): number {
    return this.#base > 0 ? this.#error / this.#base : 1
  }

  /**
   * Standard error of `base`, as a share of it: the spread of the samples, how few they are, and their blur, until they
   * are so many that their spread has shown what the clock is off by here.
   */
  get error(): number {
    if (!(this.#w > 0) || this.#base <= 0) return errorOfGuess
    // A mean absolute error is about 0.8 of the standard deviation.
    const spreadS = 1.25 * this.#error
    // As many samples of one weight would say as much (Kish's effective sample size).
    const count = this.#w ** 2 / this.#ww
    const blur = this.#blur * Math.max(0, 1 - count / blurAssumedFor)
    return Math.sqrt(spreadS * spreadS * this.#ww + blur) / (this.#w * this.#base)
  }

  at(streams: number): number {
    return this.#base * (1 + this.#slope * Math.max(0, streams - 1))
  }

  /**
   * `secondsEach` token, with so many streams on average. `weight`: 1 for a full sample, less for a short one. `blurS`:
   * what the clock may have been off by, for each token.
   */
  learn(secondsEach: number, streams: number, weight = 1, blurS = 0): void {
    if (!(secondsEach > 0) || !Number.isFinite(secondsEach) || !(weight > 0)) return
    const beside = Math.max(0, streams - 1)
    this.#samples++
    if (this.#samples === 1) {
      this.#begin(secondsEach, beside, weight, blurS)
      return
    }
    let error = secondsEach - this.at(streams)
    const usual = Math.max(this.#error, 0.02 * this.#base)
    if (Math.abs(error) > clipAt * usual) {
      this.#strays = error > 0 ? Math.max(1, this.#strays + 1) : Math.min(-1, this.#strays - 1)
      if (Math.abs(this.#strays) >= changedAfter) {
        this.#begin(secondsEach, beside, weight, blurS)
        return
      }
      error = Math.sign(error) * clipAt * usual
    } else this.#strays = 0
    // The error grows with strays as well, but slowly, or one of them would open the door for the next.
    this.#error += 0.1 * (Math.abs(error) - this.#error)
    this.#step(this.at(streams) + error, beside, weight, blurS)
  }

  #begin(secondsEach: number, beside: number, weight: number, blurS: number): void {
    this.#base = secondsEach / (1 + this.#slope * beside)
    this.#error = 0.15 * secondsEach
    this.#w = this.#x = this.#y = this.#xx = this.#xy = this.#ww = this.#blur = 0
    this.#strays = 0
    this.#add(secondsEach, beside, weight, blurS)
  }

  #add(y: number, x: number, weight: number, blurS: number): void {
    this.#w = keptShare * this.#w + weight
    this.#x = keptShare * this.#x + weight * x
    this.#y = keptShare * this.#y + weight * y
    this.#xx = keptShare * this.#xx + weight * x * x
    this.#xy = keptShare * this.#xy + weight * x * y
    this.#ww = keptShare ** 2 * this.#ww + weight * weight
    this.#blur = keptShare ** 2 * this.#blur + (weight * blurS) ** 2
  }

  /** Least squares, with the usual slope as if it had been seen a few times: one number can not run off with the other. */
  #step(secondsEach: number, beside: number, weight: number, blurS: number): void {
    this.#add(secondsEach, beside, weight, blurS)
    const level = this.#y / this.#w
    const middle = this.#x / this.#w
    const sxx = this.#xx - this.#x * middle
    const sxy = this.#xy - this.#x * level
    // base + extra * middle = level whatever the slope is, so that the usual slope stands for a usual extra.
    const usual = (level * slopeUsual) / (1 + slopeUsual * middle)
    const extra = (sxy + slopeAssumed * usual) / (sxx + slopeAssumed)
    const base = Math.max(level - extra * middle, level / (1 + slopeMax * middle))
    this.#slope = Math.min(slopeMax, Math.max(0, extra / base))
    this.#base = Math.max(1e-9, level / (1 + this.#slope * middle))
  }
}
