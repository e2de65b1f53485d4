import type { Ask } from './ask.ts'
import type { FailureCode } from './failure.ts'
import type { Figures } from './observer.ts'

/**
 * The answer to a batch of embeddings is held whole, so a batch with a larger one is not split; and no answer to a part
 * of it is larger.
 */
export const embeddingsBytesMax = 128 * 1_048_576

/** A request of our own on behalf of a client: one part of a larger one. It waits and is served like any other. */
export interface InnerCall {
  /** For logs and backends: the client's request id with the part's number behind it. */
  readonly id: string
  readonly path: '/api/generate' | '/api/chat' | '/api/embed' | '/v1/embeddings'
  readonly body: Buffer
  /** Of how many texts the answer has the embeddings; undefined: it is a text itself. */
  readonly embeds?: number
  /** What is asked, where the caller knows it already: all parts of a run ask the same but for their text. */
  readonly ask?: Ask
  readonly tenant: string
  readonly priority: 'interactive' | 'normal' | 'batch'
  /** A question of the proxy's own. There are few, one after another, and the bounds of the line are for others. */
  readonly isOurs?: boolean
  readonly labels: readonly string[]
  readonly work: string
  /** On the clock's `now`; undefined: no limit. */
  readonly deadlineMs: number | undefined
  /** Names of endpoints that must not serve it. */
  readonly except: ReadonlySet<string>
  /**
   * Shown each whole frame of the answer as it comes; while it returns a promise the backend is not read. Without it
   * the answer is only given whole, at the end.
   */
  readonly onFrames?: (frames: Uint8Array) => Promise<void> | undefined
}

/** An inner call under way. */
export interface InnerCallRunning {
  /** The endpoint that has it, or had it last; '' while it only waits. */
  readonly backend: string
  /** When it got its last seat, on the clock's `now`; undefined while it waits. */
  readonly onSeatSinceMs: number | undefined
  /** Never rejects: how it went stands in the answer. */
  readonly answer: Promise<InnerAnswer>
  /** Nobody wants it any more; the backend is told in the same tick. */
  cancel(): void
}

export interface InnerAnswer {
  /** 499 for a cancelled one. */
  readonly status: number
  readonly body: Buffer
  /** Undefined when a backend's own words are in the body. */
  readonly code: FailureCode | undefined
  readonly backend: string
  readonly attempts: number
  readonly waitMs: number
  /** From the seat to the last byte, of the attempt that counts. */
  readonly servedMs: number
  readonly figures: Figures | undefined
}

export type AskInside = (call: InnerCall) => InnerCallRunning
