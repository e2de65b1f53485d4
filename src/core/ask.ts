import type { ModelName } from './model-name.ts'
import type { PrefixParts } from './prefix.ts'

/** Whose language a client speaks: which shape its answers and its errors have. `own` is ours: problem JSON. */
export type Family = 'ollama' | 'openai' | 'anthropic' | 'own'

/** What a route does, in one word; the label of metrics and logs. */
export type Op =
  | 'generate'
  | 'chat'
  | 'embed'
  | 'responses'
  | 'transcribe'
  | 'show'
  | 'list'
  | 'ps'
  | 'version'
  | 'pull'
  | 'push'
  | 'create'
  | 'copy'
  | 'delete'
  | 'blob'
  | 'account'
  | 'other'

/** What a model must be able to do. The words are those of Ollama's `capabilities`. */
export type Capability =
  | 'completion'
  | 'embedding'
  | 'tools'
  | 'vision'
  | 'thinking'
  | 'insert'
  | 'audio'

/** How an answer is cut into pieces that a client can use one by one. */
export type Framing = 'ndjson' | 'sse' | 'json'

/** What the proxy learned from a request's body: enough to route it, never more than it needs. */
export interface Ask {
  readonly family: Family
  readonly op: Op
  /** The name as the client wrote it. */
  readonly modelText: string
  readonly name: ModelName
  /** Where in the body that name stands, quotes included; undefined where it can not be exchanged. */
  readonly modelAt?: { readonly from: number; readonly to: number } | undefined
  /** `load` and `unload` are Ollama's empty requests; they take no seat. */
  readonly purpose: 'infer' | 'load' | 'unload'
  readonly framing: Framing
  readonly needs: readonly Capability[]
  /**
   * The options that make a runner (num_ctx, num_batch, num_gpu, main_gpu, use_mmap, num_thread, draft_num_predict,
   * shift), as raw JSON texts by name. Another set than the loaded one makes Ollama load again.
   */
  readonly runner: Readonly<Record<string, string>>
  /** The raw JSON text of keep_alive, when the request carries one. */
  readonly keepAlive: string | undefined
  /** Bytes of text that the model will read, without images and sound. */
  readonly textBytes: number
  /** Where it was looked for: the beginnings of the prompt. */
  readonly prefix?: PrefixParts | undefined
  /** The most tokens that the answer may have; undefined: the request sets no limit. */
  readonly outTokensMax?: number | undefined
  /** True when the answer cannot differ in kind if it is asked for twice: everything that only infers. */
  readonly repeatable: boolean
}
