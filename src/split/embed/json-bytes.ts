/**
 * JSON walked over as bytes: where a value begins and ends, without building it. A batch has megabytes of text and its
 * answer tens of megabytes of numbers; parsing either would hold up every stream of this process.
 */

/** A key and its value in an object, as ranges of bytes. */
export interface Field {
  /** Between the quotes. */
  readonly keyFrom: number
  readonly keyTo: number
  readonly from: number
  readonly to: number
}

const quote = 0x22
const backslash = 0x5c
const comma = 0x2c
const colon = 0x3a
const openArray = 0x5b
const closeArray = 0x5d
export const openObject = 0x7b
const closeObject = 0x7d

/** Deeper than anything that stands in these bodies; what is deeper is left to others. */
const depthMax = 64
/** Outer keys; a body with more is none that we know. */
const fieldsMax = 256

/** No value was found where one should be. */
export const nowhere = -1

export function skipSpace(bytes: Buffer, from: number): number {
  let at = from
  for (; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break
  }
  return at
}

/** `from` is the opening quote; gives the index behind the closing one, or `nowhere`. */
export function stringEnd(bytes: Buffer, from: number): number {
  if (bytes[from] !== quote) return nowhere
  let start = from + 1
  for (;;) {
    const found = bytes.indexOf(quote, start)
    if (found < 0) return nowhere
    let slashes = 0
    while (found - slashes > start && bytes[found - slashes - 1] === backslash) slashes++
    if ((slashes & 1) === 0) return found + 1
    start = found + 1
  }
}

/** The index behind the value that begins at `from`, or `nowhere`. Words and numbers are not checked letter by letter. */
export function valueEnd(bytes: Buffer, from: number): number {
  const first = bytes[from]
  if (first === quote) return stringEnd(bytes, from)
  if (first === openArray || first === openObject) return containerEnd(bytes, from)
  return plainEnd(bytes, from)
}

/** Numbers, true, false, null. */
function plainEnd(bytes: Buffer, from: number): number {
  let at = from
  for (; at < bytes.length; at++) {
    const byte = bytes[at]!
    const isPlain =
      (byte >= 0x30 && byte <= 0x39) ||
      (byte >= 0x61 && byte <= 0x7a) ||
      byte === 0x2d ||
      byte === 0x2b ||
      byte === 0x2e ||
      byte === 0x45
    if (!isPlain) break
  }
  return at === from ? nowhere : at
}

function containerEnd(bytes: Buffer, from: number): number {
  const closers: number[] = []
  let at = from
  while (at < bytes.length) {
    const byte = bytes[at]
    if (byte === quote) {
      at = stringEnd(bytes, at)
      if (at < 0) return nowhere
      continue
    }
    if (byte === openArray || byte === openObject) {
      if (closers.length >= depthMax) return nowhere
      closers.push(byte === openArray ? closeArray : closeObject)
    } else if (byte === closeArray || byte === closeObject) {
      if (closers.pop() !== byte) return nowhere
      if (closers.length === 0) return at + 1
    }
    at++
  }
  return nowhere
}

/**
 * The index behind an array of plain numbers, found by the native search. Only for what a server wrote: other things
 * inside would end it too early, and then what follows makes no sense.
 */
export function numbersEnd(bytes: Buffer, from: number): number {
  if (bytes[from] !== openArray) return nowhere
  return bytes.indexOf(closeArray, from) + 1 || nowhere
}

/**
 * The fields of the object that begins at `from`, and the index behind it; undefined when it is none. `endOf` may know
 * a shorter way through the value of a key.
 */
export function readObject(
  bytes: Buffer,
  from: number,
  endOf: (field: Field) => number = (field) => valueEnd(bytes, field.from),
): { fields: Field[]; to: number } | undefined {
  if (bytes[from] !== openObject) return undefined
  const fields: Field[] = []
  let at = skipSpace(bytes, from + 1)
  if (bytes[at] === closeObject) return { fields, to: at + 1 }
  while (fields.length < fieldsMax) {
    const keyEnd = stringEnd(bytes, at)
    if (keyEnd < 0) return undefined
    const keyFrom = at + 1
    at = skipSpace(bytes, keyEnd)
    if (bytes[at] !== colon) return undefined
    at = skipSpace(bytes, at + 1)
    const begun = { keyFrom, keyTo: keyEnd - 1, from: at, to: at }
    const to = endOf(begun)
    if (to < 0) return undefined
    fields.push({ ...begun, to })
    at = skipSpace(bytes, to)
    if (bytes[at] === closeObject) return { fields, to: at + 1 }
    if (bytes[at] !== comma) return undefined
    at = skipSpace(bytes, at + 1)
  }
  return undefined
}

/**
 * Walks the array that begins at `from`: `endOf` is asked for the end of each element. Gives the index behind the
 * array, or `nowhere` as soon as an element is not what it should be.
 */
export function walkArray(
  bytes: Buffer,
  from: number,
  endOf: (elementFrom: number) => number,
): number {
  if (bytes[from] !== openArray) return nowhere
  let at = skipSpace(bytes, from + 1)
  if (bytes[at] === closeArray) return at + 1
  for (;;) {
    const to = endOf(at)
    if (to < 0) return nowhere
    at = skipSpace(bytes, to)
    if (bytes[at] === closeArray) return at + 1
    if (bytes[at] !== comma) return nowhere
    at = skipSpace(bytes, at + 1)
  }
}
