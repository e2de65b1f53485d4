import { connect, type LookupFunction, type Socket } from 'node:net'
import type { Clock } from '../../core/clock.ts'
import type { AtTurnEnd, LoopTurn } from '../../core/loop-turn.ts'
import { Outlet } from '../../core/outlet.ts'
import { raceMsMax, SocketTrouble, type WireCall, type WireListener } from '../wire.ts'
import { ChunkedBody } from './chunked-body.ts'
import { NotHttp, type ResponseHead, readResponseHead } from './response-head.ts'

/** As undici has it, and more than any Ollama sends. */
const headBytesMax = 16_384

export interface ConnectionDoors {
  readonly clock: Clock
  readonly turn: LoopTurn
  readonly connectMs: number
  /** The answer has ended and the connection can carry another request. */
  readonly free: (connection: Connection) => void
  readonly gone: (connection: Connection) => void
  /** How names become addresses. */
  readonly lookup: LookupFunction
  /** It stands, with the server's address at its other end. */
  readonly stands: (connection: Connection, address: string) => void
}

/** One TCP connection to a backend, one request at a time, HTTP/1.1 written and read by hand. */
export class Connection implements AtTurnEnd {
  readonly #doors: ConnectionDoors
  readonly #socket: Socket
  readonly #outlet: Outlet
  #call: Call | undefined
  #connected = false
  #used = false
  #limit: Disposable | undefined
  /** When it became idle, on the clock's `now`. */
  idleSinceMs = 0
  /** The server has moved: not used again once its answer has ended. */
  isLeft = false

  constructor(address: { host: string; port: number }, readInto: Buffer, doors: ConnectionDoors) {
    this.#doors = doors
    this.#socket = connect({
      ...address,
      noDelay: true,
      // Whoever has ended is closed by us; Node would first send an end of its own.
      allowHalfOpen: true,
      autoSelectFamily: true,
      lookup: doors.lookup,
      onread: {
        // One buffer for all: what is kept is copied out, so nothing is allocated for what is not.
        buffer: readInto,
        callback: (length) => {
          doors.turn.readBegins()
          try {
            this.#read(Buffer.from(readInto.subarray(0, length)))
          } finally {
            doors.turn.readEnds()
          }
          return true
        },
      },
    })
    this.#outlet = new Outlet(this.#socket, doors.turn)
    this.#limit = doors.clock.after(doors.connectMs, () => {
      this.#lost(
        Object.assign(new Error('no connection in time'), { code: 'UND_ERR_CONNECT_TIMEOUT' }),
      )
    })
    this.#socket
      .on('connect', () => {
        this.#connected = true
        this.#limit?.[Symbol.dispose]()
        doors.stands(this, this.address ?? '')
        this.#call?.connected()
      })
      .on('error', (error) => this.#lost(error))
      .on('end', () => this.#ended())
      .on('close', () => this.#lost(otherSideClosed))
  }

  /** Of the server; undefined until the connection stands. */
  get address(): string | undefined {
    return this.#socket.remoteAddress
  }

  /** Sends a request; the connection must be idle or new. */
  send(
    head: string,
    body: Uint8Array | undefined,
    bodiless: boolean,
    listener: WireListener,
  ): WireCall {
    const call = new Call(this, listener, bodiless, this.#used, this.#doors.clock)
    this.#call = call
    this.#used = true
    if (this.#connected) call.connected()
    this.#outlet.write(head, body)
    return call
  }

  /** That of its last answer. */
  turnEnded(): void {
    if (this.#socket.destroyed || this.#call) return
    this.#doors.free(this)
  }

  /** Nobody uses it from now on; its server may close it before somebody does. */
  rests(): void {
    this.idleSinceMs = this.#doors.clock.now()
    this.#used = true
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  destroy(): void {
    this.#leave()
    this.#socket.destroy()
  }

  /** Nobody hears of it any more. */
  #leave(): void {
    this.#limit?.[Symbol.dispose]()
    this.#call = undefined
    this.#doors.gone(this)
  }

  #read(bytes: Buffer): void {
    const call = this.#call
    // Bytes while nobody asked belong to nobody: whoever came next must never get them.
    if (!call) return this.destroy()
    let rest: number
    try {
      rest = call.take(bytes)
    } catch (error) {
      this.#lost(error as Error)
      return
    }
    if (!call.done || this.#call !== call) return
    this.#call = undefined
    // A server that answered before it had read the request may never read on.
    const unread = !this.#outlet.isEmpty
    const isSpent = rest > 0 || unread || !call.keepAlive
    if (isSpent) this.destroy()
    // First of all the client gets it.
    call.tellEnd()
    if (isSpent) return
    if (this.#socket.isPaused()) this.#socket.resume()
    // One turn later: a server that closes behind its answer has then been heard, and nobody runs into it.
    this.#doors.turn.atEnd(this)
  }

  /** The backend will send no more. */
  #ended(): void {
    const call = this.#call
    this.#leave()
    // A host that dies ends a hundred at once: those who go on elsewhere come before the closing of what is dead.
    this.#doors.clock.after(closeDeadMs, () => this.#socket.destroy())
    if (call?.endsWithConnection) call.tellEnd()
    else call?.tellLost(otherSideClosed, this.#connected)
  }

  #lost(error: Error): void {
    const call = this.#call
    this.destroy()
    call?.tellLost(error, this.#connected)
  }
}

/** One request and its answer on a connection. */
class Call implements WireCall {
  readonly #connection: Connection
  readonly #listener: WireListener
  readonly #bodiless: boolean
  readonly #reused: boolean
  readonly #clock: Clock
  #sentMs: number | undefined
  #held: Buffer | undefined
  #head: ResponseHead | undefined
  #left = 0
  #chunked: ChunkedBody | undefined
  #over = false
  done = false

  constructor(
    connection: Connection,
    listener: WireListener,
    bodiless: boolean,
    reused: boolean,
    clock: Clock,
  ) {
    this.#connection = connection
    this.#listener = listener
    this.#bodiless = bodiless
    this.#reused = reused
    this.#clock = clock
  }

  get keepAlive(): boolean {
    return this.#head?.keepAlive === true
  }

  get endsWithConnection(): boolean {
    return this.#head?.framing === 'close' && !this.#over
  }

  /** The connection stands: from here on the backend may have heard of it. */
  connected(): void {
    this.#sentMs = this.#clock.now()
    this.#listener.sent?.()
  }

  /** Takes what came; gives back how many bytes are left over once the answer is whole. */
  take(bytes: Buffer): number {
    let rest: Buffer | undefined = bytes
    if (!this.#head) {
      rest = this.#readHead(bytes)
      if (!rest) return 0
    }
    return this.#readBody(rest)
  }

  /** What follows the head, once it is whole. Answers before the answer (1xx) are passed over, as asked by nobody. */
  #readHead(bytes: Buffer): Buffer | undefined {
    let all = this.#held === undefined ? bytes : Buffer.concat([this.#held, bytes])
    for (;;) {
      const end = all.indexOf('\r\n\r\n')
      if (end < 0) {
        if (all.length > headBytesMax) throw tooLong()
        if (all.includes('\n\n')) throw new NotHttp('line feeds alone')
        if (all.length >= 5 && all.toString('latin1', 0, 5) !== 'HTTP/')
          throw new NotHttp('no HTTP')
        this.#held = all
        return undefined
      }
      if (end > headBytesMax) throw tooLong()
      const head = readResponseHead(all.toString('latin1', 0, end), this.#bodiless)
      all = all.subarray(end + 4)
      if (head.status === 100 || head.status === 101) throw new NotHttp('bad response: uninvited')
      if (head.status < 200) continue
      this.#held = undefined
      this.#head = head
      this.#left = head.length
      if (head.framing === 'chunked')
        this.#chunked = new ChunkedBody((piece) => this.#listener.data(piece))
      this.#listener.head(head.status, head.rawHeaders)
      if (head.framing === 'none') this.done = true
      return all
    }
  }

  #readBody(bytes: Buffer): number {
    if (this.#over) return bytes.length
    switch (this.#head?.framing) {
      case 'chunked': {
        const taken = this.#chunked!.push(bytes)
        if (this.#chunked!.done) this.done = true
        return bytes.length - taken
      }
      case 'length': {
        const taken = Math.min(bytes.length, this.#left)
        this.#left -= taken
        if (taken > 0)
          this.#listener.data(taken === bytes.length ? bytes : bytes.subarray(0, taken))
        if (this.#left === 0) this.done = true
        return bytes.length - taken
      }
      case 'close':
        if (bytes.length > 0) this.#listener.data(bytes)
        return 0
      default:
        return bytes.length
    }
  }

  tellEnd(): void {
    if (this.#over) return
    this.#over = true
    this.#listener.ended()
  }

  tellLost(error: Error, sent: boolean): void {
    if (this.#over) return
    this.#over = true
    const quick = this.#sentMs !== undefined && this.#clock.now() - this.#sentMs <= raceMsMax
    const reusedSocket =
      this.#reused && this.#head === undefined && this.#held === undefined && quick
    this.#listener.failed(new SocketTrouble(error.message, { sent, reusedSocket }, error))
  }

  pause(): void {
    if (!this.#over) this.#connection.pause()
  }

  resume(): void {
    if (!this.#over) this.#connection.resume()
  }

  abort(): void {
    if (this.#over) return
    this.#over = true
    this.#connection.destroy()
  }
}

/** Longer than all streams of a dead host take to be elsewhere. */
const closeDeadMs = 200

/** One for all: a dying host closes a hundred connections at once, and a stack for each would be a tenth of the pause. */
const otherSideClosed: Error = Object.freeze(
  Object.assign(new Error('other side closed'), { code: 'UND_ERR_SOCKET' }),
)

function tooLong(): Error {
  return Object.assign(new Error('a head without end'), { code: 'UND_ERR_HEADERS_OVERFLOW' })
}
