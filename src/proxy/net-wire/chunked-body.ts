import { NotHttp } from './response-head.ts'

/** A size line with its extensions, and all trailers together: nobody sends more who means well. */
const lineBytesMax = 16_384

/**
 * Takes the chunk framing off a body (RFC 9112 section 7.1), strictly: CRLF and nothing else, plain hex digits. Data
 * is given on as pieces of what came in, without a copy.
 */
export class ChunkedBody {
  readonly #give: (piece: Buffer) => void
  #at: 'size' | 'data' | 'afterData' | 'trailers' | 'done' = 'size'
  #left = 0
  /** The beginning of a line whose end has not come yet. */
  #held = ''
  #trailerBytes = 0

  constructor(give: (piece: Buffer) => void) {
    this.#give = give
  }

  get done(): boolean {
    return this.#at === 'done'
  }

  /** Takes the next bytes; gives back how many of them belong to this body. Throws NotHttp. */
  push(bytes: Buffer): number {
    let from = 0
    while (from < bytes.length && this.#at !== 'done') {
      if (this.#at === 'data') {
        const upTo = Math.min(bytes.length, from + this.#left)
        this.#left -= upTo - from
        if (this.#left === 0) this.#at = 'afterData'
        this.#give(from === 0 && upTo === bytes.length ? bytes : bytes.subarray(from, upTo))
        from = upTo
      } else {
        from = this.#plainLine(bytes, from) ?? this.#line(bytes, from)
      }
    }
    return from
  }

  /**
   * Nearly every line is a few hex digits, or empty behind the data, and lies in one piece: those are read byte by
   * byte, without making a string of them. Undefined: it is something else, or not all there.
   */
  #plainLine(bytes: Buffer, from: number): number | undefined {
    if (this.#held !== '') return undefined
    if (this.#at === 'afterData') {
      if (bytes[from] !== 0x0d || bytes[from + 1] !== 0x0a) return undefined
      this.#at = 'size'
      return from + 2
    }
    if (this.#at !== 'size') return undefined
    let size = 0
    for (let at = from; at < from + plainDigitsMax; at++) {
      const byte = bytes[at]
      const digit = byte === undefined ? -1 : hexValue(byte)
      if (digit >= 0) {
        size = size * 16 + digit
      } else {
        if (at === from || byte !== 0x0d || bytes[at + 1] !== 0x0a) return undefined
        this.#left = size
        this.#at = size === 0 ? 'trailers' : 'data'
        return at + 2
      }
    }
    return undefined
  }

  /** Takes one line, or what there is of it. */
  #line(bytes: Buffer, from: number): number {
    const feed = bytes.indexOf(0x0a, from)
    const upTo = feed < 0 ? bytes.length : feed + 1
    const piece = bytes.toString('latin1', from, upTo)
    const line = this.#held === '' ? piece : this.#held + piece
    if (line.length > lineBytesMax) throw new NotHttp('a chunk line without end')
    if (feed < 0) {
      this.#held = line
      return upTo
    }
    this.#held = ''
    if (!line.endsWith('\r\n')) throw new NotHttp('a bare line feed in the chunk framing')
    this.#took(line.slice(0, -2))
    return upTo
  }

  #took(line: string): void {
    if (this.#at === 'afterData') {
      if (line !== '') throw new NotHttp('a chunk longer than it said')
      this.#at = 'size'
    } else if (this.#at === 'size') {
      const size = /^([0-9a-fA-F]{1,12})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line)
      if (!size) throw new NotHttp('bad chunk size')
      this.#left = Number.parseInt(size[1]!, 16)
      this.#at = this.#left === 0 ? 'trailers' : 'data'
    } else if (line === '') {
      this.#at = 'done'
    } else {
      // Trailers are for one connection and say nothing that we pass on.
      this.#trailerBytes += line.length
      if (this.#trailerBytes > lineBytesMax) throw new NotHttp('trailers without end')
    }
  }
}

/** Seven hex digits are 256 MiB; a longer size takes the slow way. */
const plainDigitsMax = 8

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}
