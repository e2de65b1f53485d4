import type { Capability } from '../core/ask.ts'

/** What a request asks of the endpoint that is to serve it. */
export interface Need {
  /** Canonical model name. */
  readonly model: string
  readonly cloud: boolean
  readonly capabilities: readonly Capability[]
  readonly labels: readonly string[]
  /** Tokens that the prompt is expected to have; 0 when the request sets its own num_ctx. */
  readonly promptTokens: number
  /** Where backends hold different weights under the name: the ones that serve. */
  readonly digest: string | undefined
  /** Whether a seat must be free: not for show, loads, or cloud models. */
  readonly seat: boolean
  /** The kind of work for the capability picker, such as `code_generation`. */
  readonly work: string
  /** Only this endpoint will do: the one that an account, or a caller, is bound to. */
  readonly pinned: string | undefined
  /** Endpoints that already failed this exchange. */
  readonly not: ReadonlySet<string>
}

/** Contexts that people and Ollama set are multiples of this. */
const contextStep = 1_024

/** Two needs with one key can use exactly the same seats. */
export function needKey(need: Need): string {
  return [
    need.model,
    need.capabilities.join('+'),
    need.labels.join('+'),
    // Prompts are told apart by size only as far as contexts are, which come in steps.
    Math.ceil(need.promptTokens / contextStep),
    need.digest ?? '',
    need.seat,
    need.work,
    need.pinned ?? '',
    [...need.not].join('+'),
  ].join('|')
}
