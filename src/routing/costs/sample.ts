import type { Figures } from '../../core/observer.ts'

/** The size of a request, as far as it is known before it is served. */
export interface RequestSize {
  /** Canonical model name: how long answers are and what a token weighs is learned by it. */
  readonly model: string
  readonly op: string
  readonly tenant: string
  /** Bytes of text that the model will read. */
  readonly textBytes: number
  /** The most tokens that the request lets the model write; undefined: it says nothing. */
  readonly outTokensMax: number | undefined
}

/** Who served: rates are learned for each of these pairs. */
export interface ServedBy {
  readonly endpoint: string
  /** The digest of the weights, or the name where the server gives none; see `weightsKey`. */
  readonly weights: string
  /** Of the weights on disk, in bytes; undefined: not said. */
  readonly sizeBytes: number | undefined
}

/** What one served request tells. Everything is learned from these, and from nothing else. */
export interface Sample extends ServedBy {
  readonly size: RequestSize
  /** When it ended, on the clock's `now`. */
  readonly endedMs: number
  /** From the seat to the end; a load of ours is part of it. */
  readonly tookMs: number
  /** From the seat to the first byte of a stream; undefined: it did not stream, or nothing came. */
  readonly firstTokenMs: number | undefined
  /** What a load of ours before it took; 0: the model was there. */
  readonly loadMs: number
  /** Streams at that endpoint while it ran, itself among them, averaged over time; 1 or more. */
  readonly streams: number
  /** Tokens of the prompt that were expected to be in the cache there. */
  readonly cachedTokens: number
  /** Ollama's own figures; undefined where the answer had none or was cut short. */
  readonly figures: Figures | undefined
  /** Pieces of a stream that were heard, about as many tokens; what an answer that was cut short tells. */
  readonly pieces: number
  /** It ended as it should: its length is a length, not a lower bound. */
  readonly whole: boolean
  /** It took a seat that may not exist: its hidden wait is nobody else's work. */
  readonly asTry: boolean
}

/** The key of a pair beside the endpoint. `runner`: the options that make another runner, '' mostly. */
export function weightsKey(digest: string | undefined, model: string, runner: string): string {
  const weights = digest ?? model
  return runner === '' ? weights : `${weights} ${runner}`
}
