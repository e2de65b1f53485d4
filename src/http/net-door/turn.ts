import type { Socket } from 'node:net'
import type { Outlet } from '../../core/outlet.ts'
import { type ArrivingBody, ClientGone } from '../../proxy/body.ts'
import type { ClientSide } from '../../proxy/client-side.ts'
import type { Arrived } from '../arrived.ts'
import { type AnswerHead, answerHead } from './answer-head.ts'
import type { RequestHead } from './request-head.ts'

/** What a turn needs of the connection that it is on. */
export interface TurnDoors {
  readonly socket: Socket
  readonly outlet: Outlet
  /** Undefined: this answer is the connection's last. */
  keepAliveS(): number | undefined
  readonly date: () => string
  /** The answer has been written, or the connection cut. */
  ended(turn: Turn): void
  onDrain(act: () => void): void
  pause(): void
  resume(): void
}

interface Taker {
  act(chunk: Buffer): Promise<void> | undefined
  resolve(): void
  reject(error: unknown): void
}

const lastChunk = '0\r\n\r\n'

/** One request and its answer on a connection of the net door: both ends of an exchange with a client. */
export class Turn implements Arrived, ArrivingBody, ClientSide {
  readonly #head: RequestHead
  readonly #doors: TurnDoors
  readonly #socket: Socket
  /** Bytes of the body that have not come. */
  #missing: number
  /** Pieces of the body that nobody has asked for yet. */
  #held: Buffer[] | undefined
  #taker: Taker | undefined
  /** Work of the taker that must be over before the next piece. */
  #busy = false
  #left = false
  #leftListeners: (() => void)[] | undefined
  #bytesOut = 0
  #answer: AnswerHead | undefined
  /** Kept back until the first byte of the body goes with it. */
  #unsent: string | undefined
  #over = false
  #isLast = false

  constructor(head: RequestHead, doors: TurnDoors) {
    this.#head = head
    this.#doors = doors
    this.#socket = doors.socket
    this.#missing = head.bodyBytes
  }

  // --- the request ---

  get method(): string {
    return this.#head.method
  }

  get target(): string {
    return this.#head.target
  }

  get headers(): Readonly<Record<string, string>> {
    return this.#head.headers
  }

  get rawHeaders(): readonly string[] {
    return this.#head.rawHeaders
  }

  get peerAddress(): string | undefined {
    return this.#socket.remoteAddress
  }

  get body(): ArrivingBody {
    return this
  }

  get declaredBytes(): number {
    return this.#head.bodyBytes
  }

  /** Bytes of the request that have not come. */
  get missing(): number {
    return this.#missing
  }

  /** Nothing may follow it on this connection. */
  get isLast(): boolean {
    return this.#isLast || this.#head.lastOne
  }

  /** Whatever its head has said: a connection may be closed behind any answer. */
  makeLast(): void {
    this.#isLast = true
  }

  each(act: (chunk: Buffer) => Promise<void> | undefined): Promise<void> | undefined {
    const held = this.#held
    this.#held = undefined
    if (this.#missing === 0 && held === undefined) return undefined
    if (held?.length === 1 && this.#missing === 0) return act(held[0]!)
    if (this.#left) return Promise.reject(new ClientGone('the client left while sending'))
    return new Promise((resolve, reject) => {
      this.#taker = { act, resolve, reject }
      for (const piece of held ?? []) this.#give(piece)
    })
  }

  /** Takes what came for it; gives back how many bytes those were. */
  feed(bytes: Buffer): number {
    const taken = Math.min(this.#missing, bytes.length)
    if (taken === 0) return 0
    this.#missing -= taken
    // After its answer the rest of a request is only read away.
    if (!this.#over) this.#give(taken === bytes.length ? bytes : bytes.subarray(0, taken))
    return taken
  }

  #give(piece: Buffer): void {
    const taker = this.#taker
    if (!taker || this.#busy) {
      this.#held ??= []
      this.#held.push(piece)
      return
    }
    try {
      const wait = taker.act(piece)
      if (wait !== undefined) this.#waitFor(wait, taker)
      else if (this.#missing === 0) taker.resolve()
    } catch (error) {
      this.#taker = undefined
      taker.reject(error)
    }
  }

  #waitFor(wait: Promise<void>, taker: Taker): void {
    this.#busy = true
    this.#doors.pause()
    wait.then(() => {
      this.#busy = false
      const held = this.#held ?? []
      this.#held = undefined
      for (const piece of held) this.#give(piece)
      if (this.#busy) return
      if (this.#missing === 0) taker.resolve()
      else this.#doors.resume()
    }, taker.reject)
  }

  // --- the answer ---

  get left(): boolean {
    return this.#left
  }

  get started(): boolean {
    return this.#answer !== undefined
  }

  get bytesOut(): number {
    return this.#bytesOut
  }

  onLeft(act: () => void): void {
    if (this.#left) return act()
    this.#leftListeners ??= []
    this.#leftListeners.push(act)
  }

  /** The connection is gone. */
  leave(): void {
    if (this.#left || this.#over) return
    this.#left = true
    this.#taker?.reject(new ClientGone('the client left while sending'))
    for (const act of this.#leftListeners ?? []) act()
  }

  head(status: number, rawHeaders: readonly string[]): void {
    if (this.#answer || this.#left) return
    const keepAliveS = this.isLast ? undefined : this.#doors.keepAliveS()
    if (keepAliveS === undefined) this.#isLast = true
    this.#answer = answerHead(status, rawHeaders, { keepAliveS, date: this.#doors.date() })
    this.#unsent = this.#answer.text
  }

  write(bytes: Uint8Array): boolean {
    if (this.#left || bytes.length === 0) return true
    this.#bytesOut += bytes.length
    return this.#send(bytes, false)
  }

  onDrain(act: () => void): void {
    this.#doors.onDrain(act)
  }

  end(bytes?: Uint8Array): void {
    if (this.#over) return
    this.#over = true
    if (this.#left) return
    if (bytes) this.#bytesOut += bytes.length
    this.#send(bytes, true)
    this.#doors.ended(this)
  }

  answer(status: number, rawHeaders: readonly string[], body: Uint8Array): void {
    if (this.#missing > 0) this.#isLast = true
    this.head(status, rawHeaders)
    this.end(body)
  }

  answerEarly(status: number, rawHeaders: readonly string[], body: Uint8Array): void {
    this.answer(status, rawHeaders, body)
  }

  cut(): void {
    this.#over = true
    this.#doors.outlet.letOut()
    this.#socket.destroy()
  }

  /** One piece on the socket wherever it is small: head, framing, body and end. */
  #send(bytes: Uint8Array | undefined, isEnd: boolean): boolean {
    const framing = this.#answer?.framing
    const length = framing === 'none' ? 0 : (bytes?.length ?? 0)
    let before = this.#unsent ?? ''
    this.#unsent = undefined
    let after = ''
    if (framing === 'chunked') {
      if (length > 0) {
        before += `${length.toString(16)}\r\n`
        after = '\r\n'
      }
      if (isEnd) after += lastChunk
    }
    return this.#doors.outlet.write(before, length === 0 ? undefined : bytes, after)
  }
}
