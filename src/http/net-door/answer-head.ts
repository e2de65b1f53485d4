import { isNamed } from '../../core/field-text.ts'

// Not imported, for the same reason as in `listener.ts`.
const { STATUS_CODES } = process.getBuiltinModule('node:http')

export interface AnswerHead {
  readonly text: string
  /** How the body's end is told; `none`: there is no body. */
  readonly framing: 'length' | 'chunked' | 'none'
}

/** What nearly every answer begins with. */
const okLine = 'HTTP/1.1 200 OK\r\n'

/** The head of an answer, written as `node:http` writes it: the fields that were given, then those of the connection. */
export function answerHead(
  status: number,
  rawHeaders: readonly string[],
  connection: { readonly keepAliveS: number | undefined; readonly date: string },
): AnswerHead {
  let text = status === 200 ? okLine : `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`
  let framing: AnswerHead['framing'] = status === 204 || status === 304 ? 'none' : 'chunked'
  let isDated = false
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!
    const value = rawHeaders[index + 1]!
    if (!isSendable(value)) throw new Error(`a header that can not be sent: ${name}`)
    text += `${name}: ${value}\r\n`
    if (name.length === 4) isDated ||= isNamed(name, 'Date', 'date')
    else if (
      name.length === 14 &&
      framing === 'chunked' &&
      isNamed(name, 'Content-Length', 'content-length')
    )
      framing = 'length'
  }
  if (!isDated) text += `Date: ${connection.date}\r\n`
  text +=
    connection.keepAliveS === undefined
      ? 'Connection: close\r\n'
      : `Connection: keep-alive\r\nKeep-Alive: timeout=${connection.keepAliveS}\r\n`
  if (framing === 'chunked') text += 'Transfer-Encoding: chunked\r\n'
  return { text: `${text}\r\n`, framing }
}

/** What a header may be made of on the wire; a letter beyond Latin-1 would be cut to a byte, and that could be a line end. */
function isSendable(value: string): boolean {
  for (let index = 0; index < value.length; index++) {
    const code = value.charCodeAt(index)
    if (code < 0x20 ? code !== 0x09 : code === 0x7f || code > 0xff) return false
  }
  return true
}
