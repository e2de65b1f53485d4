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
  readonly #ofEndpoint = new Map<string, number>()
  readonly #ofWeights = new Map<string, number>()
  #unknownEndpoint = 0
  #usualWeights = 0
  readonly #guessS: number

  /** `before`: the fit to pairs most of which are known still. */
  constructor(known: readonly KnownPair[], guessS: number, before?: Prior) {
    this.#guessS = guessS
    if (before)
      for (const [weights, value] of before.#ofWeights) this.#ofWeights.set(weights, value)
    for (let pass = 0; pass < (before ? passesAgain : passes); pass++) {
      refit(known, this.#ofEndpoint, endpointOf, this.#ofWeights, weightsOf)
      refit(known, this.#ofWeights, weightsOf, this.#ofEndpoint, endpointOf)
    }
    this.#unknownEndpoint = quantile([...this.#ofEndpoint.values()], unknownQuantile)
    this.#usualWeights = quantile([...this.#ofWeights.values()], 0.5)
  }

  /** Seconds for a token. */
  seconds(endpoint: string, weights: string): number {
    if (this.#ofEndpoint.size === 0) return this.#guessS
    const machine = this.#ofEndpoint.get(endpoint) ?? this.#unknownEndpoint
    return Math.exp(machine + (this.#ofWeights.get(weights) ?? this.#usualWeights))
  }
}

const endpointOf = (pair: KnownPair) => pair.endpoint
const weightsOf = (pair: KnownPair) => pair.weights

/** Each of one side becomes the mean of what the other side leaves unexplained. */
function refit(
  known: readonly KnownPair[],
  side: Map<string, number>,
  keyOf: (pair: KnownPair) => string,
  other: ReadonlyMap<string, number>,
  otherKeyOf: (pair: KnownPair) => string,
): void {
  const sums = new Map<string, { sum: number; count: number }>()
  for (const pair of known) {
    const row = sums.get(keyOf(pair)) ?? { sum: 0, count: 0 }
    row.sum += pair.logS - (other.get(otherKeyOf(pair)) ?? 0)
    row.count++
    sums.set(keyOf(pair), row)
  }
  for (const [key, { sum, count }] of sums) side.set(key, sum / count)
}

function quantile(values: number[], share: number): number {
  if (values.length === 0) return 0
  values.sort((one, other) => one - other)
  return values[Math.min(values.length - 1, Math.floor(share * values.length))]!
}
