import type { Family, Framing, Op } from '../../core/ask.ts'
import type { Failure, FailureCode } from '../../core/failure.ts'
import type { Ending } from '../../core/observer.ts'
import type { Outcome } from '../../core/outcome.ts'
import { errorAnswer, errorFrame } from '../../dialects/errors.ts'
import type { ClientSide } from '../client-side.ts'
import type { Exchange } from '../exchange.ts'
import { endingOf, failureOfRefusal } from '../failures.ts'
import { NotWanted } from '../queue.ts'
import { type EarlyEnd, failureOfEnd } from './early-end.ts'
import type { BackendHead, Heads, KeptRefusal } from './heads.ts'

/** How this client wants to be spoken to. */
export interface DeliveryStyle {
  readonly family: Family
  readonly op: Op
  /** The text for a model that nobody has; each route of Ollama has its own. */
  readonly modelUnknownText: () => string
  readonly now: () => number
}

/** How an answer ended, in the words of log and metrics. */
export interface AnswerResult {
  ending: Ending
  status: number
  code: FailureCode | undefined
}

/**
 * What the client gets: one head, with the first frames or with the end; then frames; and one end, whoever comes first
 * with it.
 */
export class Delivery {
  readonly result: AnswerResult = { ending: 'ok', status: 0, code: undefined }
  /** Called once, with the first that is let out. */
  onFirstFrame: (() => void) | undefined
  readonly #exchange: Exchange
  readonly #client: ClientSide
  readonly #style: DeliveryStyle
  readonly #heads: Heads
  #isOver = false

  constructor(exchange: Exchange, style: DeliveryStyle, heads: Heads) {
    this.#exchange = exchange
    this.#client = exchange.client
    this.#style = style
    this.#heads = heads
  }

  /** The client has been told the end of it. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** False: the client reads slowly. */
  letOut(head: BackendHead, frames: Buffer): boolean {
    this.#noteFirstByte()
    this.#sendHead(head)
    return this.#client.write(frames)
  }

  /**
   * The end of an answer that its backend has ended, `isError`: with a word that it failed. Where it was held whole, head
   * and body go out in one piece.
   */
  endWhole(head: BackendHead, rest: Buffer | undefined, isError = false): void {
    this.#isOver = true
    this.#noteFirstByte()
    this.#sendHead(head)
    this.result.status = head.status
    this.#client.end(rest)
    if (isError) this.result.ending = 'upstream_error'
  }

  /** Another backend has ended it: well, or with an error that the client has been told already. */
  endContinued({ status }: BackendHead, error: Failure | undefined): void {
    this.#isOver = true
    this.result.ending = error ? endingOf(error) : 'ok'
    this.result.code = error?.code
    this.result.status = status
    this.#client.end()
  }

  /** The backend's own error is the last that the client hears. */
  endWithError(error: Buffer): void {
    this.#isOver = true
    this.result.ending = 'upstream_error'
    this.#client.end(error)
  }

  /** `framing`: in which an error can follow what the client has; undefined: it can not. */
  endEarly({ ending, code, message }: EarlyEnd, framing: Framing | undefined): void {
    this.result.ending = ending
    this.result.code = code
    this.#endHonestly(message, code, framing)
  }

  /** A backend's refusal, in its own words where the client's family has them. */
  refuse(refusal: KeptRefusal, last: Outcome & { kind: 'refused' }): void {
    // Our own path speaks one language of errors, whatever the backend said.
    if (this.#style.family === 'own') return this.fail(failureOfRefusal(last), undefined)
    this.#isOver = true
    const isItsFault = last.why === 'clientFault' || last.why === 'noModel'
    this.result.ending = isItsFault ? 'bad_request' : 'upstream_error'
    this.result.status = refusal.status
    this.#client.head(refusal.status, this.#heads.ofRefusal(refusal))
    this.#client.end(refusal.body)
  }

  /** A sentence of ours; for one that nobody wants any more, nothing, or why we stopped waiting. */
  fail(error: Failure | NotWanted, framing: Framing | undefined): void {
    if (this.#isOver) return
    if (error instanceof NotWanted) {
      const failure = failureOfEnd(this.#exchange.endedBy)
      return failure ? this.fail(failure, framing) : this.#cutLeft()
    }
    this.result.code = error.code
    this.result.ending = endingOf(error)
    if (this.#client.started) return this.#endHonestly(error.message, error.code, framing)
    this.#isOver = true
    this.result.status = error.status
    const { family, modelUnknownText } = this.#style
    const message = error.code === 'model_unknown' ? modelUnknownText() : error.message
    const answer = errorAnswer(family, error.status, message, {
      code: error.code,
      requestId: this.#exchange.asked.id,
    })
    this.#client.head(error.status, this.#heads.ofFailure(error, answer))
    this.#client.end(answer.body)
  }

  /** One error in the client's own format, then the end; or, where no line can say it, a visibly cut transfer. */
  #endHonestly(message: string, code: FailureCode, framing: Framing | undefined): void {
    this.#isOver = true
    if (framing === undefined) return this.#client.cut()
    const { family, op } = this.#style
    this.#client.end(errorFrame(family, framing, message, code, op))
  }

  #cutLeft(): void {
    this.#isOver = true
    this.result.ending = 'client_closed'
    this.result.status = 499
    this.#client.cut()
  }

  #noteFirstByte(): void {
    if (this.#exchange.firstByteMs === undefined)
      this.#exchange.firstByteMs = this.#style.now() - this.#exchange.asked.arrivedMs
    this.onFirstFrame?.()
    this.onFirstFrame = undefined
  }

  #sendHead(head: BackendHead): void {
    if (this.#client.started) return
    const headers = this.#heads.ofAnswer(head)
    this.result.status = head.status
    this.#client.head(head.status, headers)
  }
}
