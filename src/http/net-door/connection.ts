import type { Socket } from 'node:net'
import type { Clock } from '../../core/clock.ts'
import type { LoopTurn } from '../../core/loop-turn.ts'
import { Outlet } from '../../core/outlet.ts'
import type { Rostered } from '../../core/roster.ts'
import { Pieces } from '../../proxy/pieces.ts'
import { closeGently, lingerMs } from '../linger.ts'
import { type RequestHead, readRequestHead } from './request-head.ts'
import { Turn, type TurnDoors } from './turn.ts'

export interface ConnectionDoors {
  readonly clock: Clock
  readonly loopTurn: LoopTurn
  /** Whether a plain request is worth being served here. */
  wants(head: RequestHead): boolean
  serve(turn: Turn): void
  /** Somebody else takes the connection, with the bytes that were read of what is not plain. */
  handOver(socket: Socket, bytes: Buffer): void
  /** What a client may be told about idle time; undefined: no further request is wanted. */
  keepAliveS(): number | undefined
  readonly date: () => string
  gone(connection: Connection): void
}

/** Requests that a client sent ahead wait in memory up to here. */
const aheadBytesMax = 65_536

/** One client's connection as long as it asks plainly, one request at a time. */
export class Connection implements TurnDoors, Rostered {
  readonly socket: Socket
  readonly outlet: Outlet
  readonly date: () => string
  /** Among those of the door. */
  place = -1
  readonly #doors: ConnectionDoors
  #turn: Turn | undefined
  /** The last turn is over; what still comes is read away. */
  #closing = false
  #ahead: Pieces | undefined
  #aheadBytes = 0
  #onDrain: (() => void) | undefined
  /** Since when it has waited for a request, on the clock's `now`. */
  #idleSinceMs: number
  /** A first request has been here. */
  #used = false

  constructor(socket: Socket, doors: ConnectionDoors) {
    this.socket = socket
    this.outlet = new Outlet(socket, doors.loopTurn)
    this.date = doors.date
    this.#doors = doors
    this.#idleSinceMs = doors.clock.now()
    socket
      .on('data', this.#read)
      .on('drain', this.#drained)
      .on('end', this.#lost)
      .on('error', this.#lost)
      .on('close', this.#lost)
  }

  /** Idle since then; undefined: it is being served, or has not sent all of its last answer. */
  get idleSinceMs(): number | undefined {
    if (this.#turn || this.#closing || this.#ahead || !this.outlet.isEmpty) return undefined
    return this.#idleSinceMs
  }

  get used(): boolean {
    return this.#used
  }

  keepAliveS(): number | undefined {
    return this.#doors.keepAliveS()
  }

  onDrain(act: () => void): void {
    this.#onDrain = act
  }

  pause(): void {
    this.socket.pause()
  }

  resume(): void {
    this.socket.resume()
  }

  readonly #read = (bytes: Buffer): void => {
    const turn = this.#turn
    if (!turn) {
      if (this.#closing) return
      // What came before it has not been looked at yet.
      if (this.#ahead) this.#keepAhead(bytes)
      else if (this.socket.writableNeedDrain) {
        this.#keepAhead(bytes)
        this.#goOn()
      } else this.#begin(bytes)
      return
    }
    const taken = turn.feed(bytes)
    if (this.#closing) {
      if (turn.missing === 0) this.#finish()
      return
    }
    // Of what stands behind a last request nothing is kept.
    if (taken < bytes.length && !turn.isLast)
      this.#keepAhead(taken === 0 ? bytes : bytes.subarray(taken))
  }

  #begin(bytes: Buffer): void {
    const head = readRequestHead(bytes)
    // More than one request: whoever takes them can work on all of them at once.
    if (!head || bytes.length > head.bytes + head.bodyBytes || !this.#doors.wants(head))
      return this.#handOver(bytes)
    this.#used = true
    const turn = new Turn(head, this)
    this.#turn = turn
    if (bytes.length > head.bytes) turn.feed(bytes.subarray(head.bytes))
    this.#doors.serve(turn)
  }

  #handOver(bytes: Buffer): void {
    const { socket } = this
    this.outlet.letOut()
    socket
      .off('data', this.#read)
      .off('drain', this.#drained)
      .off('end', this.#lost)
      .off('error', this.#lost)
      .off('close', this.#lost)
    this.#doors.gone(this)
    this.#doors.handOver(socket, bytes)
  }

  #keepAhead(bytes: Buffer): void {
    this.#ahead ??= new Pieces()
    this.#ahead.add(bytes)
    this.#aheadBytes += bytes.length
    if (this.#aheadBytes <= aheadBytesMax) return
    if (!this.#turn) {
      this.socket.pause()
      return
    }
    // Nobody would hear of its leaving while it is not read. So this answer is its last, and what comes is read away.
    this.#turn.makeLast()
    this.#ahead = undefined
    this.#aheadBytes = 0
  }

  ended(turn: Turn): void {
    if (turn.isLast) {
      this.#closing = true
      if (turn.missing === 0) this.#finish()
      else this.#doors.clock.after(lingerMs, () => this.#finish())
      return
    }
    this.#turn = undefined
    this.#idleSinceMs = this.#doors.clock.now()
    if (this.#ahead) this.#goOn()
  }

  /** What the client sent ahead, once it has read what it got. */
  #goOn(): void {
    if (this.socket.writableNeedDrain) {
      this.onDrain(() => this.#goOn())
      return
    }
    setImmediate(() => {
      const ahead = this.#ahead
      if (!ahead || this.#turn || this.socket.destroyed) return
      this.#ahead = undefined
      this.#aheadBytes = 0
      this.socket.resume()
      this.#begin(ahead.take())
    })
  }

  /** Closes when all that was written has gone out, and reads away what still comes. */
  #finish(): void {
    this.#turn = undefined
    this.outlet.letOut()
    this.socket.resume()
    closeGently(this.socket)
  }

  readonly #drained = (): void => {
    const act = this.#onDrain
    this.#onDrain = undefined
    act?.()
  }

  /** Also with half of the connection: who sends no more is taken to have left. */
  readonly #lost = (): void => {
    const turn = this.#turn
    this.#turn = undefined
    this.#closing = true
    this.#doors.gone(this)
    turn?.leave()
    this.socket.destroy()
  }
}
