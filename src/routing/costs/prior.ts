/** Nothing known at all: a small GPU with a small model. */
export const decodeSGuess = 1 / 30
export const prefillSGuess = 1 / 1_000
/** An unknown machine is taken to be as slow as the slowest quarter: it is tried, but not flooded. */
const unknownQuantile = 0.75
const passes = 4
/** From where the last fit came to: little has changed since. */
const passesAgain = 1

/** What is known of one pair: logarithms of seconds for a token. */
export interface KnownPair {
  readonly endpoint: string
  readonly weights: string
  readonly logS: number
}

/**
 * A guess for pairs that have not met: a machine is faster than another by about the same factor for every model, and a
 * model slower than another by about the same factor on every machine. So the logarithm of the time for a token is
 * the sum of a number for the machine and one for the model, fitted to the pairs that are known by alternating means.
 */
export class Prior {
  readonly #machines = new Side()
  readonly #models = new Side()
  #unknownEndpoint = 0
  #usualWeights = 0
  readonly #guessS: number

  /** `before`: the fit to pairs most of which are known still. */
  constructor(known: readonly KnownPair[], guessS: number, before?: Prior) {
    this.#guessS = guessS
    const [machines, models] = [this.#machines, this.#models]
    if (before) models.beginAs(before.#models)
    // Names are looked up once: the fit is made in the middle of a decision, for a thousand pairs in a large fleet.
    const machineAt = new Int32Array(known.length)
    const modelAt = new Int32Array(known.length)
    const logS = new Float64Array(known.length)
    for (let at = 0; at < known.length; at++) {
      const pair = known[at]!
      machineAt[at] = machines.at(pair.endpoint)
      modelAt[at] = models.at(pair.weights)
      logS[at] = pair.logS
    }
    for (let pass = 0; pass < (before ? passesAgain : passes); pass++) {
      machines.refit(logS, machineAt, models, modelAt)
      models.refit(logS, modelAt, machines, machineAt)
    }
    this.#unknownEndpoint = quantile([...machines.values], unknownQuantile)
    this.#usualWeights = quantile([...models.values], 0.5)
  }

  /** Seconds for a token. */
  seconds(endpoint: string, weights: string): number {
    if (this.#machines.values.length === 0) return this.#guessS
    const machine = this.#machines.of(endpoint) ?? this.#unknownEndpoint
    return Math.exp(machine + (this.#models.of(weights) ?? this.#usualWeights))
  }
}

/** One of the two sums: a number for each machine, or for each model. */
class Side {
  readonly #places = new Map<string, number>()
  readonly values: number[] = []

  beginAs(before: Side): void {
    for (const [name, at] of before.#places) this.values[this.at(name)] = before.values[at]!
  }

  /** Its place among the values; 0 stands there until it is fitted. */
  at(name: string): number {
    let at = this.#places.get(name)
    if (at === undefined) {
      at = this.values.push(0) - 1
      this.#places.set(name, at)
    }
    return at
  }

  of(name: string): number | undefined {
    const at = this.#places.get(name)
    return at === undefined ? undefined : this.values[at]
  }

  /** Each becomes the mean of what the other side leaves unexplained; who is in no pair stays as it is. */
  refit(logS: Float64Array, at: Int32Array, other: Side, otherAt: Int32Array): void {
    const sums = new Float64Array(this.values.length)
    const counts = new Uint32Array(this.values.length)
    for (let pair = 0; pair < logS.length; pair++) {
      sums[at[pair]!]! += logS[pair]! - other.values[otherAt[pair]!]!
      counts[at[pair]!]!++
    }
    for (let each = 0; each < sums.length; each++)
      if (counts[each]! > 0) this.values[each] = sums[each]! / counts[each]!
  }
}

function quantile(values: number[], share: number): number {
  if (values.length === 0) return 0
  values.sort((one, other) => one - other)
  return values[Math.min(values.length - 1, Math.floor(share * values.length))]!
}
