import type { Fault } from './faults.ts'

/**
 * How a model answers when it is asked to go on with a text that was begun. `continues` is a model whose template
 * leaves the assistant's turn open; the others are the ways in which that goes wrong in life.
 */
export type ModelKind =
  | 'continues'
  | 'begins-anew'
  | 'adds-a-space'
  | 'repeats-the-last-word'
  | 'diverges'
  | 'ends-at-once'
  | 'thinks'
  | 'stops-without-done'

export const modelKinds: readonly ModelKind[] = [
  'continues',
  'begins-anew',
  'adds-a-space',
  'repeats-the-last-word',
  'diverges',
  'ends-at-once',
  'thinks',
  'stops-without-done',
]

export interface ModelSpec {
  readonly name: string
  readonly kind?: ModelKind
  readonly sizeBytes?: number
  readonly capabilities?: readonly string[]
  /** What /api/tags says instead: it does not see what only a chat template inside the file tells. */
  readonly listedCapabilities?: readonly string[]
  /** Context length the model was trained with: what num_ctx is clamped to. */
  readonly contextTrain?: number
  /** Of the weights; two names with one digest share a runner. By default the sha256 of the canonical name. */
  readonly digest?: string
  readonly embeddingLength?: number
  readonly family?: string
  /** Of reading and writing: 0.5 is half as fast as the machine's figures say; 1 unless said. `shared` engines only. */
  readonly speed?: number
  /** A flat load time of its own. */
  readonly loadMs?: number
}

/** Every number of the imitated server. Times are in milliseconds of the simulator's clock. */
export interface SimulatorSettings {
  readonly name: string
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly models: readonly (string | ModelSpec)[]
  /** Of those, what is in memory when the doors open, as if it had just been used; a restart forgets it. */
  readonly preloaded: readonly string[]
  /** OLLAMA_NUM_PARALLEL. */
  readonly slots: number
  /** OLLAMA_MAX_LOADED_MODELS. */
  readonly maxLoaded: number
  /** OLLAMA_MAX_QUEUE: requests that wait for a load. Requests for a loaded model are never counted. */
  readonly maxQueue: number
  /** OLLAMA_KEEP_ALIVE; Infinity: for ever. */
  readonly keepAliveMs: number
  /** OLLAMA_CONTEXT_LENGTH. */
  readonly contextDefault: number
  /** Graphics memory; undefined: a machine where only the count of models limits. */
  readonly memoryBytes: number | undefined
  /** Memory that one token of context takes in one slot. */
  readonly kvBytesPerToken: number
  /** A flat load time; undefined: overhead + size / rate. */
  readonly loadMs: number | undefined
  readonly loadOverheadMs: number
  readonly loadBytesPerSecond: number
  /** How many times faster a second load is, with the file in the page cache. */
  readonly warmLoadFactor: number
  /** Until the memory of an unloaded model is free again. */
  readonly unloadRecoveryMs: number
  readonly prefillTokensPerSecond: number
  /** Tokens that are read in one go; decoding slots wait for it. */
  readonly prefillBatchTokens: number
  /** Of one slot alone. */
  readonly decodeTokensPerSecond: number
  /** A step with k busy slots takes 1 + alpha * (k - 1) times as long: near 0 on graphics cards, near 1 on CPUs. */
  readonly slowdownAlpha: number
  /**
   * `slots`: each model has an engine, stepped through token by token. `shared`: one for the whole machine, whose times
   * are worked out: a hundred times cheaper, without jitter.
   */
  readonly engine: 'slots' | 'shared'
  /** Lines that a `shared` engine writes at once, the first token aside. */
  readonly tokensPerWrite: number
  /** Share by which steps and loads vary at random. */
  readonly jitter: number
  /** `old`: up to 0.24, with runners that keep no prompts in memory beside the slots; `new`: from 0.30 on. */
  readonly generation: 'old' | 'new'
  /** Host memory for prompts that lost their slot (`new` only). */
  readonly promptCacheBytes: number
  readonly promptCacheBytesPerToken: number
  readonly promptCacheBytesPerSecond: number
  /** What /api/version says; by default one that fits the generation. */
  readonly version: string
  /** Of the dice; texts do not depend on it, or two simulators could not go on with each other's answers. */
  readonly seed: number
  readonly hostCheck: boolean
  readonly originCheck: boolean
  /** Paths that this server is too old to know: they get the router's 404. */
  readonly missingRoutes: readonly string[]
  /** OLLAMA_ORIGINS. */
  readonly origins: readonly string[]
  /** How many times faster than life the clock runs; ignored where a clock is handed in. */
  readonly clockSpeed: number
  /** From this date on dates run as fast as the clock; undefined: they are those of life. */
  readonly datesFromMs: number | undefined
  /** Length of every answer; undefined: each has its own, 20 to 120 tokens. */
  readonly answerTokens: number | undefined
  /** A last user message that begins with `[[NAME says N]]` is answered with N tokens of four characters that belong to NAME. */
  readonly scripts: boolean
  /** Whether a request with tools is answered with a call: when the last user message says "tool", or at any rate. */
  readonly toolCalls: 'when-asked' | 'always' | 'never'
  /** /api/chat has calls in a line of their own, or in the last line, as with engines that read calls themselves. */
  readonly toolCallLine: 'own' | 'last'
  readonly pullBytesPerSecond: number
  readonly sizeBytesDefault: number
  readonly contextTrainDefault: number
  readonly embeddingLengthDefault: number
  /** Kinds by model name, also of models that are pulled later. */
  readonly kinds: Readonly<Record<string, ModelKind>>
  /** The server is signed in at ollama.com: cloud models and /api/me answer. */
  readonly signedIn: boolean
  readonly cloudDisabled: boolean
  /** What goes wrong from the start; more can be made to at run time. */
  readonly faults: readonly Fault[]
  /** Requests that the trace remembers. */
  readonly traceMax: number
  /** Bytes of each request body that the trace keeps as text; 0: none. */
  readonly traceBodyBytes: number
}

/** What a server of the old generation says when it is not told another version. */
export const lastOldVersion = '0.24.0'

export const defaultSettings: SimulatorSettings = {
  name: 'simulator',
  host: '127.0.0.1',
  port: 0,
  models: ['llama3.2', 'qwen3', 'all-minilm'],
  preloaded: [],
  slots: 1,
  maxLoaded: 3,
  maxQueue: 512,
  keepAliveMs: 300_000,
  contextDefault: 4096,
  memoryBytes: undefined,
  kvBytesPerToken: 1024,
  loadMs: undefined,
  loadOverheadMs: 10,
  loadBytesPerSecond: 1e10,
  warmLoadFactor: 1,
  unloadRecoveryMs: 0,
  prefillTokensPerSecond: 100_000,
  prefillBatchTokens: 512,
  decodeTokensPerSecond: 2000,
  slowdownAlpha: 0.1,
  engine: 'slots',
  tokensPerWrite: 16,
  jitter: 0,
  generation: 'new',
  promptCacheBytes: 8192 * 2 ** 20,
  promptCacheBytesPerToken: 128 * 1024,
  promptCacheBytesPerSecond: 10e9,
  version: '0.33.0',
  seed: 1,
  hostCheck: true,
  originCheck: true,
  missingRoutes: [],
  origins: [],
  clockSpeed: 1,
  datesFromMs: undefined,
  answerTokens: undefined,
  scripts: false,
  toolCalls: 'when-asked',
  toolCallLine: 'own',
  pullBytesPerSecond: 1e9,
  sizeBytesDefault: 100_000_000,
  contextTrainDefault: 131_072,
  embeddingLengthDefault: 384,
  kinds: {},
  signedIn: false,
  cloudDisabled: false,
  faults: [],
  traceMax: 10_000,
  traceBodyBytes: 65_536,
}
