import { connect, type Socket } from 'node:net'

interface Heard {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** One connection on which several requests can be made; what comes back is read as it stands on the wire. */
export interface Talk {
  readonly socket: Socket
  send(text: string): void
  /** Whole answers so far, oldest first. */
  heard(): readonly Heard[]
  /** All bytes so far. */
  raw(): string
  readonly closed: boolean
}

export function talkTo(port: number): Talk {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
  let text = ''
  let closed = false
  socket.setEncoding('latin1')
  socket.on('data', (piece: string) => {
    text += piece
  })
  socket.on('end', () => {
    closed = true
    socket.destroy()
  })
  socket.on('close', () => {
    closed = true
  })
  socket.on('error', () => {})
  return {
    socket,
    send: (request) => void socket.write(request, 'latin1'),
    heard: () => readAll(text),
    raw: () => text,
    get closed() {
      return closed
    },
  }
}

function readAll(text: string): Heard[] {
  const all: Heard[] = []
  for (let rest = text; ; ) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return all
    const [line = '', ...fields] = rest.slice(0, end).split('\r\n')
    const headers = new Map(
      fields.map((field) => {
        const colon = field.indexOf(':')
        return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()] as const
      }),
    )
    const read = readBody(headers, rest.slice(end + 4))
    if (!read) return all
    const status = Number(line.split(' ')[1])
    if (status >= 200) all.push({ status, headers, body: read.body })
    rest = read.rest
  }
}

/** Undefined: not all of it is there. */
function readBody(headers: ReadonlyMap<string, string>, text: string) {
  if (headers.get('transfer-encoding') !== 'chunked') {
    const length = Number(headers.get('content-length') ?? 0)
    return text.length < length
      ? undefined
      : { body: text.slice(0, length), rest: text.slice(length) }
  }
  let body = ''
  for (let at = 0; ; ) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const size = Number.parseInt(text.slice(at, lineEnd), 16)
    const from = lineEnd + 2
    if (text.length < from + size + 2) return undefined
    if (size === 0) return { body, rest: text.slice(from + 2) }
    body += text.slice(from, from + size)
    at = from + size + 2
  }
}
