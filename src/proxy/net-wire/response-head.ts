import { isNamed, lengthOf, withoutSpace } from '../../core/field-text.ts'

/** The head of an answer, judged: what is ambiguous is no answer (RFC 9112 section 6, read strictly). */
export interface ResponseHead {
  readonly status: number
  /** Name, value, name, value … */
  readonly rawHeaders: readonly string[]
  readonly framing: 'none' | 'length' | 'chunked' | 'close'
  /** Bytes of the body, for `length`. */
  readonly length: number
  /** The connection may carry another request afterwards. */
  readonly keepAlive: boolean
}

/** What came was not HTTP as it should be. The code is read by judge. */
export class NotHttp extends Error {
  readonly code = 'HPE_STRICT'
}

/** What no line of a head may have in it. */
const control = /[\x00-\x08\x0a-\x1f\x7f]/

const cr = 0x0d
const lf = 0x0a
const space = 0x20
const zero = 0x30
const one = 0x31
const colonSign = 0x3a

/** Of `HTTP/1.1 200`. */
const minorAt = 7
const statusAt = 9

const inName = 1
const inPlainValue = 2
const inReason = 4

/** What each sign can be part of. Of a value that is not plain more must be known. */
const kinds = Uint8Array.from({ length: 256 }, (_, code) => {
  const sign = String.fromCharCode(code)
  const isName = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(sign)
  const isPlain = /[\t\x20-\x7e]/.test(sign)
  const isReason = /[\t\x20-\x7e\x80-\xff]/.test(sign)
  return (isName ? inName : 0) | (isPlain ? inPlainValue : 0) | (isReason ? inReason : 0)
})

/**
 * Reads a head without its last empty line; throws NotHttp. `bodiless`: the request was a HEAD.
 *
 * It goes through the text once and calls little, for the same reason as the door does with the head of a request.
 */
export function readResponseHead(text: string, bodiless: boolean): ResponseHead {
  let at = statusLineEnd(text)
  if (at === undefined) throw new NotHttp('bad status line')
  const status = statusOf(text)
  const rawHeaders: string[] = []
  let length: number | undefined
  let chunked = false
  let keepAlive = text.charCodeAt(minorAt) === one
  while (at < text.length) {
    const nameAt = at + 2
    const colon = endOf(inName, text, nameAt)
    // A space before the colon, a folded line and a line without a colon are how two readers come to differ.
    if (colon === nameAt || text.charCodeAt(colon) !== colonSign)
      throw new NotHttp('bad header name')
    const name = usualSpelling(text, nameAt, colon) ?? text.slice(nameAt, colon)
    at = endOf(inPlainValue, text, colon + 1)
    if (!isLineEnd(text, at)) {
      const next = text.indexOf('\r\n', at)
      at = next < 0 ? text.length : next
      if (control.test(text.slice(colon + 1, at))) throw new NotHttp('bad header value')
    }
    const value = withoutSpace(text, colon + 1, at)
    rawHeaders.push(name, value)
    switch (name.length) {
      case 10:
        if (isNamed(name, 'Connection', 'connection')) keepAlive &&= !saysClose(value)
        break
      case 14:
        if (!isNamed(name, 'Content-Length', 'content-length')) break
        if (length !== undefined) throw new NotHttp('bad length')
        length = lengthOf(value)
        if (length === undefined) throw new NotHttp('bad length')
        break
      case 17:
        if (!isNamed(name, 'Transfer-Encoding', 'transfer-encoding')) break
        if (chunked || (value !== 'chunked' && value.toLowerCase() !== 'chunked'))
          throw new NotHttp('bad encoding')
        chunked = true
    }
  }
  if (chunked && length !== undefined) throw new NotHttp('a length and an encoding')
  const framing =
    bodiless || status < 200 || status === 204 || status === 304
      ? 'none'
      : chunked
        ? 'chunked'
        : length === undefined
          ? 'close'
          : length === 0
            ? 'none'
            : 'length'
  return {
    status,
    rawHeaders,
    framing,
    length: length ?? 0,
    keepAlive: keepAlive && framing !== 'close',
  }
}

/** Where it ends that a head begins with: `HTTP/1.1 200`, mostly with a reason behind it. Undefined: it does not. */
function statusLineEnd(text: string): number | undefined {
  if (!stands('HTTP/1.', text, 0)) return undefined
  const minor = text.charCodeAt(minorAt)
  if ((minor !== zero && minor !== one) || text.charCodeAt(minorAt + 1) !== space) return undefined
  if (Number.isNaN(statusOf(text))) return undefined
  const end =
    text.charCodeAt(statusAt + 3) === space ? endOf(inReason, text, statusAt + 4) : statusAt + 3
  return isLineEnd(text, end) ? end : undefined
}

/** What the three digits say; NaN: they are none, or too small a number. */
function statusOf(text: string): number {
  let status = 0
  for (let at = statusAt; at < statusAt + 3; at++) {
    const digit = text.charCodeAt(at) - zero
    // Also where the text has ended, which gives no number.
    if (!(digit >= 0 && digit <= 9)) return Number.NaN
    status = status * 10 + digit
  }
  return status < 100 ? Number.NaN : status
}

/** Whether the word stands there. */
function stands(word: string, text: string, at: number): boolean {
  for (let index = 0; index < word.length; index++)
    if (text.charCodeAt(at + index) !== word.charCodeAt(index)) return false
  return true
}

/** Where the first sign stands that is not of the kind. */
function endOf(kind: number, text: string, from: number): number {
  let at = from
  while (at < text.length && (kinds[text.charCodeAt(at)]! & kind) !== 0) at++
  return at
}

function isLineEnd(text: string, at: number): boolean {
  return at === text.length || (text.charCodeAt(at) === cr && text.charCodeAt(at + 1) === lf)
}

/** The name that stands there, if nearly all servers send it and write it so: then no string has to be made of it. */
function usualSpelling(text: string, from: number, to: number): string | undefined {
  switch (to - from) {
    case 4:
      return oneOf('Date', 'date', text, from)
    case 6:
      return oneOf('Server', 'server', text, from)
    case 10:
      return oneOf('Connection', 'connection', text, from)
    case 12:
      return oneOf('Content-Type', 'content-type', text, from)
    case 14:
      return oneOf('Content-Length', 'content-length', text, from)
    case 17:
      return oneOf('Transfer-Encoding', 'transfer-encoding', text, from)
    default:
      return undefined
  }
}

function oneOf(one: string, other: string, text: string, at: number): string | undefined {
  if (stands(one, text, at)) return one
  return stands(other, text, at) ? other : undefined
}

const saysClose = (value: string) =>
  value !== 'keep-alive' && (value === 'close' || /\bclose\b/i.test(value))
