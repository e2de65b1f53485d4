import type { PrefixParts } from '../core/prefix.ts'
import { goSyntaxText } from './go-text.ts'
import type { PrefixHasher } from './prefix.ts'
import { keyBytesMax, marks, readKey, type ScanKey, wantedText } from './scan-keys.ts'

export type JsonKind = 'string' | 'number' | 'bool' | 'null' | 'object' | 'array'

/** What is known of one value of the body's outer object. */
export interface ScannedValue {
  /** Of the last value that was not null; `null` when nulls were all there was. */
  readonly kind: JsonKind
  /** `""`, `[]`, `{}` and null. */
  readonly empty: boolean
  /** The raw JSON text, for the keys whose text is wanted; undefined for the others and when it was too long. */
  readonly text: string | undefined
  readonly tooLong: boolean
  /** A null came after it: Go then clears pointers, maps and slices, and leaves strings and flags as they were. */
  readonly thenNull: boolean
  /** Where the value stands in the body: its first byte, and the one behind its last. */
  readonly from: number
  readonly to: number
}

export interface BodyFacts {
  readonly ok: true
  readonly values: ReadonlyMap<ScanKey, ScannedValue>
  /** Where a text is needed and something else stood: key → what stood there first. */
  readonly mistyped: ReadonlyMap<ScanKey, JsonKind>
  /** Bytes of text in all strings, without pictures and sound. */
  readonly textBytes: number
  /** A picture or a sound is in the messages, the input, or `images`. */
  readonly media: boolean
  /** One of them is sound. */
  readonly audio: boolean
  /** Where it was asked for: the beginnings of the prompt. */
  readonly prefix?: PrefixParts | undefined
}

export interface BodyFault {
  readonly ok: false
  readonly problem: 'empty' | 'syntax' | 'notObject'
  /** As Go's decoder says it; for `notObject` the kind of value that was found. */
  readonly text: string
}

export type ScanResult = BodyFacts | BodyFault

/** A value longer than this is not worth keeping: no name, no duration and no set of options is that long. */
const textBytesMax = 65_536
/** Go's own bound (encoding/json, maxNestingDepth). */
const depthMax = 10_000

/** Where the scanner stands. Numbers, since this is asked once per token. */
const at = {
  start: 0,
  value: 1,
  firstElement: 2,
  firstKey: 3,
  key: 4,
  colon: 5,
  after: 6,
  string: 7,
  keyString: 8,
  word: 9,
  minus: 10,
  zero: 11,
  digits: 12,
  point: 13,
  fraction: 14,
  exponent: 15,
  exponentSign: 16,
  exponentDigits: 17,
  done: 18,
  bad: 19,
} as const
type At = (typeof at)[keyof typeof at]

/** How far to look by hand before the native search is called. */
const nearBytes = 24

const quote = 0x22
const backslash = 0x5c

/**
 * Reads the outer object of a JSON body while its bytes arrive, without building it: parsing five megabytes would hold
 * up every stream for some milliseconds. Strings are skipped with the native search. Keys obey Go's encoding/json:
 * letter case is folded, escapes are decoded, the last of two wins. Only the first JSON value of a body counts.
 * Faults that a walk over brackets, strings and literals cannot see (a bad escape deep inside) are left to the backend.
 */
export class BodyScanner {
  #at: At = at.start
  #fault = ''
  #rootKind: JsonKind | undefined

  /** One entry per open bracket: is it an object, and what do its strings mean. */
  #isObject = [false]
  #marks = [0]
  #depth = 0
  /** The marks of the value that comes next. */
  #mark = 0

  /** Inside a string: the last byte of the chunk before was a backslash that escapes. */
  #escaping = false
  #stringBytes = 0
  /** How many bytes of a data URI's beginning have matched; -1 once they have not. */
  #uriMatch = 0
  #keyParts: Buffer[] = []
  #keyBytes = 0

  #word = ''
  #wordIndex = 0

  /** The outer key whose value is being read, if we know it. */
  #key: ScanKey | undefined
  #kind: JsonKind = 'null'
  #empty = false
  #captureFrom = -1
  #captured: Buffer[] = []
  #capturedBytes = 0

  /** Bytes of the chunks before this one, and where in the body the outer value began. */
  #before = 0
  #valueFrom = 0
  readonly #prefix: PrefixHasher | undefined
  /** What is being read is part of the prompt. */
  #hashing = false

  readonly #values = new Map<ScanKey, ScannedValue>()
  readonly #mistyped = new Map<ScanKey, JsonKind>()
  #textBytes = 0
  #media = false
  #audio = false

  constructor(prefix?: PrefixHasher) {
    this.#prefix = prefix
  }

  feed(chunk: Uint8Array): void {
    if (this.#at >= at.done) return
    const bytes = Buffer.isBuffer(chunk)
      ? chunk
      : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    if (this.#captureFrom >= 0) this.#captureFrom = 0
    let index = 0
    while (index < bytes.length && this.#at < at.done) {
      if (this.#at === at.string) index = this.#inString(bytes, index)
      else if (this.#at === at.keyString) index = this.#inKey(bytes, index)
      else index = this.#step(bytes, index)
    }
    if (this.#captureFrom >= 0) this.#capture(bytes, bytes.length)
    this.#before += bytes.length
  }

  /** True when nothing that may still come can change the result. */
  get settled(): boolean {
    return this.#at >= at.done
  }

  end(): ScanResult {
    if (this.#at === at.bad) return { ok: false, problem: 'syntax', text: this.#fault }
    if (this.#at === at.start) return { ok: false, problem: 'empty', text: 'EOF' }
    // A number at the top has no end of its own.
    if (this.#depth === 0 && endsNumber(this.#at)) this.#at = at.done
    if (this.#at !== at.done) return { ok: false, problem: 'syntax', text: 'unexpected EOF' }
    // Go decodes null into an empty struct.
    if (this.#rootKind !== 'object' && this.#rootKind !== 'null')
      return { ok: false, problem: 'notObject', text: this.#rootKind ?? 'null' }
    return {
      ok: true,
      values: this.#values,
      mistyped: this.#mistyped,
      textBytes: this.#textBytes,
      media: this.#media,
      audio: this.#audio,
      prefix: this.#prefix?.parts(),
    }
  }

  /** One token's worth of anything but a string; gives the index of the next byte to look at. */
  #step(bytes: Buffer, from: number): number {
    const byte = bytes[from]!
    switch (this.#at) {
      case at.start:
      case at.value:
        if (isSpace(byte)) return from + 1
        return this.#beginValue(bytes, from, byte)
      case at.firstElement:
        if (isSpace(byte)) return from + 1
        if (byte === 0x5d) return this.#close(bytes, from)
        if (this.#depth === 2) this.#empty = false
        return this.#beginValue(bytes, from, byte)
      case at.firstKey:
      case at.key:
        if (isSpace(byte)) return from + 1
        if (byte === quote) {
          if (this.#depth === 2) this.#empty = false
          this.#keyParts = []
          this.#keyBytes = 0
          this.#escaping = false
          this.#at = at.keyString
          return from + 1
        }
        if (byte === 0x7d && this.#at === at.firstKey) return this.#close(bytes, from)
        return this.#fail(byte, 'looking for beginning of object key string')
      case at.colon:
        if (isSpace(byte)) return from + 1
        if (byte !== 0x3a) return this.#fail(byte, 'after object key')
        this.#at = at.value
        return from + 1
      case at.after:
        return this.#afterValue(bytes, from, byte)
      case at.word:
        return this.#inWord(bytes, from, byte)
      default:
        return this.#inNumber(bytes, from)
    }
  }

  #beginValue(bytes: Buffer, from: number, byte: number): number {
    switch (byte) {
      case quote:
        this.#begin('string', from)
        this.#stringBytes = 0
        this.#uriMatch = 0
        this.#escaping = false
        this.#at = at.string
        return from + 1
      case 0x7b:
        this.#begin('object', from)
        return this.#open(byte, from, true)
      case 0x5b:
        this.#begin('array', from)
        return this.#open(byte, from, false)
      case 0x74:
        return this.#beginWord('bool', 'true', from)
      case 0x66:
        return this.#beginWord('bool', 'false', from)
      case 0x6e:
        return this.#beginWord('null', 'null', from)
      case 0x2d:
        this.#begin('number', from)
        this.#at = at.minus
        if (this.#hashing) this.#prefix?.feed(bytes, from, from + 1)
        return from + 1
      default:
        if (byte < 0x30 || byte > 0x39) return this.#fail(byte, 'looking for beginning of value')
        this.#begin('number', from)
        this.#at = byte === 0x30 ? at.zero : at.digits
        if (this.#hashing) this.#prefix?.feed(bytes, from, from + 1)
        return this.#inNumber(bytes, from + 1)
    }
  }

  #beginWord(kind: JsonKind, word: string, from: number): number {
    this.#begin(kind, from)
    this.#word = word
    this.#wordIndex = 1
    this.#at = at.word
    return from + 1
  }

  /** Notes what kind of value begins, at the root and for the outer keys that we know. */
  #begin(kind: JsonKind, from: number): void {
    if (this.#depth > 1) return
    if (this.#depth === 0) {
      this.#rootKind = kind
      return
    }
    if (this.#key === undefined) return
    this.#kind = kind
    this.#empty = true
    this.#valueFrom = this.#before + from
    if (wantedText.has(this.#key)) {
      this.#captured = []
      this.#capturedBytes = 0
      this.#captureFrom = from
    }
  }

  #open(byte: number, from: number, isObject: boolean): number {
    const depth = this.#depth + 1
    if (depth > depthMax) return this.#fail(byte, 'exceeded max depth')
    this.#isObject[depth] = isObject
    this.#marks[depth] = this.#mark
    this.#depth = depth
    this.#at = isObject ? at.firstKey : at.firstElement
    return from + 1
  }

  #close(bytes: Buffer, from: number): number {
    this.#depth -= 1
    if (this.#hashing && this.#depth === 2) this.#prefix?.endItem()
    this.#endValue(bytes, from + 1)
    return from + 1
  }

  #afterValue(bytes: Buffer, from: number, byte: number): number {
    if (isSpace(byte)) return from + 1
    const inObject = this.#isObject[this.#depth] === true
    if (byte === 0x2c) {
      this.#mark = this.#marks[this.#depth]!
      this.#at = inObject ? at.key : at.value
      return from + 1
    }
    if (byte === (inObject ? 0x7d : 0x5d)) return this.#close(bytes, from)
    return this.#fail(byte, inObject ? 'after object key:value pair' : 'after array element')
  }

  /** `next` is the index behind the value's last byte. */
  #endValue(bytes: Buffer, next: number): void {
    if (this.#depth === 0) {
      this.#at = at.done
      return
    }
    this.#at = at.after
    if (this.#depth === 1 && this.#key !== undefined) this.#keep(this.#key, bytes, next)
  }

  #keep(key: ScanKey, bytes: Buffer, next: number): void {
    const wanted = this.#captureFrom >= 0
    const text = wanted ? this.#textUpTo(bytes, next) : undefined
    this.#captureFrom = -1
    this.#key = undefined
    if (this.#hashing) this.#prefix?.end()
    this.#hashing = false
    const before = this.#values.get(key)
    const from = this.#valueFrom
    const to = this.#before + next
    if (this.#kind === 'null') {
      const nothing = { kind: 'null', empty: true, text: undefined, tooLong: false } as const
      this.#values.set(key, { ...(before ?? { ...nothing, from, to }), thenNull: true })
      return
    }
    if (marks.textOnly.has(key) && this.#kind !== 'string') {
      if (!this.#mistyped.has(key)) this.#mistyped.set(key, this.#kind)
      return
    }
    this.#values.set(key, {
      kind: this.#kind,
      empty: this.#kind === 'number' || this.#kind === 'bool' ? false : this.#empty,
      text,
      tooLong: wanted && text === undefined,
      thenNull: false,
      from,
      to,
    })
  }

  /** The wanted value, whose last bytes are in this chunk; undefined when it is too long. */
  #textUpTo(bytes: Buffer, next: number): string | undefined {
    if (this.#capturedBytes === 0 && next - this.#captureFrom <= textBytesMax)
      return bytes.toString('utf8', this.#captureFrom, next)
    this.#capture(bytes, next)
    const pieces = this.#captured
    this.#captured = []
    return this.#capturedBytes > textBytesMax ? undefined : Buffer.concat(pieces).toString('utf8')
  }

  /** Copies what this chunk holds of the wanted value; the chunk itself belongs to somebody else. */
  #capture(bytes: Buffer, to: number): void {
    this.#capturedBytes += to - this.#captureFrom
    if (this.#capturedBytes <= textBytesMax)
      this.#captured.push(Buffer.from(bytes.subarray(this.#captureFrom, to)))
    else this.#captured = []
  }

  #inString(bytes: Buffer, from: number): number {
    const end = this.#closingQuote(bytes, from)
    const to = end < 0 ? bytes.length : end
    if (this.#uriMatch >= 0 && this.#uriMatch < uriBytes) this.#matchUri(bytes, from, to)
    this.#stringBytes += to - from
    if (this.#hashing) this.#hash(bytes, from, to)
    if (end < 0) return to
    if (this.#hashing) this.#endHashed()
    if (this.#depth === 1) this.#empty = this.#stringBytes === 0
    this.#countString()
    this.#endValue(bytes, end + 1)
    return end + 1
  }

  #hash(bytes: Buffer, from: number, to: number): void {
    if ((this.#mark & marks.media) === 0) this.#prefix?.feed(bytes, from, to)
    else this.#prefix?.feedMedia(bytes, from, to)
  }

  #endHashed(): void {
    this.#prefix?.endValue()
    if (this.#depth === 2) this.#prefix?.endItem()
  }

  /** The index of the quote that ends the string, or -1; knows whether the chunk before ended in an escape. */
  #closingQuote(bytes: Buffer, from: number): number {
    let start = from
    if (this.#escaping) {
      this.#escaping = false
      start += 1
    }
    while (true) {
      // Most strings are short, and a call of the native search costs as much as a look at some twenty bytes.
      const near = Math.min(start + nearBytes, bytes.length)
      while (start < near) {
        const byte = bytes[start]
        if (byte === quote) return start
        start += byte === backslash ? 2 : 1
      }
      if (start >= bytes.length) {
        this.#escaping = start > bytes.length
        return -1
      }
      const found = bytes.indexOf(quote, start)
      const stop = found < 0 ? bytes.length : found
      let slashes = 0
      while (stop - slashes > start && bytes[stop - slashes - 1] === backslash) slashes++
      const escaped = (slashes & 1) === 1
      if (found < 0) {
        this.#escaping = escaped
        return -1
      }
      if (!escaped) return found
      start = found + 1
    }
  }

  /** `data:` and the first letter of a media type: pictures and sound inside a text. */
  #matchUri(bytes: Buffer, from: number, to: number): void {
    for (let index = from; index < to && this.#uriMatch < uriBytes; index++) {
      const byte = bytes[index]!
      const fits =
        this.#uriMatch < 5
          ? byte === uriStart[this.#uriMatch]
          : byte === 0x69 || byte === 0x61 || byte === 0x76
      if (!fits) {
        this.#uriMatch = -1
        return
      }
      this.#uriMatch += 1
    }
  }

  #countString(): void {
    if ((this.#mark & marks.media) !== 0) {
      this.#media = true
      if ((this.#mark & marks.audio) !== 0) this.#audio = true
      return
    }
    if ((this.#mark & marks.silent) !== 0 || this.#uriMatch === uriBytes) return
    this.#textBytes += this.#stringBytes
  }

  #inKey(bytes: Buffer, from: number): number {
    const end = this.#closingQuote(bytes, from)
    const to = end < 0 ? bytes.length : end
    let key: ScanKey | undefined
    if (end >= 0 && this.#keyBytes === 0) {
      // The common case: the whole key lies in this chunk. Keys inside schemas mean nothing to us.
      if ((this.#marks[this.#depth]! & marks.plain) === 0) key = readKey(bytes, from, to)
    } else {
      this.#keyBytes += to - from
      if (this.#keyBytes <= keyBytesMax) this.#keyParts.push(Buffer.from(bytes.subarray(from, to)))
      if (end < 0) return to
      if (this.#keyBytes <= keyBytesMax)
        key = readKey(Buffer.concat(this.#keyParts), 0, this.#keyBytes)
    }
    const outer = this.#depth === 1
    this.#key = outer ? key : this.#key
    if (outer && this.#prefix !== undefined) this.#hashing = this.#prefix.begin(key)
    this.#mark = outer ? marks.ofOuter(key) : marks.ofInner(key, this.#marks[this.#depth]!)
    this.#at = at.colon
    return end + 1
  }

  #inWord(bytes: Buffer, from: number, byte: number): number {
    if (byte !== this.#word.charCodeAt(this.#wordIndex))
      return this.#fail(
        byte,
        `in literal ${this.#word} (expecting '${this.#word[this.#wordIndex]}')`,
      )
    this.#wordIndex += 1
    if (this.#wordIndex === this.#word.length) this.#endValue(bytes, from + 1)
    return from + 1
  }

  #inNumber(bytes: Buffer, from: number): number {
    for (let index = from; index < bytes.length; index++) {
      const byte = bytes[index]!
      const isDigit = byte >= 0x30 && byte <= 0x39
      switch (this.#at) {
        case at.minus:
          if (!isDigit) return this.#fail(byte, 'in numeric literal')
          this.#at = byte === 0x30 ? at.zero : at.digits
          continue
        case at.point:
          if (!isDigit) return this.#fail(byte, 'after decimal point in numeric literal')
          this.#at = at.fraction
          continue
        case at.exponent:
          if (byte === 0x2b || byte === 0x2d) {
            this.#at = at.exponentSign
            continue
          }
          if (!isDigit) return this.#fail(byte, 'in exponent of numeric literal')
          this.#at = at.exponentDigits
          continue
        case at.exponentSign:
          if (!isDigit) return this.#fail(byte, 'in exponent of numeric literal')
          this.#at = at.exponentDigits
          continue
        case at.zero:
        case at.digits:
          if (isDigit && this.#at === at.digits) continue
          if (byte === 0x2e) {
            this.#at = at.point
            continue
          }
          break
        case at.fraction:
        case at.exponentDigits:
          if (isDigit) continue
          break
      }
      if ((byte === 0x65 || byte === 0x45) && this.#at !== at.exponentDigits) {
        this.#at = at.exponent
        continue
      }
      if (this.#hashing) {
        this.#prefix?.feed(bytes, from, index)
        this.#prefix?.endValue()
      }
      this.#endValue(bytes, index)
      return index
    }
    if (this.#hashing) this.#prefix?.feed(bytes, from, bytes.length)
    return bytes.length
  }

  #fail(byte: number, context: string): number {
    this.#fault = goSyntaxText(byte, context)
    this.#at = at.bad
    this.#captureFrom = -1
    return Number.MAX_SAFE_INTEGER
  }
}

const uriStart = Buffer.from('data:')
const uriBytes = uriStart.length + 1

const isSpace = (byte: number) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

function endsNumber(place: At): boolean {
  return (
    place === at.zero || place === at.digits || place === at.fraction || place === at.exponentDigits
  )
}

/** Scans a body that is already whole. */
export function scanBody(body: Uint8Array): ScanResult {
  const scanner = new BodyScanner()
  scanner.feed(body)
  return scanner.end()
}

/** What must be decoded, or is no JSON. */
const notPlain = /[\\\u0000-\u001f]/

/** The string at a key, as Go would hold it: `''` when there is none. A null does not clear a string. */
export function textOf(facts: BodyFacts, key: ScanKey): string {
  const value = facts.values.get(key)
  if (value?.kind !== 'string' || value.text === undefined) return ''
  // Nearly every name is written as it is.
  if (!notPlain.test(value.text)) return value.text.slice(1, -1)
  try {
    return String(JSON.parse(value.text)).toWellFormed()
  } catch {
    return ''
  }
}

/** The raw JSON text at a key whose Go type is a pointer or a map: a null clears it. */
export function rawOf(facts: BodyFacts, key: ScanKey): string | undefined {
  const value = facts.values.get(key)
  return value === undefined || value.thenNull ? undefined : value.text
}

/** Whether a slice or an `any` at a key holds nothing: absent, null, or empty. */
export function isEmptyAt(facts: BodyFacts, key: ScanKey): boolean {
  const value = facts.values.get(key)
  return value === undefined || value.thenNull || value.empty
}
