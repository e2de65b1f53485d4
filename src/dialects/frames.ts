import type { Framing } from '../core/ask.ts'

/** A frame beyond this is given on in pieces; a generated line is some hundred bytes, one with a context some ten KiB. */
const frameBytesMaxDefault = 1_048_576
/** How many releases are remembered: OpenAI's finish, its usage and its `[DONE]` may come in three. */
const releasesKept = 3

/**
 * Cuts an answer where a client can use it, so that an error line of ours can follow if the backend dies: only bytes
 * that end in whole frames are given on, an unfinished frame waits for its rest. A chunk that ends a frame, as almost
 * every one does, is given back as it came, without a copy.
 */
export class FrameCutter {
  readonly #cutAt: (chunk: Buffer, before: string) => number
  readonly #frameBytesMax: number
  readonly #held = new HeldBytes()
  /** Ring-shaped once it is full: `#oldest` is the one that goes next. */
  #releases: Buffer[] = []
  #oldest = 0
  #atBorder = true
  #overflowed = false

  constructor(framing: Framing, { frameBytesMax = frameBytesMaxDefault } = {}) {
    this.#cutAt = framing === 'ndjson' ? afterLastLine : framing === 'sse' ? afterLastEvent : noCut
    this.#frameBytesMax = frameBytesMax
  }

  /** Takes the next bytes; gives those that may go to the client now. */
  feed(chunk: Buffer): Buffer | undefined {
    if (chunk.length === 0) return undefined
    const cut = this.#cutAt(chunk, this.#held.lastTwo)
    if (cut === 0) {
      this.#held.add(chunk)
      if (this.#atBorder && this.#held.length <= this.#frameBytesMax) return undefined
      // Too long to wait for, or its beginning is gone already.
      this.#overflowed = true
      this.#atBorder = false
      return this.#release(this.#held.take())
    }
    const whole = cut === chunk.length ? chunk : chunk.subarray(0, cut)
    const before = this.#held.take()
    this.#held.forgetEnd()
    if (cut < chunk.length) this.#held.add(chunk.subarray(cut))
    this.#atBorder = true
    return this.#release(before === undefined ? whole : Buffer.concat([before, whole]))
  }

  /** The body has ended: gives what is still held, whole frame or not. */
  end(): Buffer | undefined {
    return this.#release(this.#held.take())
  }

  /** True while the client has the beginning of a frame but not its end: no frame of ours can follow there. */
  get passingThrough(): boolean {
    return !this.#atBorder
  }

  /** True once a frame was longer than the bound, so that it went out in pieces. */
  get overflowed(): boolean {
    return this.#overflowed
  }

  /** What was given on last, a few frames at least, for `endOf` and `figuresOf`. */
  get lastFrames(): Buffer {
    const releases = this.#releases
    if (releases.length > 1) {
      const inOrder = [...releases.slice(this.#oldest), ...releases.slice(0, this.#oldest)]
      this.#releases = [Buffer.concat(inOrder)]
      this.#oldest = 0
    }
    return this.#releases[0] ?? Buffer.alloc(0)
  }

  #release(bytes: Buffer | undefined): Buffer | undefined {
    if (bytes === undefined) return undefined
    if (this.#releases.length < releasesKept) this.#releases.push(bytes)
    else {
      this.#releases[this.#oldest] = bytes
      this.#oldest = (this.#oldest + 1) % releasesKept
    }
    return bytes
  }
}

/** The number of bytes up to and including the last whole line. */
function afterLastLine(chunk: Buffer): number {
  return chunk[chunk.length - 1] === 0x0a ? chunk.length : chunk.lastIndexOf(0x0a) + 1
}

/**
 * The number of bytes up to and including the last blank line; `before` is what was held, as its last two bytes.
 * Lines may end in LF or in CRLF, so a blank line is an LF followed by LF or by CRLF.
 */
function afterLastEvent(chunk: Buffer, before: string): number {
  const { length } = chunk
  if (chunk[length - 1] === 0x0a && chunk[length - 2] === 0x0a) return length
  const plain = chunk.lastIndexOf('\n\n')
  const carriage = chunk.lastIndexOf('\n\r\n')
  if (plain >= 0 || carriage >= 0)
    return Math.max(plain < 0 ? 0 : plain + 2, carriage < 0 ? 0 : carriage + 3)
  // The blank line itself may lie across the border of two chunks.
  if (before.endsWith('\n')) {
    if (chunk[0] === 0x0a) return 1
    if (chunk[0] === 0x0d && chunk[1] === 0x0a) return 2
  }
  return before === '\n\r' && chunk[0] === 0x0a ? 1 : 0
}

/** One object is one frame, and its end is the body's end. */
const noCut = () => 0

/** Beyond this many, pieces of an unfinished frame are joined. */
const piecesMax = 32

/** Pieces of one frame by reference; small ones are joined as they pile up, so that they stay few. */
class HeldBytes {
  #pieces: Buffer[] = []
  #length = 0
  /** The last two bytes, −1 where there are none. */
  #last = -1
  #beforeLast = -1

  get length(): number {
    return this.#length
  }

  get lastTwo(): string {
    if (this.#last < 0) return ''
    const last = String.fromCharCode(this.#last)
    return this.#beforeLast < 0 ? last : String.fromCharCode(this.#beforeLast) + last
  }

  add(piece: Buffer): void {
    this.#length += piece.length
    this.#pieces.push(piece)
    this.#beforeLast = piece.length > 1 ? piece[piece.length - 2]! : this.#last
    this.#last = piece[piece.length - 1]!
    if (this.#pieces.length > piecesMax) this.#joinSmall()
  }

  take(): Buffer | undefined {
    const pieces = this.#pieces
    if (pieces.length === 0) return undefined
    this.#pieces = []
    this.#length = 0
    return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)
  }

  /** A frame has ended, so no blank line can have begun. */
  forgetEnd(): void {
    this.#last = -1
    this.#beforeLast = -1
  }

  /** Joins from the end while a piece is no larger than what follows it: each byte is copied few times. */
  #joinSmall(): void {
    let tail = this.#pieces.pop()!
    while (this.#pieces.length > 0 && this.#pieces.at(-1)!.length <= tail.length)
      tail = Buffer.concat([this.#pieces.pop()!, tail])
    this.#pieces.push(tail)
  }
}
