import type { Clock } from '../core/clock.ts'
import { Failure } from '../core/failure.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Settings } from '../core/settings.ts'
import type { Lease } from '../pool/lease.ts'
import type { Answer } from './answer.ts'
import { SpoolTrouble } from './body.ts'
import type { Exchange } from './exchange.ts'
import { requestHeaders } from './headers.ts'
import { judgeError, judgeRefusal } from './judge.ts'
import type { Wire, WireCall, WireListener } from './wire.ts'

/** Of a refusal's body no more is read: it is a sentence, not an answer. */
const refusalBytesMax = 1_048_576

export interface AttemptDoors {
  readonly wire: Wire
  readonly clock: Clock
  readonly settings: Settings
  readonly hop: string
}

/**
 * One try of an exchange at one endpoint: send, listen, pass on. Ends with how it went, the moment that is known; a
 * client that leaves ends it in the same tick, in every phase. Throws only when the fault is ours.
 */
export function runAttempt(
  exchange: Exchange,
  lease: Lease,
  answer: Answer,
  doors: AttemptDoors,
): Promise<Outcome> {
  return new Promise((resolve, reject) =>
    new Attempt(exchange, lease, answer, doors, { resolve, reject }).start(),
  )
}

interface Told {
  resolve(outcome: Outcome): void
  reject(error: Failure): void
}

class Attempt implements WireListener {
  readonly #exchange: Exchange
  readonly #lease: Lease
  readonly #answer: Answer
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

  constructor(exchange: Exchange, lease: Lease, answer: Answer, doors: AttemptDoors, told: Told) {
    this.#exchange = exchange
    this.#lease = lease
    this.#answer = answer
    this.#doors = doors
    this.#told = told
  }

  start(): void {
    const { asked } = this.#exchange
    const { backend } = this.#lease.endpoint
    const headers = requestHeaders({
      raw: asked.rawHeaders,
      requestId: asked.id,
      hop: this.#doors.hop,
      passAuthorization: this.#doors.settings.passAuthorization,
      own: backend.headers,
      hostOfBackend: hostOf(backend.origin),
    })
    if (asked.body.size > 0) headers.push('Content-Length', String(asked.body.size))
    this.#ended = this.#exchange.onEnd(() => this.#finish({ kind: 'clientLeft' }))
    if (this.#over) return
    // Given up by the probes before it said a word: a frozen server would hold this client for ever.
    const givenUp = () => {
      if (!this.#answer.started && !this.#refusal)
        this.#finish({ kind: 'unreachable', text: 'it stopped answering' })
    }
    this.#lease.onAway = givenUp
    this.#watch('firstByte')
    this.#call = this.#doors.wire.send(
      backend,
      {
        method: asked.method,
        path: asked.path,
        headers,
        body: asked.body.size > 0 ? asked.body.open() : undefined,
        fresh: needsFresh(this.#exchange),
      },
      this,
    )
    if (this.#over) this.#call.abort()
  }

  head(status: number, rawHeaders: readonly string[]): void {
    if (this.#over) return
    if (status >= 300) this.#refusal = { status, rawHeaders, chunks: [], size: 0 }
    else this.#answer.begin(status, rawHeaders)
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
    if (this.#answer.data(chunk) || this.#over || this.#paused) return
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
    this.#finish(judgeError(error, this.#answer.started))
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
      this.#finish({
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
  return !asked.ask.repeatable || attempts.some(({ outcome }) => outcome.kind === 'brokeOff')
}

function hostOf(origin: string): string {
  return origin.slice(origin.indexOf('//') + 2)
}
