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

const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** What no line of a head may have in it. */
const control = /[\x00-\x08\x0a-\x1f\x7f]/

/** Reads a head without its last empty line; throws NotHttp. `bodiless`: the request was a HEAD. */
export function readResponseHead(text: string, bodiless: boolean): ResponseHead {
  const lines = text.split('\r\n')
  const first = statusLine.exec(lines[0]!)
  if (!first) throw new NotHttp('bad status line')
  const status = Number(first[2])
  const rawHeaders: string[] = []
  let length: number | undefined
  let chunked = false
  let keepAlive = first[1] === '1'
  for (let index = 1; index < lines.length; index++) {
    const line = lines[index]!
    const colon = line.indexOf(':')
    const name = line.slice(0, colon)
    // A space before the colon, a folded line and a line without a colon are how two readers come to differ.
    if (colon < 1 || !token.test(name)) throw new NotHttp('bad header name')
    const value = line.slice(colon + 1).trim()
    if (control.test(value)) throw new NotHttp('bad header value')
    rawHeaders.push(name, value)
    switch (name.length) {
      case 10:
        if (name.toLowerCase() === 'connection') keepAlive &&= !/\bclose\b/i.test(value)
        break
      case 14:
        if (name.toLowerCase() !== 'content-length') break
        if (length !== undefined || !/^\d{1,15}$/.test(value)) throw new NotHttp('bad length')
        length = Number(value)
        break
      case 17:
        if (name.toLowerCase() !== 'transfer-encoding') break
        if (chunked || value.toLowerCase() !== 'chunked') throw new NotHttp('bad encoding')
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
