/**
 * The beginnings of a prompt, told by keys: one for each boundary (the end of a message, and every so many bytes of a
 * long text), each made of everything before it. Two prompts with an equal key begin alike up to there. A key is two
 * numbers of 32 bits; by chance one in 2^64 pairs is mistaken, and then only an estimate is wrong.
 */
export interface PrefixPart {
  /** The two halves of each boundary's key, first boundary first. */
  readonly highs: readonly number[]
  readonly lows: readonly number[]
  /** Bytes of text of this part up to each boundary. */
  readonly bytesAt: readonly number[]
}

/** In the order in which a template puts them; undefined: the request has none. */
export interface PrefixParts {
  readonly tools: PrefixPart | undefined
  readonly system: PrefixPart | undefined
  /** The tokens that a client of `/api/generate` sends back. */
  readonly context: PrefixPart | undefined
  /** Messages, the prompt, or the input. */
  readonly text: PrefixPart | undefined
}

/** Boundaries of one prompt that are kept; in a longer one they stand further apart. */
export const boundariesMax = 256

/** Spreads what differs in any bit over all of them (the last step of MurmurHash3). */
export function spread(value: number): number {
  let mixed = value
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
