import type { Framing } from '../core/ask.ts'
import { Failure } from '../core/failure.ts'
import type { Outcome } from '../core/outcome.ts'
import { endOf, figuresOf } from '../dialects/endings.ts'
import { errorAnswer } from '../dialects/errors.ts'
import { FrameCutter } from '../dialects/frames.ts'
import { type AnswerResult, Delivery, type DeliveryStyle } from './answering/delivery.ts'
import { type EndCode, earlyEndOf } from './answering/early-end.ts'
import { errorLineBytesMax, errorLineIn, tellsOfCrash } from './answering/error-line.ts'
import { isCutShort, mustBeRead } from './answering/framing.ts'
import { type BackendHead, Heads, type KeptRefusal } from './answering/heads.ts'
import type { Receiver } from './attempt.ts'
import type { ClientSide } from './client-side.ts'
import { Gaps } from './continuing/gaps.ts'
import type { Exchange } from './exchange.ts'
import { errorTextIn, failureOf } from './failures.ts'
import { judgeRefusal } from './judge.ts'
import { Kept, type KeptBudget } from './kept.ts'
import type { HeldAnswer } from './loads.ts'
import { NotWanted } from './queue.ts'

/** How this client wants to be answered. */
export interface AnswerStyle extends DeliveryStyle {
  /** Name, value …: what the surface adds to every answer, such as the CORS fields. */
  readonly headers: readonly string[]
  /** Another backend may go on with the answer when this one breaks off. */
  readonly continues: boolean
  /** What the request itself says about that; undefined: nothing. */
  readonly continuationWish: 'on' | 'off' | undefined
  /** It wants to be told when another backend went on. */
  readonly explains: boolean
}

/** A frame longer than this is let out as it comes: a client that reads lines has its own limits (Go's is 8 MiB). */
const frameBytesMax = 1_048_576
const figuresBytesMax = 65_536

/** Until a backend begins to answer. */
const noHead: BackendHead = Object.freeze({
  status: 0,
  rawHeaders: [],
  framing: 'json',
  coding: undefined,
})

/**
 * The answer as the client gets it, over all attempts. The head is held until the first whole frame, so that until
 * then another backend can take over and the client never knows. Frames are let out whole and unchanged: half a line
 * is of no use to anybody, and only between two frames an honest end is possible.
 */
export class Answer implements Receiver {
  /** A first answer is heard to its end. */
  readonly over: boolean = false
  gaps: Gaps | undefined
  readonly #exchange: Exchange
  readonly #client: ClientSide
  readonly #style: AnswerStyle
  readonly #keeping: KeptBudget
  readonly #heads: Heads
  readonly #delivery: Delivery
  #head: BackendHead = noHead
  #cutter: FrameCutter | undefined
  #refusal: KeptRefusal | undefined
  /** The last attempt ended cleanly, as HTTP goes, and still without its last line. */
  #repeatGuard = false
  /** What the client has of a stream that another backend could go on with. */
  #kept: Kept | undefined
  /** An error line that came inside a stream: if a runner's death is its reason, the client need not see it. */
  #heldError: Buffer | undefined
  #endsBecause: { readonly why: string; readonly code: EndCode } | undefined

  constructor(exchange: Exchange, style: AnswerStyle, keeping: KeptBudget) {
    this.#exchange = exchange
    this.#client = exchange.client
    this.#style = style
    this.#keeping = keeping
    this.#heads = new Heads(exchange, style.headers)
    this.#delivery = new Delivery(exchange, style, this.#heads)
  }

  get result(): Readonly<AnswerResult> {
    return this.#delivery.result
  }

  /** Time that model loads took before the current attempt. */
  get loadMs(): number {
    return this.#heads.loadMs
  }

  set loadMs(loadMs: number) {
    this.#heads.loadMs = loadMs
  }

  /** Called when a backend has shown that it can answer this. */
  set onFirstFrame(act: () => void) {
    this.#delivery.onFirstFrame = act
  }

  /** The client has a byte of it: from here on there is no second backend. */
  get started(): boolean {
    return this.#client.started
  }

  get hasRefusal(): boolean {
    return this.#refusal !== undefined
  }

  /** From a moment to the first frame, for an answer that streams; a whole answer's first byte is its last. */
  firstByteAfter(sinceMs: number): number | undefined {
    const { firstByteMs, asked } = this.#exchange
    if (firstByteMs === undefined || this.#head.framing === 'json') return undefined
    return asked.arrivedMs + firstByteMs - sinceMs
  }

  /** A backend begins to answer. */
  begin(head: BackendHead): void {
    this.#repeatGuard = false
    const { framing } = head
    this.#head = head
    this.#cutter = new FrameCutter(framing, { frameBytesMax })
    this.#heldError = undefined
    this.letGo()
    this.#kept = undefined
    this.gaps = undefined
    if (framing === 'json' || !this.#style.continues) return
    this.#kept = new Kept(this.#keeping)
    this.gaps = new Gaps()
  }

  /** True for a stream that another backend could go on with. */
  get keeps(): boolean {
    return this.#kept?.isWhole === true
  }

  /** The client has all of a stream, down to its last line. */
  get isWhole(): boolean {
    const { ask } = this.#exchange.asked
    const cutter = this.#cutter
    if (!cutter || this.#head.framing === 'json' || !mustBeRead(ask)) return false
    if (cutter.passingThrough || this.#heldError !== undefined) return false
    return endOf(this.#style.family, ask.op, cutter.lastFrames) === 'done'
  }

  /** The frames that the client has; undefined where nobody can go on with them. */
  get given(): Buffer | undefined {
    if (this.#cutter?.passingThrough || this.#finalError) return undefined
    return this.#kept?.frames
  }

  /** The exchange is over: what was kept of its answer goes. */
  letGo(): void {
    this.#kept?.[Symbol.dispose]()
  }

  /** Frames of a later leg: they go on with what the client has. */
  goOn(frames: Buffer): boolean {
    this.#kept?.add(frames)
    return this.#client.write(frames)
  }

  get explains(): boolean {
    return this.#style.explains
  }

  get continuationWish(): 'on' | 'off' | undefined {
    return this.#style.continuationWish
  }

  /** A later leg has ended the answer: well, or with an error that the client has been told already. */
  endContinued(error?: Failure): void {
    // Its last line has the figures of all legs.
    const kept = this.#kept?.frames
    if (kept) this.#exchange.figures = figuresOf(kept.subarray(-figuresBytesMax))
    this.#delivery.endContinued(this.#head, error)
  }

  /** Why nobody goes on with it, for the one line that says so. */
  endsBecause(why: string, code: EndCode): void {
    this.#endsBecause = { why, code }
  }

  /** False: the client reads slowly, so the backend should wait for `onDrain`. */
  data(chunk: Buffer): boolean {
    const frames = this.#cutter!.feed(chunk)
    if (frames === undefined) return true
    if (this.#kept === undefined) return this.#delivery.letOut(this.#head, frames)
    this.gaps?.heard(this.#style.now(), 1)
    const error = this.#head.framing === 'ndjson' ? errorLineIn(frames) : -1
    if (error < 0 && this.#heldError === undefined) {
      this.#kept.add(frames)
      return this.#delivery.letOut(this.#head, frames)
    }
    return this.#holdError(frames, error)
  }

  /** What comes before the error is the answer; the error itself waits until it is known what it means. */
  #holdError(frames: Buffer, at: number): boolean {
    const held = this.#heldError
    const before = held ? undefined : frames.subarray(0, at)
    const error = held ? Buffer.concat([held, frames]) : frames.subarray(at)
    if (error.length > errorLineBytesMax) {
      // No sentence is that long: whatever it is, it is let out as it comes, and nobody goes on behind it.
      this.letGo()
      this.#kept = undefined
      this.#heldError = undefined
      return this.#delivery.letOut(this.#head, held ? error : frames)
    }
    this.#heldError = error
    if (!before || before.length === 0) return true
    this.#kept?.add(before)
    return this.#delivery.letOut(this.#head, before)
  }

  /** An error line that tells of no dead runner: the model's or the request's own, so nobody would do better. */
  get #finalError(): Buffer | undefined {
    const held = this.#heldError
    return held && !tellsOfCrash(held) ? held : undefined
  }

  onDrain(act: () => void): void {
    this.#client.onDrain(act)
  }

  /** The backend's answer has ended: as it should, or only as HTTP goes. */
  ended(): Outcome {
    const cutter = this.#cutter!
    const rest = cutter.end()
    const last = cutter.lastFrames
    if (this.#head.framing === 'json') {
      if (isCutShort(this.#exchange.asked.ask, this.#head.rawHeaders, last))
        return {
          kind: 'brokeOff',
          afterFirstByte: this.started,
          reusedSocket: false,
          text: 'its answer was cut short',
        }
      this.#delivery.endWhole(this.#head, rest)
      // The client has it: now there is time to look what it cost. A batch of embeddings is no place to look for
      // durations: parsing it would hold up every stream.
      if (last.length < figuresBytesMax) this.#exchange.figures = figuresOf(last)
      return { kind: 'answered', status: this.#head.status }
    }
    const end = endOf(this.#style.family, this.#exchange.asked.ask.op, last)
    this.#exchange.figures = figuresOf(last)
    // Ollama ends a stream like this, cleanly and without its last line, when a model only repeats itself.
    if (end === 'unfinished') {
      this.#repeatGuard = true
      return {
        kind: 'brokeOff',
        afterFirstByte: this.started,
        reusedSocket: false,
        clean: true,
        text: 'it ended without its last line',
      }
    }
    const held = this.#heldError
    if (held && tellsOfCrash(held)) return this.#crashed(held)
    if (held) this.#delivery.letOut(this.#head, held)
    if (rest) this.#delivery.letOut(this.#head, rest)
    this.#delivery.endWhole(this.#head, undefined, end === 'error')
    // The client has it word by word; to us it is what a status of 500 would have been a moment earlier.
    if (end === 'error' && this.#exchange.asked.ask.repeatable)
      return judgeRefusal(500, last.toString('utf8', Math.max(0, last.length - 4_096)))
    return { kind: 'answered', status: this.#head.status }
  }

  /** A runner's death told inside the stream: as much as if the connection had been lost. */
  #crashed(said: Buffer): Outcome {
    if (this.started)
      return {
        kind: 'brokeOff',
        afterFirstByte: true,
        reusedSocket: false,
        text: 'its model runner died',
      }
    const rawHeaders = ['Content-Type', 'application/json; charset=utf-8']
    this.keepRefusal({ status: 500, rawHeaders, body: said }, this.#exchange.backend)
    return judgeRefusal(500, said.toString('utf8', 0, 10_000))
  }

  /** A backend's own words of refusal, in case nobody does better. */
  keepRefusal(answer: HeldAnswer, backend: string): void {
    this.#refusal = { ...answer, backend }
  }

  /** What a backend said to a load of ours, in the native shape, put in the words of this client's family. */
  keepLoadRefusal(answer: HeldAnswer, backend: string): void {
    const text = errorTextIn(answer.body.toString('utf8', 0, 10_000))
    const said = errorAnswer(this.#style.family, answer.status, text, {
      requestId: this.#exchange.asked.id,
    })
    const rawHeaders = ['Content-Type', said.contentType]
    this.keepRefusal({ status: answer.status, rawHeaders, body: said.body }, backend)
  }

  /** Nobody will try again: the client gets the last backend's own refusal, an honest end, or a sentence of ours. */
  finish(last: Outcome | undefined): void {
    if (this.#delivery.isOver) return
    if (!last || last.kind === 'answered')
      return this.failed(new Failure('internal', 'no attempt was made'))
    if (last.kind === 'clientLeft') return this.failed(new NotWanted())
    if (this.started) return this.#breakOff(last)
    if (last.kind === 'refused' && this.#refusal) return this.#delivery.refuse(this.#refusal, last)
    this.failed(failureOf(last))
  }

  failed(error: Failure | NotWanted): void {
    this.#delivery.fail(error, this.#errorFraming)
  }

  #breakOff(last: Outcome): void {
    const error = this.#finalError
    if (error) return this.#delivery.endWithError(error)
    const end = earlyEndOf(last, {
      because: this.#endsBecause,
      isTooLong: this.#kept?.isWhole === false,
      isSilent: this.#repeatGuard,
    })
    this.#delivery.endEarly(end, this.#errorFraming)
  }

  /** In which an error can follow what the client has; undefined: no line can say it there. */
  get #errorFraming(): Framing | undefined {
    const { framing } = this.#head
    return framing === 'json' || this.#cutter?.passingThrough ? undefined : framing
  }
}
