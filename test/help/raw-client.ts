import { connect } from 'node:net'

/** One request and one answer as bytes on a socket: nothing is added, decoded or put in order. */
interface RawAnswer {
  readonly status: number
  /** Name in lower case and value, as they came. */
  readonly headers: readonly (readonly [string, string])[]
  /** Without the framing of a chunked transfer. */
  readonly body: Buffer
  /** False: the transfer was cut. */
  readonly whole: boolean
  /** Heads of 1xx answers that came before. */
  readonly interim: readonly string[]
}

interface RawRequest {
  /** Lines without their ends, the request line first. */
  readonly head: readonly string[]
  readonly body?: Uint8Array
  /** The body waits until `100 Continue` has come. */
  readonly waitForContinue?: boolean
}

export function sendRaw(
  url: string,
  { head, body, waitForContinue }: RawRequest,
): Promise<RawAnswer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) })
    let received: Buffer = Buffer.alloc(0)
    let continued = false
    const finish = (ended: boolean) => {
      const answer = readAnswer(received, ended)
      if (!answer) return
      socket.destroy()
      resolve(answer)
    }
    socket.on('connect', () => {
      socket.write(`${[...head].join('\r\n')}\r\n\r\n`, 'latin1')
      if (body && !waitForContinue) socket.write(body)
    })
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk])
      if (body && waitForContinue && !continued && received.toString('latin1').includes(' 100 ')) {
        continued = true
        socket.write(body)
      }
      finish(false)
    })
    socket.on('end', () => {
      finish(true)
      reject(new Error(`no whole head came: ${received.toString('latin1')}`))
    })
    socket.on('error', (error) => {
      finish(true)
      reject(error)
    })
  })
}

/** Bytes in the framing of a chunked transfer, in pieces of this size. */
export function chunked(bytes: Uint8Array, size: number): Buffer {
  const parts: Uint8Array[] = []
  for (let at = 0; at < bytes.length; at += size) {
    const piece = bytes.subarray(at, at + size)
    parts.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'))
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')])
}

export function headersNamed(answer: RawAnswer, wanted: string): string[] {
  return answer.headers.filter(([name]) => name === wanted).map(([, value]) => value)
}

/** Undefined while more must come. */
function readAnswer(received: Buffer, ended: boolean): RawAnswer | undefined {
  let rest = received
  const interim: string[] = []
  for (;;) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) return undefined
    const [statusLine = '', ...lines] = rest.toString('latin1', 0, end).split('\r\n')
    const status = Number(statusLine.split(' ')[1])
    rest = rest.subarray(end + 4)
    if (status < 200) {
      interim.push(statusLine)
      continue
    }
    const headers = lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const
    })
    const read = readBody(new Map(headers), rest)
    return read.whole || ended ? { status, headers, interim, ...read } : undefined
  }
}

function readBody(headers: ReadonlyMap<string, string>, rest: Buffer) {
  if (headers.get('transfer-encoding') === 'chunked') return unchunked(rest)
  const length = Number(headers.get('content-length') ?? 0)
  return { body: rest.subarray(0, length), whole: rest.length >= length }
}

function unchunked(bytes: Buffer): { body: Buffer; whole: boolean } {
  const pieces: Buffer[] = []
  let at = 0
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) return { body: Buffer.concat(pieces), whole: false }
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16)
    const from = lineEnd + 2
    if (size === 0) return { body: Buffer.concat(pieces), whole: bytes.length >= from + 2 }
    pieces.push(bytes.subarray(from, Math.min(from + size, bytes.length)))
    if (bytes.length < from + size + 2) return { body: Buffer.concat(pieces), whole: false }
    at = from + size + 2
  }
}
