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

/** No fragment, no quotes, no brackets: what a path of ours and a query can be made of. */
const requestLine = /^(GET|HEAD|POST|PUT|PATCH|DELETE) (\/[\w\-.~/:%?&=+,@!*;$]*) HTTP\/1\.1$/
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** RFC 9110 5.5 without the high half of Latin-1: bytes about whose meaning two readers could differ. */
const oddSign = /[^\t\r\n\x20-\x7e]/
/** A line end that is not both of its bytes. */
const halfLineEnd = /\r(?!\n)|(?<!\r)\n/

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
 */
export function readRequestHead(bytes: Buffer): RequestHead | undefined {
  const all = bytes.toString('latin1', 0, Math.min(bytes.length, headBytesMax))
  const end = all.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const text = all.slice(0, end)
  if (oddSign.test(text) || halfLineEnd.test(text)) return undefined
  const lineEnd = text.indexOf('\r\n')
  const first = requestLine.exec(lineEnd < 0 ? text : text.slice(0, lineEnd))
  if (!first || lineEnd < 0 || first[2]!.length > targetLengthMax) return undefined

  const rawHeaders: string[] = []
  const headers: Record<string, string> = {}
  for (let from = lineEnd + 2; from < text.length; ) {
    const next = text.indexOf('\r\n', from)
    const to = next < 0 ? text.length : next
    const colon = text.indexOf(':', from)
    if (colon < 0 || colon >= to) return undefined
    const name = text.slice(from, colon)
    const value = withoutSpace(text, colon + 1, to)
    const lower = usual[name] ?? lowered(name)
    if (lower === undefined || Object.hasOwn(headers, lower)) return undefined
    if (rawHeaders.length === 2 * fieldsMax) return undefined
    headers[lower] = value
    rawHeaders.push(name, value)
    from = to + 2
  }

  const { host, connection, 'content-length': length } = headers
  if (host === undefined) return undefined
  // RFC 9112 6.3: without a length there is no body. Of what usually has one, somebody else may say so.
  if (length === undefined ? first[1] !== 'GET' : !/^\d{1,15}$/.test(length)) return undefined
  const said = connection?.toLowerCase()
  if (said !== undefined && said !== 'keep-alive' && said !== 'close') return undefined
  return {
    method: first[1]!,
    target: first[2]!,
    rawHeaders,
    headers,
    bodyBytes: Number(length ?? 0),
    lastOne: said === 'close',
    bytes: end + 4,
  }
}

/** How nearly all clients write the names of the fields that nearly all send. */
const usual: Readonly<Record<string, string | undefined>> = Object.freeze(
  Object.assign(
    Object.create(null) as object,
    Object.fromEntries(
      ['Host', 'User-Agent', 'Accept', 'Accept-Encoding', 'Accept-Language', 'Authorization']
        .concat(['Content-Type', 'Content-Length', 'Connection', 'Origin', 'Sec-Fetch-Mode'])
        .flatMap((name) => [
          [name, name.toLowerCase()],
          [name.toLowerCase(), name.toLowerCase()],
        ]),
    ),
  ),
)

/** Undefined: no name, or one that is not simple. */
function lowered(name: string): string | undefined {
  if (!token.test(name)) return undefined
  const lower = name.toLowerCase()
  return notSimple.has(lower) ? undefined : lower
}

/** A value without the optional space around it, which is spaces and tabs only (RFC 9110 5.6.3). */
function withoutSpace(text: string, begin: number, end: number): string {
  let from = begin
  let to = end
  while (from < to && isSpace(text.charCodeAt(from))) from++
  while (to > from && isSpace(text.charCodeAt(to - 1))) to--
  return text.slice(from, to)
}

const isSpace = (code: number) => code === 0x20 || code === 0x09
