import type { Readable } from 'node:stream'
import { buildConnector, Client, type Dispatcher, Pool } from 'undici'
import type { Backend } from '../core/backend.ts'
import type { Clock } from '../core/clock.ts'
import type { Addresses } from './addresses.ts'
import { raceMsMax, SocketTrouble, type Wire, type WireCall, type WireListener } from './wire.ts'

/**
 * undici's dispatch, one pool of connections for each backend: no pipelining (a lost neighbour must not take another
 * exchange along), no limit on connections (seats are the limit), none of its timers (a model may load for minutes).
 */
export function undiciWire(
  settings: { readonly connectMs: number },
  clock: Clock,
  addresses: Addresses,
): Wire {
  const pools = new Map<string, Pool>()
  /** Undefined until somebody says it. */
  let inService: ReadonlySet<string> | undefined
  /** Clients of one request each. */
  const singles = new Set<Client>()
  /** Bytes read so far when a socket failed, to tell a kept-alive connection that was just closed from a death. */
  const readBefore = new WeakMap<object, number>()

  // A connector has its limit from its making, and remembers TLS sessions: a new one only when a reload changed it.
  const connectorOf = (connectMs: number, insecure: boolean) => ({
    connectMs,
    connect: buildConnector({
      timeout: connectMs,
      allowH2: false,
      autoSelectFamily: true,
      lookup: addresses.lookup,
      // Said either way, or a variable of the environment could switch it off for everybody.
      rejectUnauthorized: !insecure,
    }),
  })
  const connectOf = (insecure: boolean): buildConnector.connector => {
    let made = connectorOf(settings.connectMs, insecure)
    return (options, callback) => {
      if (made.connectMs !== settings.connectMs) made = connectorOf(settings.connectMs, insecure)
      made.connect(options, (...result) => {
        const [, socket] = result
        if (socket) {
          socket.setNoDelay(true)
          socket.once('error', (error) => readBefore.set(error, socket.bytesRead))
          if (socket.remoteAddress) addresses.reached(options.hostname, socket.remoteAddress)
        }
        callback(...result)
      })
    }
  }
  const options = {
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    // Ollama never closes an idle connection; 30 s spares the handshake of a busy fleet and no more.
    keepAliveTimeout: 30_000,
    allowH2: false,
  }
  const checking = { ...options, connect: connectOf(false) }
  const trusting = { ...options, connect: connectOf(true) }
  const optionsOf = ({ insecure }: Backend) => (insecure ? trusting : checking)

  const poolOf = (backend: Backend): Pool => {
    const key = keyOf(backend)
    let pool = pools.get(key)
    if (!pool) {
      pool = new Pool(backend.origin, { ...optionsOf(backend), connections: null })
      pools.set(key, pool)
    }
    return pool
  }

  /** Waits for running answers by itself; nobody waits for it. */
  const retire = (key: string, pool: Pool) => {
    pools.delete(key)
    void pool.close()
  }
  addresses.onLeft((host) => {
    for (const [key, pool] of pools) if (hostIn(key) === host) retire(key, pool)
  })

  /** Closes by itself when the request that is dispatched on it has ended. */
  const single = (backend: Backend): Client => {
    const client = new Client(backend.origin, optionsOf(backend))
    singles.add(client)
    return client
  }
  const letGo = (client: Client) => {
    client
      .close()
      .catch(() => {})
      .finally(() => singles.delete(client))
  }

  return {
    send(backend, request, listener) {
      const call = new UndiciCall(listener, readBefore, clock)
      // Whoever is asked something though it was taken out keeps no connection for it.
      const isGone = inService?.has(keyOf(backend)) === false
      const own = request.fresh || isGone ? single(backend) : undefined
      const dispatcher = own ?? poolOf(backend)
      dispatcher.dispatch(
        {
          method: request.method as Dispatcher.HttpMethod,
          path: backend.pathPrefix + request.path,
          headers: request.headers as string[],
          body: (request.body ?? null) as Uint8Array | Readable | null,
          reset: own !== undefined,
        },
        call,
      )
      if (own) letGo(own)
      return call
    },
    stats(backend) {
      const stats = pools.get(keyOf(backend))?.stats
      return { open: stats?.connected ?? 0, idle: stats?.free ?? 0 }
    },
    keepSpare() {},
    keepOnly(backends) {
      const keys = new Set(backends.map(keyOf))
      inService = keys
      for (const [key, pool] of pools) if (!keys.has(key)) retire(key, pool)
    },
    async close() {
      await Promise.all([...pools.values(), ...singles].map((each) => each.destroy()))
      pools.clear()
      singles.clear()
    },
  }
}

/** A connection whose certificate nobody looked at is never used where it counts. */
const keyOf = ({ origin, insecure }: Backend) => (insecure ? `${origin}#insecure` : origin)

const hostIn = (key: string) => new URL(key).hostname

class UndiciCall implements Dispatcher.DispatchHandler, WireCall {
  readonly #listener: WireListener
  readonly #readBefore: WeakMap<object, number>
  readonly #clock: Clock
  #controller: Dispatcher.DispatchController | undefined
  /** When the connection stood and the request went out. */
  #sentMs: number | undefined
  #answered = false
  #over = false

  constructor(listener: WireListener, readBefore: WeakMap<object, number>, clock: Clock) {
    this.#listener = listener
    this.#readBefore = readBefore
    this.#clock = clock
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    this.#sentMs = this.#clock.now()
    if (!this.#over) this.#listener.sent?.()
    // The client left while the connection was still being made: nothing has been sent, nothing will be.
    if (this.#over) controller.abort(new Error('not wanted any more'))
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number): void {
    if (this.#over || status < 200) return
    this.#answered = true
    const rawHeaders = texts(controller.rawHeaders)
    if (isReadable(rawHeaders)) return this.#listener.head(status, rawHeaders)
    const error = new Error('bad encoding')
    this.onResponseError(controller, error)
    controller.abort(error)
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
    const sent = this.#sentMs !== undefined
    this.#listener.failed(
      new SocketTrouble(error.message, { sent, reusedSocket: this.#wasClosing(error) }, error),
    )
  }

  #wasClosing(error: Error): boolean {
    if (this.#sentMs === undefined || this.#answered) return false
    if (this.#clock.now() - this.#sentMs > raceMsMax) return false
    return (this.#readBefore.get(error) ?? bytesReadOf(error) ?? 0) > 0
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

/** The library takes a coding that it does not know for an answer that ends with its connection. */
function isReadable(rawHeaders: readonly string[]): boolean {
  for (let index = 0; index < rawHeaders.length; index += 2)
    if (
      rawHeaders[index]!.toLowerCase() === 'transfer-encoding' &&
      rawHeaders[index + 1]!.toLowerCase() !== 'chunked'
    )
      return false
  return true
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
