import type { Capability } from '../core/ask.ts'
import type { Prompt } from './affinity/prompt.ts'
import type { Placement } from './rules/placement.ts'

/** What a request asks of the endpoint that is to serve it. */
export interface Need {
  /** Canonical model name. */
  readonly model: string
  readonly cloud: boolean
  readonly capabilities: readonly Capability[]
  readonly labels: readonly string[]
  /** Tokens that a context must hold at once; 0 for inputs to embed, and when the request sets its own num_ctx. */
  readonly promptTokens: number
  /** Where backends hold different weights under the name: the ones that serve. */
  readonly digest: string | undefined
  /** Whether a seat must be free: not for show, loads, or cloud models. */
  readonly seat: boolean
  /** The kind of work for the capability picker, such as `code_generation`. */
  readonly work: string
  /** Only this endpoint will do: the one that an account, or a caller, is bound to. */
  readonly pinned: string | undefined
  /** Options that make another runner of the model, as one text; '' for those that it is loaded with. */
  readonly runner: string
  /** Endpoints that already failed this exchange. */
  readonly not: ReadonlySet<string>
  /** It is under way at this endpoint, and may be asked for at another one besides; undefined: it is nowhere. */
  readonly beside?: string | undefined
  /** How its prompt begins, for who may have that in memory; it bars nobody. */
  readonly prompt?: Prompt | undefined
  /** What the operator's rules say of it; undefined: nothing. */
  readonly rules?: Placement | undefined
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
    need.rules?.key ?? '',
    need.runner,
    [...need.not].join('+'),
    need.beside ?? '',
  ].join('|')
}
