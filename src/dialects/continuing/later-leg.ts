import type { Family, Framing, Op } from '../../core/ask.ts'
import { errorFrame } from '../errors.ts'
import type {
  Continuing,
  Emitted,
  Leg,
  LegEnd,
  LegSums,
  Method,
  NextRequest,
  Seam,
} from './continuing.ts'
import { isCrashText } from './crash.ts'
import { type Figures, mergedFigures, noFigures } from './figures.ts'
import type { Fields } from './reading.ts'
import { StopGuard } from './stop-guard.ts'

/** One frame of a later leg, in words that do not depend on its language. */
export interface Heard {
  readonly text: string
  readonly thinking: string
  /** Log probabilities of the text, each as `{token, logprob, …}`; all languages write them alike. */
  readonly logprobs: readonly unknown[]
  /** Whole calls of tools, in the shape of the leg's own language. */
  readonly calls: readonly Fields[]
  readonly done: Ended | undefined
  readonly error: string | undefined
  /** The frame could not be read: whatever comes behind it, the leg is lost. */
  readonly garbled?: boolean
  /** The frame itself. Where nothing in it has to change, it goes out as it came. */
  readonly fields: Fields
  readonly bytes: Buffer
}

/** How an answer ended, in Ollama's own words: `stop`, `length`, `tool_calls`. */
export interface Ended {
  readonly reason: string
  readonly figures: Figures
  /** The frame of the client's own language that said so, if it was one. */
  readonly fields?: Fields
}

export const silence = {
  text: '',
  thinking: '',
  logprobs: [],
  calls: [],
  done: undefined,
  error: undefined,
} as const

/** Understands the frames of a later leg; one for each leg, since some languages say one thing in several frames. */
export type Hear = (frames: Buffer) => Iterable<Heard>

/** What of a frame is new to the client. */
export interface Piece {
  readonly text: string
  readonly thinking: string
}

/** Writes in the language and with the ids, indices and numbers that the client knows. */
export interface Writer {
  /** Told of every frame, also of those of which nothing is written. */
  hears?(heard: Heard): void
  /** `heard` is the frame that the piece came in; undefined: several, or what was held back to the end. */
  piece(piece: Piece, heard: Heard | undefined): Buffer | string
  calls(heard: Heard): Buffer | string
  /** The last frames. `heard` is the leg's own last one; undefined: the answer ended before it. */
  end(ended: Ended, merged: Figures, heard: Heard | undefined): Buffer | string
}

interface LegParts {
  readonly family: Family
  readonly op: Op
  readonly framing: Framing
  readonly hear: Hear
  readonly writer: Writer
  readonly emitted: Emitted
  readonly request: NextRequest
  readonly seam: Seam
  readonly before: LegSums
  /** For the field `chasqui` of the last object; undefined: there is none. */
  readonly told: object | undefined
}

/** How the later legs of one path are heard and written. */
export interface LegLanguage {
  readonly family: Family
  readonly op: Op
  readonly framing: Framing
  readonly hear: (method: Method) => Hear
  readonly writer: (emitted: Emitted, request: NextRequest) => Writer
}

export function legsIn({ hear, writer, ...names }: LegLanguage): Continuing['leg'] {
  return (emitted, request, seam, before, told) =>
    new LaterLeg({
      ...names,
      hear: hear(request.method),
      writer: writer(emitted, request),
      emitted,
      request,
      seam,
      before,
      told,
    })
}

/** The story of a later leg, the same in all languages: what is heard passes the seam and the stop strings, and is written. */
class LaterLeg implements Leg {
  readonly #parts: LegParts
  readonly #guard: StopGuard
  #state: 'open' | 'done' | 'broken' | 'error' = 'open'
  #error = ''
  #seamEnded = false
  #out: (Buffer | string)[] = []
  #pieces = 0

  constructor(parts: LegParts) {
    this.#parts = parts
    this.#guard = new StopGuard(parts.request.asked.stops, parts.emitted.text)
  }

  get over(): boolean {
    return this.#state !== 'open'
  }

  feed(frames: Buffer): Buffer | undefined {
    if (this.#state !== 'open') return undefined
    for (const heard of this.#parts.hear(frames)) {
      this.#take(heard)
      if (this.#state !== 'open') break
    }
    const out = this.#out
    this.#out = []
    if (out.length === 0) return undefined
    const [only] = out
    if (out.length === 1 && Buffer.isBuffer(only)) return only
    return Buffer.concat(out.map((part) => (Buffer.isBuffer(part) ? part : Buffer.from(part))))
  }

  end(): LegEnd {
    if (this.#state === 'done') return { kind: 'done' }
    if (this.#state !== 'error') return { kind: 'unfinished' }
    const { family, framing, op } = this.#parts
    const frames = errorFrame(family, framing, this.#error, undefined, op)
    return { kind: 'error', frames, message: this.#error }
  }

  #take(heard: Heard): void {
    this.#parts.writer.hears?.(heard)
    if (heard.garbled) this.#state = 'broken'
    else if (heard.error !== undefined) {
      this.#state = isCrashText(heard.error) ? 'broken' : 'error'
      this.#error = heard.error
    } else {
      this.#say(heard)
      if (this.#state === 'open' && heard.done !== undefined) this.#finish(heard, heard.done)
    }
  }

  #say(heard: Heard): void {
    if (heard.text !== '' || heard.thinking !== '') {
      this.#pieces++
      this.#piece(this.#fresh(heard.text, heard.thinking), heard)
    }
    // Calls in a last line stay there, as some servers have them; the writer of the end sees to it.
    if (this.#state !== 'open' || heard.calls.length === 0 || heard.done !== undefined) return
    this.#closeSeam()
    if (this.#state === 'open') this.#out.push(this.#parts.writer.calls(heard))
  }

  /** What of a frame's text the client does not have yet. */
  #fresh(text: string, thinking: string): Piece {
    if (this.#parts.request.asked.complete !== undefined) return { text: '', thinking: '' }
    if (this.#seamEnded) return { text, thinking }
    const { seam } = this.#parts
    return {
      thinking: thinking === '' ? '' : seam.thinking(thinking),
      text: text === '' ? '' : seam.text(text),
    }
  }

  #piece(fresh: Piece, heard: Heard | undefined): void {
    const text = fresh.text === '' ? '' : this.#guard.take(fresh.text)
    const piece = { text, thinking: fresh.thinking }
    if (text !== '' || fresh.thinking !== '') this.#out.push(this.#parts.writer.piece(piece, heard))
    if (!this.#guard.hit) return
    // The server does not know that the answer is over; it goes on, and its figures never come.
    this.#end({ reason: 'stop', figures: { ...noFigures, outputTokens: this.#pieces } }, undefined)
  }

  #closeSeam(): void {
    if (this.#seamEnded) return
    this.#seamEnded = true
    // Of a text that was over before, nothing passed the seam.
    if (this.#parts.request.asked.complete === undefined)
      this.#piece(this.#parts.seam.end(), undefined)
    if (this.#state !== 'open') return
    const text = this.#guard.rest()
    if (text !== '') this.#out.push(this.#parts.writer.piece({ text, thinking: '' }, undefined))
  }

  #finish(heard: Heard, done: Ended): void {
    this.#closeSeam()
    if (this.#state !== 'open') return
    const { complete } = this.#parts.request.asked
    const reason = complete === undefined ? done.reason : complete === 'length' ? 'length' : 'stop'
    this.#end({ ...done, reason }, heard)
  }

  #end(ended: Ended, heard: Heard | undefined): void {
    const { emitted, request, before, writer, told } = this.#parts
    this.#state = 'done'
    const last = writer.end(ended, mergedFigures(emitted, request, before, ended.figures), heard)
    this.#out.push(told === undefined ? last : withField(last.toString(), told))
  }
}

/** Whatever the language, the last frames end with one object, behind which at most `[DONE]` comes. */
function withField(last: string, told: object): string {
  const at = last.lastIndexOf('}')
  return `${last.slice(0, at)},"chasqui":${JSON.stringify(told)}${last.slice(at)}`
}
