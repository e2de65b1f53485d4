import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Clock, sleep } from '../../src/core/clock.ts'
import type { Fault, FaultKind } from './faults.ts'
import { toGoJson } from './go-json.ts'
import { clientLeft, engineBroke, runnerStopped } from './refusal.ts'
import type { TraceEntry } from './trace.ts'

/** Go sends a length with bodies up to this size and chunks beyond it. */
const lengthBytesMax = 2048
/** Long enough for the kernel to hand over what was written before the connection is torn down. */
const lastWordsMs = 20

/** What some compatible layers say of their streams. */
export const eventHeaders = { 'Cache-Control': 'no-cache', Connection: 'keep-alive' }

/** The fault that ends an answer inside its stream, as a family tells it in its own way. */
export class InBandError extends Error {
  /** Said instead when the stream has not begun. */
  readonly status: number

  constructor(text: string, status = 500) {
    super(text)
    this.status = status
  }
}

/** One answer on its way out. Every injected fault between the head and the last byte happens here. */
export class Reply {
  readonly res: ServerResponse
  readonly entry: TraceEntry
  /** Fires when the client is gone, or when a fault tore the connection down. */
  readonly signal: AbortSignal
  readonly #req: IncomingMessage
  readonly #clock: Clock
  readonly #gone = new AbortController()
  #faults: readonly Fault[] = []
  #chunks = 0
  #streamType = ''
  #streamHeaders: Record<string, string> = {}
  onCrash: () => void = () => {}

  constructor(req: IncomingMessage, res: ServerResponse, entry: TraceEntry, clock: Clock) {
    this.#req = req
    this.res = res
    this.entry = entry
    this.#clock = clock
    this.signal = this.#gone.signal
    // Go keeps connections open without a word about it.
    res.removeHeader('Connection')
    res.on('close', () => {
      if (!res.writableFinished) this.leave('client disconnected')
    })
  }

  get started(): boolean {
    return this.res.headersSent
  }

  use(faults: readonly Fault[]): void {
    this.#faults = faults
    this.entry.faults.push(...faults.map(({ kind }) => kind))
  }
  fault(kind: FaultKind): Fault | undefined {
    return this.#faults.find((fault) => fault.kind === kind)
  }

  leave(reason: string): void {
    if (this.signal.aborted) return
    if (!this.res.writableFinished) this.entry.cancelReason ??= reason
    this.#gone.abort()
  }

  /** A whole body. */
  send(status: number, type: string | undefined, body: string | Buffer): void {
    if (this.res.headersSent || this.signal.aborted) return
    this.entry.status = status
    this.res.statusCode = status
    if (type !== undefined) this.res.setHeader('Content-Type', type)
    const bytes = Buffer.from(body)
    if (this.fault('wrong-content-length')) {
      this.res.setHeader('Content-Length', bytes.length + 17)
      this.res.write(bytes)
      this.#tearDown('fault: wrong content length', false)
      return
    }
    if (this.#req.method !== 'HEAD' && bytes.length > lengthBytesMax) this.res.write(bytes)
    else this.res.setHeader('Content-Length', bytes.length)
    this.res.end(bytes.length > lengthBytesMax ? undefined : bytes)
  }
  /** A whole body in one chunk: what was to be a stream. */
  sendChunked(status: number, type: string, body: string): void {
    if (this.res.headersSent || this.signal.aborted) return
    this.entry.status = status
    this.res.statusCode = status
    this.res.setHeader('Content-Type', type)
    this.res.write(body)
    this.res.end()
  }
  /** As gin writes JSON on /api: with a charset and without a newline. */
  json(status: number, value: unknown): void {
    this.send(status, 'application/json; charset=utf-8', toGoJson(value))
  }
  /** As the compatible routes write it: by an encoder, which ends with a newline. */
  jsonLine(status: number, value: unknown): void {
    this.send(status, 'application/json', `${toGoJson(value)}\n`)
  }
  text(status: number, text: string): void {
    this.send(status, 'text/plain; charset=utf-8', text)
  }
  /** The router's own words have a type without a charset. */
  routerText(status: number, text: string): void {
    this.send(status, 'text/plain', text)
  }
  empty(status: number): void {
    if (this.res.headersSent || this.signal.aborted) return
    this.entry.status = status
    this.res.statusCode = status
    this.res.setHeader('Content-Length', 0)
    this.res.end()
  }

  /** The client asked for a stream. */
  get wantsStream(): boolean {
    return this.#streamType !== ''
  }
  /** Some compatible layers set the headers of their stream early, and an error before it still has them. */
  keepStreamHeaders(): void {
    if (this.res.headersSent) return
    const cache = this.#streamHeaders['Cache-Control']
    if (cache !== undefined) this.res.setHeader('Cache-Control', cache)
  }

  /** What the stream will be, once its first chunk is there; until then a status can still be said. */
  streams(type: string, headers: Record<string, string> = {}): void {
    this.#streamType = type
    this.#streamHeaders = headers
  }

  /** One chunk, flushed. Waits for a slow reader. */
  async frame(text: string): Promise<void> {
    await this.#misfortune()
    if (this.signal.aborted) throw clientLeft()
    if (!this.res.headersSent) {
      this.entry.status = 200
      this.res.writeHead(200, { 'Content-Type': this.#streamType, ...this.#streamHeaders })
    }
    this.#chunks++
    if (this.fault('split-writes')) {
      for (const part of splitInside(Buffer.from(text))) {
        this.res.write(part)
        await sleep(this.#clock, 1)
      }
      return
    }
    if (!this.res.write(text)) await this.#drained()
  }

  end(): void {
    if (this.signal.aborted || this.res.writableEnded) return
    if (!this.res.headersSent) {
      this.entry.status = 200
      this.res.writeHead(200, { 'Content-Type': this.#streamType, ...this.#streamHeaders })
    }
    if (this.fault('reset-at-end')) this.#tearDown('fault: reset at the end', true)
    else this.res.end()
  }

  /** The faults that come before the first byte; true when one of them has taken the request. */
  async beforeHead(): Promise<boolean> {
    if (this.fault('hang')) {
      await this.#silence(this.fault('hang')?.ms)
      return this.signal.aborted
    }
    if (this.fault('reset')) {
      this.#tearDown('fault: reset', true)
      return true
    }
    if (this.fault('close-after-read')) {
      this.#tearDown('fault: closed after reading', false)
      return true
    }
    return false
  }

  async #misfortune(): Promise<void> {
    for (const fault of this.#faults) {
      const due = this.#chunks >= (fault.chunks ?? 0)
      switch (fault.kind) {
        case 'trickle':
          if (this.#chunks > 0) await sleep(this.#clock, fault.ms ?? 50, this.signal)
          break
        case 'stall-after-chunks':
          if (this.#chunks === (fault.chunks ?? 0)) await this.#silence(fault.ms)
          break
        case 'error-after-chunks':
          if (this.#chunks === (fault.chunks ?? 0)) {
            // Whoever writes the error line writes it by frame(), which must not meet this again.
            this.#faults = this.#faults.filter((other) => other !== fault)
            throw new InBandError(fault.text ?? engineBroke, fault.status)
          }
          break
        case 'crash-after-chunks':
          if (this.#chunks === (fault.chunks ?? 0)) {
            this.#faults = this.#faults.filter((other) => other !== fault)
            this.onCrash()
            throw new InBandError(this.#chunks === 0 ? runnerStopped : engineBroke)
          }
          break
        case 'reset-after-chunks':
          if (due) {
            this.#startHead()
            this.#tearDown('fault: reset inside the stream', true)
            throw clientLeft()
          }
          break
        case 'end-after-chunks':
          if (due) {
            this.end()
            this.leave('fault: ended early')
            this.entry.cancelReason ??= 'fault: ended early'
            throw clientLeft()
          }
          break
        default:
      }
    }
  }

  #startHead(): void {
    if (this.res.headersSent) return
    this.entry.status = 200
    this.res.writeHead(200, { 'Content-Type': this.#streamType, ...this.#streamHeaders })
    this.res.flushHeaders()
  }

  async #silence(ms: number | undefined): Promise<void> {
    if (ms !== undefined) return sleep(this.#clock, ms, this.signal)
    await new Promise<void>((resolve) => {
      if (this.signal.aborted) resolve()
      this.signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  #tearDown(reason: string, abruptly: boolean): void {
    const { socket } = this.#req
    this.entry.cancelReason ??= reason
    // A reset throws away what the kernel has not handed over yet; the chunks before it are to arrive.
    const end = () => (abruptly ? socket.resetAndDestroy() : socket.destroySoon())
    if (this.res.headersSent) this.#clock.after(lastWordsMs, end)
    else end()
    this.leave(reason)
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const go = () => {
        this.res.off('drain', go)
        this.signal.removeEventListener('abort', go)
        resolve()
      }
      this.res.once('drain', go)
      this.signal.addEventListener('abort', go, { once: true })
    })
  }
}

/** Cut inside the first long character, if there is one, and in the middle of the line. */
function splitInside(bytes: Buffer): Buffer[] {
  const long = bytes.findIndex((byte) => byte >= 0xc0)
  const cuts = [long >= 0 ? long + 1 : -1, Math.floor(bytes.length / 2)]
    .filter((cut) => cut > 0 && cut < bytes.length)
    .sort((one, other) => one - other)
  const parts: Buffer[] = []
  let from = 0
  for (const cut of cuts) {
    if (cut === from) continue
    parts.push(bytes.subarray(from, cut))
    from = cut
  }
  parts.push(bytes.subarray(from))
  return parts
}
