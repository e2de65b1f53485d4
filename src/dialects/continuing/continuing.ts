import type { Family, Op } from '../../core/ask.ts'

/** What a client has of an answer that broke off, read from the frames that were let out. */
export interface Emitted {
  /** The visible text, and what the model thought before it. */
  readonly text: string
  readonly thinking: string
  /** Frames that carried a piece of either: about as many tokens. */
  readonly pieces: number
  /** True when the last 31 pieces are the same: Ollama's own guard against repetition ends such a stream. */
  readonly repeats: boolean
  /** Why no other server can go on with it; undefined: one can. */
  readonly bar: 'toolCall' | 'unreadable' | undefined
  /** What the first frame said that every later one must say again: ids, dates, the model's echo, indices. */
  readonly opening: Readonly<Record<string, unknown>>
}

/**
 * How another server is made to go on. `trailing`: the conversation with the partial answer as its last message ·
 * `raw`: the prompt as the template rendered it, with the partial text behind it · `restart`: the same request again,
 * and the beginning that the client has already is left out if it comes out the same.
 */
export type Method = 'trailing' | 'raw' | 'restart'

export interface NextRequest {
  readonly path: string
  readonly body: Buffer
  readonly method: Method
  readonly asked: Asked
}

/** What of the client's own request decides how the answer goes on and ends. */
export interface Asked {
  /** Stop strings; one may begin in what the client has and end in what comes. */
  readonly stops: readonly string[]
  /** The client wants its usage in a frame of its own (OpenAI's `stream_options.include_usage`). */
  readonly usage: boolean
  /**
   * Set when no text is missing, only the figures and the end. `length`: the limit is used up · `said`: the frames say
   * that the text is over. The next leg is then asked for one token, and its text is dropped.
   */
  readonly complete: 'length' | 'said' | undefined
}

/** Decides what of a later leg's text is new; made by whoever knows how the model continues. */
export interface Seam {
  /** Takes the next piece of the later leg's visible text, never an empty one; gives what the client shall get of it. */
  text(piece: string): string
  thinking(piece: string): string
  /**
   * The leg's text has ended, as it should or with a tool call: what was still held back. Throws SeamDiverged when it
   * never came to what the client has. Called once at most, and not at all for a leg that breaks off: what was held
   * back then is forgotten with it, for the client never had it.
   */
  end(): { readonly text: string; readonly thinking: string }
}

/** The later leg says something else than what the client has; going on would be a lie. */
export class SeamDiverged extends Error {}

/** One later leg: its frames in, the rest of the first leg's answer out. */
export interface Leg {
  /**
   * Whole frames of the leg, as its own path answers them; gives frames of the client's own kind, or undefined for none
   * yet. The answer's last frames are among them as soon as they are known. Throws SeamDiverged.
   */
  feed(frames: Buffer): Buffer | undefined
  /**
   * True once nothing more of the leg is wanted, so that it may be let go: the client has the end of its answer, or the
   * leg failed. It need not have ended itself, for a stop string over the seam ends an answer where the server goes on
   * talking.
   */
  readonly over: boolean
  /** The leg's body has ended, or was let go. What `feed` gave out is not given again. */
  end(): LegEnd
}

export type LegEnd =
  /** The answer is whole; its last frames were given by `feed`. */
  | { readonly kind: 'done' }
  /** It broke off as well: what it gave until then counts as emitted, and another may go on. */
  | { readonly kind: 'unfinished' }
  /** An error line that is the model's or the request's own. It was not given out yet, for whoever can do better. */
  | { readonly kind: 'error'; readonly frames: Buffer; readonly message: string }

/**
 * What is known of the legs before the last one. A leg that breaks off tells no figures, so mostly nothing is; whoever
 * has measured them may say so. Times in nanoseconds.
 */
export interface LegSums {
  /** Of the client's own prompt; undefined: the last leg's count, less what it read of the answer. */
  readonly promptTokens: number | undefined
  /** Where this is less than the pieces that went out, those are the count. */
  readonly outputTokens: number
  readonly totalNs: number
  readonly loadNs: number
  readonly promptNs: number
  readonly outputNs: number
}

/** Nothing is known of the legs before. */
export const nothingBefore: LegSums = {
  promptTokens: undefined,
  outputTokens: 0,
  totalNs: 0,
  loadNs: 0,
  promptNs: 0,
  outputNs: 0,
}

/** One family's way to go on; `continuingOf` decides by (family, op). */
export interface Continuing {
  readonly family: Family
  readonly op: Op
  /** What whole frames have told the client. */
  read(frames: readonly Buffer[]): Emitted
  /**
   * What is missing when the client has everything else: OpenAI's `[DONE]`, Anthropic's `message_stop`. No other server
   * need be asked. Undefined: one must. `body` is the client's own.
   */
  missing(original: { readonly body: Buffer }, emitted: Emitted): Buffer | undefined
  /**
   * The request for the next leg, or why there can be none. `body` is the client's own. `rendered`: the template's text
   * for it, where the method is `raw`. The limit on the answer's length is lowered by what is there already.
   */
  request(
    original: { readonly path: string; readonly body: Buffer },
    emitted: Emitted,
    method: Method,
    rendered: string | undefined,
  ): NextRequest | { readonly cannot: string }
  /**
   * `before`: what earlier legs had told about their figures, as far as they came to it. `told`: what stands in the
   * field `chasqui` of the answer's last object, for a client that wants to know how it came to be.
   */
  leg(emitted: Emitted, request: NextRequest, seam: Seam, before: LegSums, told?: object): Leg
}
