import type { Readable } from 'node:stream'
import { buildConnector, type Dispatcher, Pool } from 'undici'
import type { Backend } from '../core/backend.ts'

/** One request towards a backend, as it will stand on the wire. */
export interface WireRequest {
  readonly method: string
  /** With the query, without the backend's own path prefix. */
  readonly path: string
  /** Name, value, name, value … */
  readonly headers: readonly string[]
  readonly body: Uint8Array | Readable | undefined
}

/** Who hears what comes back. Exactly one of `ended` and `failed` is called, last. */
export interface WireListener {
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
  /** Lets connections to backends that are no longer there go. */
  keepOnly(backends: readonly Backend[]): void
  close(): Promise<void>
}

/** An error of ours is put in place of the library's so that judge reads one shape. */
export class SocketTrouble extends Error {
  /** The connection had already carried an answer before this request. */
  readonly reusedSocket: boolean
  constructor(message: string, reusedSocket: boolean, cause: unknown) {
    super(message, { cause })
    this.reusedSocket = reusedSocket
  }
}

/**
 * undici's dispatch, one pool of connections for each backend: no pipelining (a lost neighbour must not take another
 * exchange along), no limit on connections (seats are the limit), none of its timers (a model may load for minutes).
 */
export function undiciWire(settings: { connectMs: number }): Wire {
  const pools = new Map<string, Pool>()
  /** Bytes read so far when a socket failed, to tell a kept-alive connection that was just closed from a death. */
  const readBefore = new WeakMap<object, number>()

  const poolOf = (backend: Backend): Pool => {
    let pool = pools.get(backend.origin)
    if (!pool) {
      const plain = buildConnector({ timeout: settings.connectMs, allowH2: false })
      pool = new Pool(backend.origin, {
        connections: null,
        pipelining: 1,
        headersTimeout: 0,
        bodyTimeout: 0,
        // Ollama never closes an idle connection; 30 s spares the handshake of a busy fleet and no more.
        keepAliveTimeout: 30_000,
        allowH2: false,
        connect(options, callback) {
          plain(options, (...result) => {
            const [, socket] = result
            if (socket) {
              socket.setNoDelay(true)
              socket.once('error', (error) => readBefore.set(error, socket.bytesRead))
            }
            callback(...result)
          })
        },
      })
      pools.set(backend.origin, pool)
    }
    return pool
  }

  return {
    send(backend, request, listener) {
      const call = new UndiciCall(listener, readBefore)
      poolOf(backend).dispatch(
        {
          method: request.method as Dispatcher.HttpMethod,
          path: backend.pathPrefix + request.path,
          headers: request.headers as string[],
          body: (request.body ?? null) as Uint8Array | Readable | null,
        },
        call,
      )
      return call
    },
    stats(backend) {
      const stats = pools.get(backend.origin)?.stats
      return { open: stats?.connected ?? 0, idle: stats?.free ?? 0 }
    },
    keepOnly(backends) {
      const origins = new Set(backends.map((backend) => backend.origin))
      for (const [origin, pool] of pools)
        if (!origins.has(origin)) {
          pools.delete(origin)
          // Waits for running answers by itself; nobody waits for it.
          void pool.close()
        }
    },
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()))
      pools.clear()
    },
  }
}

class UndiciCall implements Dispatcher.DispatchHandler, WireCall {
  readonly #listener: WireListener
  readonly #readBefore: WeakMap<object, number>
  #controller: Dispatcher.DispatchController | undefined
  #over = false

  constructor(listener: WireListener, readBefore: WeakMap<object, number>) {
    this.#listener = listener
    this.#readBefore = readBefore
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    // The client left while the connection was still being made: nothing has been sent, nothing will be.
    if (this.#over) controller.abort(new Error('not wanted any more'))
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#over || status < 200) return
    this.#listener.head(status, texts(controller.rawHeaders))
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#over) this.#listener.data(chunk)
  }

  onResponseEnd(): void {
    if (this.#over) return
    this.#over = true
    this.#listener.ended()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.#over) return
    this.#over = true
    const read = this.#readBefore.get(error) ?? bytesReadOf(error)
    this.#listener.failed(new SocketTrouble(error.message, read !== undefined && read > 0, error))
  }

  pause(): void {
    if (!this.#over) this.#controller?.pause()
  }

  resume(): void {
    if (!this.#over) this.#controller?.resume()
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#controller?.abort(new Error('not wanted any more'))
  }
}

function texts(raw: Dispatcher.DispatchController['rawHeaders']): string[] {
  return Array.isArray(raw)
    ? raw.map((part) => (typeof part === 'string' ? part : part.toString('latin1')))
    : []
}

/** undici's own SocketError carries what its socket had read. */
function bytesReadOf(error: Error): number | undefined {
  const socket = (error as { socket?: { bytesRead?: unknown } | null }).socket
  return typeof socket?.bytesRead === 'number' ? socket.bytesRead : undefined
}
