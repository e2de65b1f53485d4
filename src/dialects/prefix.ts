import { boundariesMax, type PrefixPart, type PrefixParts, spread } from '../core/prefix.ts'
import type { ScanKey } from './scan-keys.ts'

/** A long text has a boundary at every so many bytes: some 250 tokens, less than any server saves by. */
const stepBytesFirst = 1_024
/** Pictures and sound are told apart by their beginning and their length: reading megabytes of them would take long. */
const mediaBytesMax = 1_024

/** Which outer key of a request belongs to which part of the prompt. */
const partOf: Partial<Record<ScanKey, keyof PrefixParts>> = {
  tools: 'tools',
  system: 'system',
  context: 'context',
  messages: 'text',
  prompt: 'text',
  input: 'text',
}

/**
 * Makes the keys of a prompt's beginnings while its body is scanned. Only values count, as they are written: keys,
 * white space and the order of the outer keys do not, so that one conversation has one chain. Nothing is copied, and it
 * is the same however the body is cut into chunks.
 */
export class PrefixHasher {
  readonly #parts: Partial<Record<keyof PrefixParts, PartHasher>> = {}
  #now: PartHasher | undefined

  /** An outer key was read; true: what follows is part of the prompt. */
  begin(key: ScanKey | undefined): boolean {
    const part = key === undefined ? undefined : partOf[key]
    if (part === undefined) {
      this.#now = undefined
      return false
    }
    this.#parts[part] ??= new PartHasher()
    this.#now = this.#parts[part]
    return true
  }

  /** Bytes of a string or a number. */
  feed(bytes: Uint8Array, from: number, to: number): void {
    this.#now?.feed(bytes, from, to)
  }

  feedMedia(bytes: Uint8Array, from: number, to: number): void {
    this.#now?.feedMedia(bytes, from, to)
  }

  /** The string or the number has ended. */
  endValue(): void {
    this.#now?.endValue()
  }

  /** A message, a tool, or another element has ended. */
  endItem(): void {
    this.#now?.mark(false)
  }

  /** The outer key's value has ended. */
  end(): void {
    this.#now?.mark(true)
    this.#now = undefined
  }

  /** Undefined: nothing of it makes a prompt. */
  parts(): PrefixParts | undefined {
    const { tools, system, context, text } = this.#parts
    return text || system || context ? { tools, system, context, text } : undefined
  }
}

class PartHasher implements PrefixPart {
  readonly highs: number[] = []
  readonly lows: number[] = []
  readonly bytesAt: number[] = []
  #high = 0x2c1b3c6d
  #low = 0x297a2d39
  /** Bytes that do not fill a word yet. */
  #word = 0
  #wordBytes = 0
  #bytes = 0
  #mediaBytes = 0
  #stepBytes = stepBytesFirst
  #toMark = stepBytesFirst
  /** Boundaries nearer than this to the one before are left out; 0 until there are too many. */
  #gapBytes = 0

  feed(bytes: Uint8Array, from: number, to: number): void {
    let at = from
    while (to - at >= this.#toMark) {
      const next = at + this.#toMark
      this.#absorb(bytes, at, next)
      this.#bytes += next - at
      at = next
      this.#note()
    }
    this.#absorb(bytes, at, to)
    this.#bytes += to - at
    this.#toMark -= to - at
  }

  feedMedia(bytes: Uint8Array, from: number, to: number): void {
    const wanted = Math.min(to - from, mediaBytesMax - this.#mediaBytes)
    if (wanted > 0) this.#absorb(bytes, from, from + wanted)
    this.#mediaBytes += to - from
  }

  /** What the last word lacks, and how long a picture was, so that no two rows of values read alike. */
  endValue(): void {
    const rest = this.#word ^ Math.imul(this.#wordBytes + 1, 0x01000193) ^ this.#mediaBytes
    this.#high = highAfter(this.#high, rest)
    this.#low = lowAfter(this.#low, rest)
    this.#word = 0
    this.#wordBytes = 0
    this.#mediaBytes = 0
  }

  mark(anyway: boolean): void {
    const sinceBytes = this.#stepBytes - this.#toMark
    if (anyway ? this.bytesAt.at(-1) === this.#bytes : sinceBytes < this.#gapBytes) return
    this.#note()
  }

  #note(): void {
    if (this.bytesAt.length >= boundariesMax) this.#spaceOut()
    const rest = Math.imul(this.#word ^ this.#wordBytes, 0x9e3779b1)
    this.highs.push(spread(this.#high ^ rest))
    this.lows.push(spread(this.#low + rest))
    this.bytesAt.push(this.#bytes)
    this.#toMark = this.#stepBytes
  }

  /** Every second one goes, and those to come stand twice as far apart. */
  #spaceOut(): void {
    const kept = boundariesMax / 2
    for (let at = 0; at < kept; at++) {
      this.highs[at] = this.highs[2 * at + 1]!
      this.lows[at] = this.lows[2 * at + 1]!
      this.bytesAt[at] = this.bytesAt[2 * at + 1]!
    }
    this.highs.length = kept
    this.lows.length = kept
    this.bytesAt.length = kept
    this.#gapBytes = this.#stepBytes
    this.#stepBytes *= 2
  }

  #absorb(bytes: Uint8Array, from: number, to: number): void {
    let at = from
    let high = this.#high
    let low = this.#low
    while (this.#wordBytes > 0 && at < to) {
      this.#word |= bytes[at++]! << (8 * this.#wordBytes)
      if (++this.#wordBytes < 4) continue
      high = highAfter(high, this.#word)
      low = lowAfter(low, this.#word)
      this.#word = 0
      this.#wordBytes = 0
    }
    for (const last = to - 3; at < last; at += 4) {
      const word =
        bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
      high = highAfter(high, word)
      low = lowAfter(low, word)
    }
    while (at < to) {
      this.#word |= bytes[at++]! << (8 * this.#wordBytes)
      this.#wordBytes++
    }
    this.#high = high
    this.#low = low
  }
}

/** Two ways of taking in a word that have no step in common: what one mistakes the other does not. */
function highAfter(high: number, word: number): number {
  const mixed = Math.imul(high ^ word, 0x9e3779b1)
  return mixed ^ (mixed >>> 15)
}

function lowAfter(low: number, word: number): number {
  const mixed = Math.imul((low + word) | 0, 0x85ebca77)
  return (mixed << 13) | (mixed >>> 19)
}
