import type { Lengths } from './costs/lengths.ts'

/** What a request will take of whoever serves it, in tokens. Expected when it comes, and not changed any more. */
export interface Work {
  readonly promptTokens: number
  /** The expected length of its answer; 0 for embeddings. */
  readonly outTokens: number
  /** Seconds that it is expected to take of a usual machine: what its tenant is charged, and its size in line. */
  readonly serviceS: number
  /** No more than this, whatever is expected; Infinity where the request says nothing. */
  readonly outTokensMax: number
  /** What its expectation is taken from, for how much is left when it runs; undefined: nothing is written. */
  readonly lengths: Lengths | undefined
}
