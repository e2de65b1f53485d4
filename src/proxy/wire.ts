import type { Readable } from 'node:stream'
import type { Backend } from '../core/backend.ts'

/** One request towards a backend, as it will stand on the wire. */
export interface WireRequest {
  readonly method: string
  /** With the query, without the backend's own path prefix. */
  readonly path: string
  /** Name, value, name, value … */
  readonly headers: readonly string[]
  readonly body: Uint8Array | Readable | AsyncIterable<Uint8Array> | undefined
  /** On a connection of its own, for what must not meet one that the server is just closing. */
  readonly fresh?: boolean
}

/** Who hears what comes back. Exactly one of `ended` and `failed` is called, last. */
export interface WireListener {
  /** The connection stands, and the request is on its way. */
  sent?(): void
  head(status: number, rawHeaders: readonly string[]): void
  data(chunk: Buffer): void
  ended(): void
  failed(error: Error): void
}

/** A request under way. */
export interface WireCall {
  pause(): void
  resume(): void
  /** Closes the connection: the only sign by which Ollama stops working. `failed` is not called for it. */
  abort(): void
}

/**
 * How bytes come in from a backend and go out to one. The exchange knows only this, so that a faster way of moving
 * bytes can take its place.
 */
export interface Wire {
  send(backend: Backend, request: WireRequest, listener: WireListener): WireCall
  /** Idle and open connections to a backend, for those who show them. */
  stats(backend: Backend): { open: number; idle: number }
  /**
   * So many connections stand ready that nobody uses, for what may have to be sent all at once; a few are opened with
   * each call. A wire that would not gain by it does nothing.
   */
  keepSpare(backend: Backend, count: number): void
  /** Lets connections to backends that are no longer there go. */
  keepOnly(backends: readonly Backend[]): void
  close(): Promise<void>
}

/** An error of ours is put in place of the library's so that judge reads one shape. */
export class SocketTrouble extends Error {
  /** A kept-alive connection that ended before this answer began, and at once: the server was just closing it. */
  readonly reusedSocket: boolean
  /** False: no connection was made, so nothing can have been received. */
  readonly sent: boolean
  constructor(message: string, how: { reusedSocket: boolean; sent: boolean }, cause: unknown) {
    // A stack of the event loop says nothing, and a dying host makes a hundred of these at once.
    const frames = Error.stackTraceLimit
    Error.stackTraceLimit = 0
    super(message, { cause })
    Error.stackTraceLimit = frames
    this.reusedSocket = how.reusedSocket
    this.sent = how.sent
  }
}

/**
 * A server that closed an idle connection before our request came answers with a reset, within the time that a packet
 * takes. What ends later was received: something died over it.
 */
export const raceMsMax = 1_000
