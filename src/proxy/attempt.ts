import type { Clock } from '../core/clock.ts'
import { Failure } from '../core/failure.ts'
import { isRace, type Outcome } from '../core/outcome.ts'
import type { Settings } from '../core/settings.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Lease } from '../pool/lease.ts'
import { mustBeRead, readHead } from './answering/framing.ts'
import type { BackendHead } from './answering/heads.ts'
import { type HeldBody, SpoolTrouble } from './body.ts'
import type { Gaps } from './continuing/gaps.ts'
import type { AttemptUnderWay, Exchange } from './exchange.ts'
import { requestHeaders } from './headers.ts'
import { judgeError, judgePacked, judgeRefusal } from './judge.ts'
import { noteLoad, ownForAgent } from './load-head.ts'
import type { HeldAnswer } from './loads.ts'
import type { Wire, WireCall, WireListener } from './wire.ts'

/** Of a refusal's body no more is read: it is a sentence, not an answer. */
const refusalBytesMax = 1_048_576

export interface AttemptDoors {
  readonly wire: Wire
  readonly clock: Clock
  readonly settings: Settings
  readonly hop: string
}

/** What is sent: the client's own request, or one that makes another backend go on with its answer. */
export interface Sent {
  readonly method: string
  readonly path: string
  readonly rawHeaders: readonly string[]
  readonly body: Pick<HeldBody, 'size' | 'open'>
}

/** Who hears what the backend answers. */
export interface Receiver {
  /** The client has something of it. */
  readonly started: boolean
  /** Enough has been heard: what would still come is nobody's. */
  readonly over: boolean
  /** The client has the last line; only the end of the transfer is missing. */
  readonly isWhole: boolean
  /** The rhythm of a stream that another backend could go on with; undefined for everything else. */
  readonly gaps: Gaps | undefined
  /** A connection stands, and the request is on its way. */
  asked?(): void
  begin(head: BackendHead): void
  /** False: the client reads slowly, so the backend should wait for `onDrain`. */
  data(chunk: Buffer): boolean
  onDrain(act: () => void): void
  /** The answer has ended: as it should, or only as HTTP goes. */
  ended(): Outcome
  keepRefusal(answer: HeldAnswer, backend: string): void
}

/**
 * One try of an exchange at one endpoint: send, listen, pass on. Ends with how it went, the moment that is known; a
 * client that leaves ends it in the same tick, in every phase. Throws only when the fault is ours.
 */
export function runAttempt(
  exchange: Exchange,
  lease: Lease,
  receiver: Receiver,
  doors: AttemptDoors,
  sent: Sent = exchange.asked,
): Promise<Outcome> {
  return new Promise((resolve, reject) =>
    new Attempt(exchange, lease, receiver, doors, { resolve, reject }).start(sent),
  )
}

/** The same for one who may end it, and hears of its end in the very tick in which that is known. */
export function beginAttempt(
  exchange: Exchange,
  lease: Lease,
  receiver: Receiver,
  doors: AttemptDoors,
  told: Told,
): AttemptUnderWay {
  const attempt = new Attempt(exchange, lease, receiver, doors, told)
  attempt.start(exchange.asked)
  return attempt
}

/** Who hears how an attempt ended: once, and perhaps before it has really begun. */
export interface Told {
  resolve(outcome: Outcome): void
  reject(error: Failure): void
}

class Attempt implements WireListener, AttemptUnderWay {
  readonly #exchange: Exchange
  readonly #lease: Lease
  readonly #answer: Receiver
  readonly #doors: AttemptDoors
  readonly #told: Told
  #call: WireCall | undefined
  #over = false
  #ended: Disposable | undefined
  #limit: Disposable | undefined
  #refusal:
    | { status: number; rawHeaders: readonly string[]; chunks: Buffer[]; size: number }
    | undefined
  /** The client reads slowly, and the backend waits for it. */
  #paused = false

  constructor(
    exchange: Exchange,
    lease: Lease,
    receiver: Receiver,
    doors: AttemptDoors,
    told: Told,
  ) {
    this.#exchange = exchange
    this.#lease = lease
    this.#answer = receiver
    this.#doors = doors
    this.#told = told
  }

  get endpoint(): Endpoint {
    return this.#lease.endpoint
  }

  get gaps(): Gaps | undefined {
    return this.#answer.gaps
  }

  get paused(): boolean {
    return this.#paused
  }

  end(outcome: Outcome): void {
    this.#breakOff(outcome)
  }

  start(sent: Sent): void {
    const { id } = this.#exchange.asked
    const { backend } = this.#lease.endpoint
    const headers = requestHeaders({
      raw: sent.rawHeaders,
      requestId: id,
      hop: this.#doors.hop,
      passAuthorization: this.#doors.settings.passAuthorization,
      own: backend.agent
        ? ownForAgent(backend.headers, backend.agent.tag, this.#exchange.asked.priority)
        : backend.headers,
      hostOfBackend: hostOf(backend.origin),
    })
    if (sent.body.size > 0) headers.push('Content-Length', String(sent.body.size))
    this.#ended = this.#exchange.onEnd(() => this.#finish({ kind: 'clientLeft' }))
    if (this.#over) return
    const givenUp = () => {
      if (this.#answer.started) return
      // Before it said a word, or in the middle of a refusal: a frozen server would hold this client for ever.
      if (this.#refusal) this.ended()
      else this.#finish({ kind: 'unreachable', text: 'it stopped answering' })
    }
    this.#lease.onAway = givenUp
    this.#exchange.attempt = this
    this.#call = this.#doors.wire.send(
      backend,
      {
        method: sent.method,
        path: sent.path,
        headers,
        body: sent.body.size > 0 ? sent.body.open() : undefined,
        fresh: needsFresh(this.#exchange),
      },
      this,
    )
    if (this.#over) this.#call.abort()
  }

  /** Until here it was the limit for connecting that counted. */
  sent(): void {
    if (this.#over) return
    this.#answer.asked?.()
    this.#watch('firstByte')
  }

  head(status: number, rawHeaders: readonly string[]): void {
    if (this.#over) return
    if (this.endpoint.backend.agent) noteLoad(this.endpoint, rawHeaders)
    if (status >= 300) this.#refusal = { status, rawHeaders, chunks: [], size: 0 }
    else {
      const head = readHead(status, rawHeaders)
      if (head.coding !== undefined && mustBeRead(this.#exchange.asked.ask))
        return this.#finish(judgePacked(head.coding))
      this.#answer.begin(head)
    }
    this.#watch('idle')
  }

  data(chunk: Buffer): void {
    if (this.#over) return
    // What was read before the pause tells nothing of the reader, who is waited for now.
    if (this.#limit && !this.#paused) this.#watch('idle')
    if (this.#refusal) {
      this.#refusal.chunks.push(chunk)
      this.#refusal.size += chunk.length
      // Enough said: a refusal without end must not hold a seat for ever.
      if (this.#refusal.size >= refusalBytesMax) this.ended()
      return
    }
    const ready = this.#answer.data(chunk)
    if (this.#over) return
    if (this.#answer.over) return this.ended()
    if (ready || this.#paused) return
    // No faster than the client reads; while it is waited for, a silence is not the backend's.
    this.#paused = true
    this.#call?.pause()
    this.#watch('reader')
    this.#answer.onDrain(() => {
      this.#paused = false
      if (this.#over) return
      this.#watch('idle')
      this.#call?.resume()
    })
  }

  ended(): void {
    if (this.#over) return
    if (!this.#refusal) return this.#finish(this.#answer.ended())
    const { status, rawHeaders, chunks } = this.#refusal
    const body = Buffer.concat(chunks).subarray(0, refusalBytesMax)
    this.#answer.keepRefusal({ status, rawHeaders, body }, this.#lease.endpoint.name)
    this.#finish(judgeRefusal(status, body.toString('utf8', 0, 10_000)))
  }

  failed(error: Error): void {
    if (this.#over) return
    if (error.cause instanceof SpoolTrouble) return this.#fail(error.cause)
    this.#breakOff(judgeError(error, this.#answer.started))
  }

  /** Whatever happens behind the last line, there is nothing left to go on with. */
  #breakOff(outcome: Outcome): void {
    if (!this.#refusal && this.#answer.isWhole) this.ended()
    else this.#finish(outcome)
  }

  /** Configurable limits only: none of ours ends a long load or a silent prefill by itself. */
  #watch(limit: 'firstByte' | 'idle' | 'reader'): void {
    this.#limit?.[Symbol.dispose]()
    this.#limit = undefined
    const { firstByteMs, idleMs } = this.#doors.settings.timeouts
    const limitMs = limit === 'firstByte' ? firstByteMs : idleMs
    if (limitMs === undefined) return
    this.#limit = this.#doors.clock.after(limitMs, () => {
      if (limit === 'reader') return this.#finish({ kind: 'clientLeft' })
      const name = limit === 'firstByte' ? 'timeouts.first_byte' : 'timeouts.idle'
      this.#breakOff({
        kind: 'timedOut',
        limit,
        text: `the backend sent nothing for ${limitMs / 1_000} s (${name})`,
      })
    })
  }

  #finish(outcome: Outcome): void {
    if (this.#close()) this.#told.resolve(outcome)
  }

  /** What we kept for the backend can not be read: nobody out there is to blame. */
  #fail(cause: SpoolTrouble): void {
    const failure = new Failure('internal', 'the held body could not be read again', { cause })
    if (this.#close()) this.#told.reject(failure)
  }

  /** False when it was over before. */
  #close(): boolean {
    if (this.#over) return false
    this.#over = true
    this.#limit?.[Symbol.dispose]()
    this.#ended?.[Symbol.dispose]()
    this.#lease.onAway = undefined
    this.#exchange.attempt = undefined
    // Closing the connection is the only sign by which a backend stops working; after a whole answer it does nothing.
    this.#call?.abort()
    return true
  }
}

/**
 * On a kept connection a loss may be the server's, which was just closing it. What must not be sent twice, and what
 * has met a loss already, goes where a loss means what it says.
 */
function needsFresh({ asked, attempts }: Exchange): boolean {
  return !asked.ask.repeatable || attempts.some(({ outcome }) => isUnclear(outcome))
}

/** A server that was lost in the middle of its answer was no race, and says nothing of other connections. */
function isUnclear(outcome: Outcome): boolean {
  return outcome.kind === 'brokeOff' && (isRace(outcome) || !outcome.afterFirstByte)
}

function hostOf(origin: string): string {
  return origin.slice(origin.indexOf('//') + 2)
}
