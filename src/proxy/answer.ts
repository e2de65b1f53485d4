import type { Family, Framing, Op } from '../core/ask.ts'
import { Failure, type FailureCode } from '../core/failure.ts'
import type { Ending } from '../core/observer.ts'
import type { Outcome } from '../core/outcome.ts'
import { isCrashText } from '../dialects/continuing/crash.ts'
import { endOf, figuresOf } from '../dialects/endings.ts'
import { errorAnswer, errorFrame } from '../dialects/errors.ts'
import { FrameCutter } from '../dialects/frames.ts'
import type { Receiver } from './attempt.ts'
import type { ClientSide } from './client-side.ts'
import { Gaps } from './continuing/gaps.ts'
import type { Exchange } from './exchange.ts'
import { endingOf, errorTextIn, failureOf, failureOfRefusal } from './failures.ts'
import { headerOf, responseHeaders } from './headers.ts'
import { judgeRefusal } from './judge.ts'
import { Kept, type KeptBudget } from './kept.ts'
import type { HeldAnswer } from './loads.ts'
import { proxyStatus } from './proxy-status.ts'
import { NotWanted } from './queue.ts'

/** How this client wants to be spoken to. */
export interface AnswerStyle {
  readonly family: Family
  readonly op: Op
  /** The text for a model that nobody has; each route of Ollama has its own. */
  readonly modelUnknownText: string
  /** Name, value …: what the surface adds to every answer, such as the CORS fields. */
  readonly headers: readonly string[]
  /** Another backend may go on with the answer when this one breaks off. */
  readonly continues: boolean
  /** What the request itself says about that; undefined: nothing. */
  readonly continuationWish: 'on' | 'off' | undefined
  /** It wants to be told when another backend went on. */
  readonly explains: boolean
  readonly now: () => number
}

/** Codes of an answer that ended in its middle. */
type EndCode = FailureCode & ('answer_cut' | 'repeat_guard')

export interface AnswerResult {
  ending: Ending
  status: number
  code: FailureCode | undefined
}

/** A frame longer than this is let out as it comes: a client that reads lines has its own limits (Go's is 8 MiB). */
const frameBytesMax = 1_048_576
const figuresBytesMax = 65_536

/**
 * The answer as the client gets it, over all attempts. The head is held until the first whole frame, so that until
 * then another backend can take over and the client never knows. Frames are let out whole and unchanged: half a line
 * is of no use to anybody, and only between two frames an honest end is possible.
 */
export class Answer implements Receiver {
  /** A first answer is heard to its end. */
  readonly over: boolean = false
  gaps: Gaps | undefined
  readonly result: AnswerResult = { ending: 'ok', status: 0, code: undefined }
  /** Time that model loads took before the current attempt. */
  loadMs = 0
  /** Called when a backend has shown that it can answer this. */
  onFirstFrame: (() => void) | undefined
  readonly #exchange: Exchange
  readonly #client: ClientSide
  readonly #style: AnswerStyle
  readonly #keeping: KeptBudget
  #cutter: FrameCutter | undefined
  #framing: Framing = 'json'
  #status = 0
  #rawHeaders: readonly string[] = []
  #refusal: (HeldAnswer & { backend: string }) | undefined
  #over = false
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
    if (firstByteMs === undefined || this.#framing === 'json') return undefined
    return asked.arrivedMs + firstByteMs - sinceMs
  }

  /** A backend begins to answer. */
  begin(status: number, rawHeaders: readonly string[]): void {
    this.#repeatGuard = false
    this.#status = status
    this.#rawHeaders = rawHeaders
    this.#framing = framingOf(rawHeaders)
    this.#cutter = new FrameCutter(this.#framing, { frameBytesMax })
    this.#heldError = undefined
    this.letGo()
    this.#kept = undefined
    this.gaps = undefined
    if (this.#framing === 'json' || !this.#style.continues) return
    this.#kept = new Kept(this.#keeping)
    this.gaps = new Gaps()
  }

  /** True for a stream that another backend could go on with. */
  get keeps(): boolean {
    return this.#kept?.isWhole === true
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
    this.#over = true
    this.result.ending = error ? endingOf(error) : 'ok'
    this.result.code = error?.code
    this.result.status = this.#status
    // Its last line has the figures of all legs.
    const kept = this.#kept?.frames
    if (kept) this.#exchange.figures = figuresOf(kept.subarray(-figuresBytesMax))
    this.#client.end()
  }

  /** Why nobody goes on with it, for the one line that says so. */
  endsBecause(why: string, code: EndCode): void {
    this.#endsBecause = { why, code }
  }

  /** False: the client reads slowly, so the backend should wait for `onDrain`. */
  data(chunk: Buffer): boolean {
    const frames = this.#cutter!.feed(chunk)
    if (frames === undefined) return true
    if (this.#kept === undefined) return this.#letOut(frames)
    this.gaps?.heard(this.#style.now(), 1)
    const error = this.#framing === 'ndjson' ? errorLineIn(frames) : -1
    if (error < 0 && this.#heldError === undefined) {
      this.#kept.add(frames)
      return this.#letOut(frames)
    }
    return this.#holdError(frames, error)
  }

  /** What comes before the error is the answer; the error itself waits until it is known what it means. */
  #holdError(frames: Buffer, at: number): boolean {
    const held = this.#heldError
    const before = held ? undefined : frames.subarray(0, at)
    const error = held ? Buffer.concat([held, frames]) : frames.subarray(at)
    if (error.length > heldErrorBytesMax) {
      // No sentence is that long: whatever it is, it is let out as it comes, and nobody goes on behind it.
      this.letGo()
      this.#kept = undefined
      this.#heldError = undefined
      return this.#letOut(held ? error : frames)
    }
    this.#heldError = error
    if (!before || before.length === 0) return true
    this.#kept?.add(before)
    return this.#letOut(before)
  }

  /** An error line that tells of no dead runner: the model's or the request's own, so nobody would do better. */
  get #finalError(): Buffer | undefined {
    const held = this.#heldError
    return held && !isCrash(held) ? held : undefined
  }

  onDrain(act: () => void): void {
    this.#client.onDrain(act)
  }

  /** The backend's answer has ended: as it should, or only as HTTP goes. */
  ended(): Outcome {
    const cutter = this.#cutter!
    const rest = cutter.end()
    const last = cutter.lastFrames
    if (this.#framing === 'json') {
      // A batch of embeddings is no place to look for durations: parsing it would hold up every stream.
      if (last.length < figuresBytesMax) this.#exchange.figures = figuresOf(last)
      if (this.#isCutShort(last))
        return {
          kind: 'brokeOff',
          afterFirstByte: this.started,
          reusedSocket: false,
          text: 'its answer was cut short',
        }
      this.#endWhole(rest)
      return { kind: 'answered', status: this.#status }
    }
    const family = this.#style.family === 'own' ? 'ollama' : this.#style.family
    const end = endOf(family, this.#exchange.asked.ask.op, last)
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
    if (held && isCrash(held)) return this.#crashed(held)
    this.#letOut(held)
    this.#letOut(rest)
    this.#endWhole(undefined)
    if (end === 'error') {
      this.result.ending = 'upstream_error'
      // The client has it word by word; to us it is what a status of 500 would have been a moment earlier.
      if (this.#exchange.asked.ask.repeatable)
        return judgeRefusal(500, last.toString('utf8', Math.max(0, last.length - 4_096)))
    }
    return { kind: 'answered', status: this.#status }
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

  /** Without a length to count by, an answer that stops half-way looks like one that ends. */
  #isCutShort(bytes: Buffer): boolean {
    const { op, repeatable } = this.#exchange.asked.ask
    if (!repeatable || !answersInJson.has(op) || !isJson(this.#rawHeaders)) return false
    const last = bytes[bytes.length - 1]
    if (last === closingBrace || last === closingBracket) return false
    return !/[}\]]\s*$/.test(bytes.toString('latin1', Math.max(0, bytes.length - 64)))
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
    if (this.#over) return
    if (!last || last.kind === 'answered')
      return this.failed(new Failure('internal', 'no attempt was made'))
    if (last.kind === 'clientLeft') return this.failed(new NotWanted())
    if (this.started) return this.#breakOff(last)
    if (last.kind === 'refused' && this.#refusal) return this.#passRefusal(this.#refusal, last)
    this.failed(failureOf(last))
  }

  failed(error: Failure | NotWanted): void {
    if (this.#over) return
    if (error instanceof NotWanted) {
      if (this.#exchange.endedBy === 'deadline')
        return this.failed(new Failure('total_timeout', 'the answer was not complete in time'))
      if (this.#exchange.endedBy === 'stop')
        return this.failed(
          new Failure('stopping', 'the proxy stops, and its time for running answers is over', {
            retryAfterS: 5,
          }),
        )
      this.#over = true
      this.result.ending = 'client_closed'
      this.result.status = 499
      this.#client.cut()
      return
    }
    this.result.code = error.code
    this.result.ending = endingOf(error)
    if (this.started) return this.#endHonestly(error.message, error.code)
    this.#over = true
    this.result.status = error.status
    const message = error.code === 'model_unknown' ? this.#style.modelUnknownText : error.message
    const answer = errorAnswer(this.#style.family, error.status, message, {
      code: error.code,
      requestId: this.#exchange.asked.id,
    })
    const headers = [
      'Content-Type',
      answer.contentType,
      'Content-Length',
      String(answer.body.length),
      ...this.#ownHeaders(proxyStatus({ error: error.code, backend: this.#exchange.backend })),
    ]
    if (error.retryAfterS !== undefined) headers.push('Retry-After', String(error.retryAfterS))
    this.#client.head(error.status, headers)
    this.#client.end(answer.body)
  }

  #letOut(frames: Buffer | undefined): boolean {
    if (frames === undefined) return true
    this.#noteFirstByte()
    this.#sendHead()
    return this.#client.write(frames)
  }

  #noteFirstByte(): void {
    if (this.#exchange.firstByteMs === undefined)
      this.#exchange.firstByteMs = this.#style.now() - this.#exchange.asked.arrivedMs
    this.onFirstFrame?.()
    this.onFirstFrame = undefined
  }

  #sendHead(): void {
    if (this.started) return
    const headers = responseHeaders(this.#rawHeaders, this.#framing === 'json')
    // A front nginx would otherwise collect a stream and hand it on in one piece.
    if (this.#framing !== 'json') headers.push('X-Accel-Buffering', 'no')
    headers.push(
      ...this.#ownHeaders(
        proxyStatus({
          backend: this.#exchange.backend,
          received: this.#status,
          details: detailsOf(this.#exchange),
        }),
        this.#exchange.attempts.length + 1, // the one that is answering is not on the list yet
      ),
    )
    this.result.status = this.#status
    this.#client.head(this.#status, headers)
  }

  /** The end of the answer; where it was held whole, head and body go out in one piece. */
  #endWhole(rest: Buffer | undefined): void {
    this.#over = true
    this.#noteFirstByte()
    this.#sendHead()
    this.result.status = this.#status
    this.#client.end(rest)
  }

  #ownHeaders(status: string, attemptsMade?: number): string[] {
    const { asked, backend, attempts, waitMs } = this.#exchange
    const headers = [
      'X-Request-Id',
      asked.id,
      'Proxy-Status',
      status,
      'Server-Timing',
      waitMs === 0 && this.loadMs === 0
        ? 'queue;dur=0.0, load;dur=0.0'
        : `queue;dur=${waitMs.toFixed(1)}, load;dur=${this.loadMs.toFixed(1)}`,
      ...this.#style.headers,
    ]
    if (this.#exchange.substitute) headers.push('X-Chasqui-Model', asked.ask.modelText)
    if (backend !== '')
      headers.push(
        'X-Chasqui-Backend',
        backend,
        'X-Chasqui-Attempts',
        String(Math.max(1, attemptsMade ?? attempts.length)),
      )
    return headers
  }

  #passRefusal(
    refusal: HeldAnswer & { backend: string },
    last: Outcome & { kind: 'refused' },
  ): void {
    this.#over = true
    this.result.ending =
      last.why === 'clientFault' || last.why === 'noModel' ? 'bad_request' : 'upstream_error'
    this.result.status = refusal.status
    if (this.#style.family === 'own') {
      // Our own path speaks one language of errors, whatever the backend said.
      this.#over = false
      return this.failed(failureOfRefusal(last))
    }
    const headers = responseHeaders(refusal.rawHeaders, false)
    headers.push(
      'Content-Length',
      String(refusal.body.length),
      ...this.#ownHeaders(proxyStatus({ backend: refusal.backend, received: refusal.status })),
    )
    const busy = refusal.status === 503 || refusal.status === 429
    if (busy && headerOf(headers, 'retry-after') === undefined) headers.push('Retry-After', '2')
    this.#client.head(refusal.status, headers)
    this.#client.end(refusal.body)
  }

  #breakOff(last: Outcome): void {
    const error = this.#finalError
    if (error) {
      this.#over = true
      this.result.ending = 'upstream_error'
      return this.#client.end(error)
    }
    this.result.ending = last.kind === 'timedOut' ? 'upstream_timeout' : 'stream_broken'
    const because = this.#endsBecause
    const tooMuch = this.#kept?.isWhole === false
    const why = because?.why ?? (tooMuch ? 'more of it was sent than is kept' : undefined)
    const silent = because ? because.code === 'repeat_guard' : this.#repeatGuard
    this.result.code = silent ? 'repeat_guard' : 'answer_cut'
    this.#endHonestly(
      silent
        ? 'the backend ended the answer without its last line; a model that repeats itself is stopped like that'
        : last.kind === 'timedOut'
          ? last.text
          : why === undefined
            ? 'the backend ended in the middle of the answer'
            : `the backend ended in the middle of the answer, and ${why}`,
      this.result.code,
    )
  }

  /** One error in the client's own format, then the end; or, where no line can say it, a visibly cut transfer. */
  #endHonestly(message: string, code: FailureCode): void {
    this.#over = true
    if (this.#framing === 'json' || this.#cutter?.passingThrough) return this.#client.cut()
    this.#client.end(errorFrame(this.#style.family, this.#framing, message, code, this.#style.op))
  }
}

/** Which model stands for which, and why; undefined: the one that was named answers. */
function detailsOf({ substitute, asked }: Exchange): string | undefined {
  if (!substitute) return undefined
  const { canonical } = asked.ask.name
  switch (substitute.why) {
    case 'alias':
      return `${substitute.asked} is ${canonical}`
    case 'rule':
      return `by a rule ${canonical} answers for ${substitute.asked}`
    case 'fallback':
      return `nobody can serve ${substitute.asked}, ${canonical} stands in`
  }
}

/** Ollama's own errors have some hundred bytes; llama-server's, passed on whole, a few thousand. */
const heldErrorBytesMax = 65_536
const errorStart = '{"error":'

function isCrash(errorLine: Buffer): boolean {
  return isCrashText(errorTextIn(errorLine.toString('utf8', 0, 10_000)))
}

/** Where the first line begins that says that it failed; -1 for none. */
function errorLineIn(frames: Buffer): number {
  if (frames[1] === 0x22 && frames[2] === 0x65 && frames.toString('latin1', 0, 9) === errorStart)
    return 0
  const at = frames.indexOf(`\n${errorStart}`, 0, 'latin1')
  return at < 0 ? -1 : at + 1
}

const closingBrace = 0x7d
const closingBracket = 0x5d

/** What is asked of these is answered by one JSON value, unless it streams. */
const answersInJson: ReadonlySet<Op> = new Set(['generate', 'chat', 'embed', 'responses'])

function isJson(rawHeaders: readonly string[]): boolean {
  return (headerOf(rawHeaders, 'content-type') ?? '').startsWith('application/json')
}

export function framingOf(rawHeaders: readonly string[]): Framing {
  const type = headerOf(rawHeaders, 'content-type') ?? ''
  if (type.startsWith('application/x-ndjson')) return 'ndjson'
  return type.startsWith('text/event-stream') ? 'sse' : 'json'
}
