import type { Holding, LoopTurn } from './loop-turn.ts'

/** What an outlet writes to: a socket. */
export interface Sink {
  readonly destroyed: boolean
  /** Bytes that have not left the process. */
  readonly writableLength: number
  write(bytes: Uint8Array): boolean
  write(text: string, encoding: 'latin1'): boolean
  cork(): void
  uncork(): void
}

/** Up to this a copy costs less than a second piece to write; more is written at once and as it is. */
const smallBytesMax = 16_384

/**
 * The way out of one socket. A small piece waits where the turn of the loop says so, and what is written behind it leaves
 * with it in one piece. A socket can be held back by itself (`cork`), but keeps an object for each piece and two
 * lists for each turn: a twentieth of what a chunk of a stream costs.
 */
export class Outlet implements Holding {
  readonly #sink: Sink
  readonly #turn: LoopTurn
  #held: Uint8Array | undefined
  /** What came behind it. */
  #more: Uint8Array[] | undefined
  #heldBytes = 0

  constructor(sink: Sink, turn: LoopTurn) {
    this.#sink = sink
    this.#turn = turn
  }

  /** Nothing waits here or in the socket. */
  get isEmpty(): boolean {
    return this.#held === undefined && this.#sink.writableLength === 0
  }

  /**
   * Bytes between two texts in Latin-1, which frame them: one piece where it is small. False: the other side reads slowly,
   * and the socket says `drain` when it goes on. The bytes are this outlet's from now on.
   */
  write(before: string, bytes: Uint8Array | undefined, after = ''): boolean {
    const length = bytes?.length ?? 0
    if (before === '' && after === '') return length === 0 || this.#write(bytes!)
    if (length <= smallBytesMax) return this.#write(joined(before, bytes, after))
    this.letOut()
    const sink = this.#sink
    sink.cork()
    if (before !== '') sink.write(before, 'latin1')
    const goesOn = sink.write(bytes!)
    const more = after === '' ? goesOn : sink.write(after, 'latin1')
    sink.uncork()
    return more
  }

  /** To be called before anybody else writes to the socket, ends it or takes it over. */
  letOut(): void {
    const held = this.#held
    if (held === undefined) return
    const more = this.#more
    this.#held = undefined
    this.#more = undefined
    if (this.#sink.destroyed) return
    this.#sink.write(more === undefined ? held : Buffer.concat([held, ...more], this.#heldBytes))
  }

  #write(bytes: Uint8Array): boolean {
    if (this.#held !== undefined && this.#heldBytes + bytes.length <= smallBytesMax) {
      this.#more ??= []
      this.#more.push(bytes)
      this.#heldBytes += bytes.length
      return true
    }
    const mayWait = bytes.length <= smallBytesMax && this.isEmpty
    if (this.#turn.mustWait() && mayWait) {
      this.#held = bytes
      this.#heldBytes = bytes.length
      this.#turn.toWrite(this)
      return true
    }
    this.letOut()
    return this.#sink.write(bytes)
  }
}

function joined(before: string, bytes: Uint8Array | undefined, after: string): Buffer {
  const length = bytes?.length ?? 0
  const all = Buffer.allocUnsafe(before.length + length + after.length)
  all.write(before, 0, 'latin1')
  if (bytes) all.set(bytes, before.length)
  if (after !== '') all.write(after, before.length + length, 'latin1')
  return all
}
