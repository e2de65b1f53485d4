import { lengthOf, withoutSpace } from '../../core/field-text.ts'
import { fieldsMax, targetLengthMax } from '../node-door/one-meaning.ts'

/** The head of a plain request. */
export interface RequestHead {
  readonly method: string
  readonly target: string
  /** Name, value …, as they came. */
  readonly rawHeaders: readonly string[]
  /** By lower-case name; no name came twice. */
  readonly headers: Readonly<Record<string, string>>
  /** What Content-Length says; 0 for a GET that says nothing. */
  readonly bodyBytes: number
  /** The client said that this is its last request on the connection. */
  readonly lastOne: boolean
  /** How many bytes the head takes, its empty line included. */
  readonly bytes: number
}

/** As `node:http` has it by default. */
const headBytesMax = 16_384

const methods = ['POST', 'GET', 'HEAD', 'PUT', 'PATCH', 'DELETE'] as const
/** What follows the target. */
const version = ' HTTP/1.1\r\n'

const cr = 0x0d
const lf = 0x0a
const space = 0x20
const slash = 0x2f
const colonSign = 0x3a
/** What a small letter has and its capital has not. */
const smallBit = 0x20

const inName = 1
const inTarget = 2
const inValue = 4

/** What each byte can be part of. */
const kinds = Uint8Array.from({ length: 256 }, (_, byte) => {
  const sign = String.fromCharCode(byte)
  const isName = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(sign)
  // No fragment, no quotes, no brackets: what a path of ours and a query can be made of.
  const isTarget = /[\w\-.~/:%?&=+,@!*;$]/.test(sign)
  // RFC 9110 5.5 without the high half of Latin-1: bytes about whose meaning two readers could differ.
  const isValue = /[\t\x20-\x7e]/.test(sign)
  return (isName ? inName : 0) | (isTarget ? inTarget : 0) | (isValue ? inValue : 0)
})

/** What these say is not simple: how a body is framed, what happens before it is sent, who may see what. */
const notSimple: ReadonlySet<string> = new Set([
  'transfer-encoding',
  'upgrade',
  'expect',
  'trailer',
  'proxy-connection',
  // No field, but a name that means something to objects.
  '__proto__',
])

/**
 * Reads a request's head if it is one that no two readers of RFC 9112 can understand differently: whole, CRLF and
 * nothing else, one Host, one plain Content-Length (a GET may be without), no name twice. Undefined is no judgement:
 * what is not plain is for somebody who knows all of HTTP.
 *
 * It goes through the bytes once and calls little: when requests come far apart, the processor has forgotten all of
 * this in between, and each expression and each builtin would have to be fetched from memory again.
 */
export function readRequestHead(bytes: Buffer): RequestHead | undefined {
  const limit = Math.min(bytes.length, headBytesMax)
  const method = methodOf(bytes)
  if (method === undefined) return undefined
  const targetAt = method.length + 1
  if (bytes[targetAt - 1] !== space || bytes[targetAt] !== slash) return undefined
  const targetEnd = endOf(inTarget, bytes, targetAt, limit)
  if (targetEnd - targetAt > targetLengthMax || !stands(version, bytes, targetEnd)) return undefined

  const text = bytes.toString('latin1', 0, limit)
  const rawHeaders: string[] = []
  const headers: Record<string, string> = {}
  let usualOnes = 0
  let at = targetEnd + version.length
  while (bytes[at] !== cr) {
    const colon = endOf(inName, bytes, at, limit)
    if (colon === at || bytes[colon] !== colonSign) return undefined
    const end = endOf(inValue, bytes, colon + 1, limit)
    if (bytes[end] !== cr || bytes[end + 1] !== lf) return undefined
    if (rawHeaders.length === 2 * fieldsMax) return undefined

    const usual = usualName(bytes, at, colon)
    let name: string
    let lower: string
    if (usual !== undefined) {
      if ((usualOnes & usual.bit) !== 0) return undefined
      usualOnes |= usual.bit
      name = usualSpelling(usual, bytes, at) ?? text.slice(at, colon)
      lower = usual.lower
    } else {
      name = text.slice(at, colon)
      lower = name.toLowerCase()
      if (notSimple.has(lower) || Object.hasOwn(headers, lower)) return undefined
    }
    const value = withoutSpace(text, colon + 1, end)
    headers[lower] = value
    rawHeaders.push(name, value)
    at = end + 2
  }
  if (bytes[at + 1] !== lf || at + 2 > limit) return undefined

  if ((usualOnes & host.bit) === 0) return undefined
  const length = headers['content-length']
  // RFC 9112 6.3: without a length there is no body. Of what usually has one, somebody else may say so.
  const bodyBytes = length !== undefined ? lengthOf(length) : method === 'GET' ? 0 : undefined
  const lastOne = isLastOne(headers['connection'])
  if (bodyBytes === undefined || lastOne === undefined) return undefined
  return {
    method,
    target: text.slice(targetAt, targetEnd),
    rawHeaders,
    headers,
    bodyBytes,
    lastOne,
    bytes: at + 2,
  }
}

function methodOf(bytes: Buffer): string | undefined {
  for (const method of methods) if (stands(method, bytes, 0)) return method
  return undefined
}

/** Whether the word stands there. */
function stands(word: string, bytes: Buffer, at: number): boolean {
  for (let index = 0; index < word.length; index++)
    if (bytes[at + index] !== word.charCodeAt(index)) return false
  return true
}

/** Where the first byte stands that is not of the kind. */
function endOf(kind: number, bytes: Buffer, from: number, limit: number): number {
  let at = from
  while (at < limit && (kinds[bytes[at]!]! & kind) !== 0) at++
  return at
}

/** A name that nearly all clients send, in the two ways in which nearly all write it. */
interface UsualName {
  readonly title: string
  readonly lower: string
  /** Its own, to mark that it came. */
  readonly bit: number
}

const usualAs = (title: string, place: number): UsualName => ({
  title,
  lower: title.toLowerCase(),
  bit: 1 << place,
})
const host = usualAs('Host', 0)
const accept = usualAs('Accept', 1)
const origin = usualAs('Origin', 2)
const userAgent = usualAs('User-Agent', 3)
const connection = usualAs('Connection', 4)
const contentType = usualAs('Content-Type', 5)
const authorization = usualAs('Authorization', 6)
const contentLength = usualAs('Content-Length', 7)
const secFetchMode = usualAs('Sec-Fetch-Mode', 8)
const acceptEncoding = usualAs('Accept-Encoding', 9)
const acceptLanguage = usualAs('Accept-Language', 10)

/** The usual name that stands there, whatever its letters' case: all of its kind must be found under one bit. */
function usualName(bytes: Buffer, from: number, to: number): UsualName | undefined {
  const usual = onlyUsual(to - from, bytes[to - 1]! | smallBit)
  if (usual === undefined) return undefined
  const { lower } = usual
  // Of the signs that a name is made of, this bit makes letters of letters only.
  for (let index = 0; index < lower.length; index++)
    if ((bytes[from + index]! | smallBit) !== lower.charCodeAt(index)) return undefined
  return usual
}

/** The only one that it can be, with so many letters and this one at the end. */
function onlyUsual(length: number, last: number): UsualName | undefined {
  switch (length) {
    case 4:
      return host
    case 6:
      return last === 0x74 ? accept : origin
    case 10:
      return last === 0x74 ? userAgent : connection
    case 12:
      return contentType
    case 13:
      return authorization
    case 14:
      return last === 0x68 ? contentLength : secFetchMode
    case 15:
      return last === 0x67 ? acceptEncoding : acceptLanguage
    default:
      return undefined
  }
}

/** How it is written there, if in a usual way: then no string has to be made of it. */
function usualSpelling({ title, lower }: UsualName, bytes: Buffer, at: number): string | undefined {
  if (stands(title, bytes, at)) return title
  return stands(lower, bytes, at) ? lower : undefined
}

/** Undefined: Connection says more than whether it may go on. */
function isLastOne(connection: string | undefined): boolean | undefined {
  if (connection === undefined || connection === 'keep-alive') return false
  if (connection === 'close') return true
  const lower = connection.toLowerCase()
  if (lower === 'close') return true
  return lower === 'keep-alive' ? false : undefined
}
