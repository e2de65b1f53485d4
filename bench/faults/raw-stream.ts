import { connect } from 'node:net'
import type { Transfer } from './judge.ts'
import type { Question } from './questions.ts'

/** What came of one request, with nothing between the socket and the record. */
export interface RawStream {
  readonly status: number
  readonly transfer: Transfer
  readonly body: string
  readonly longestGapMs: number
}

export interface OpenStream {
  /** Reads of its body so far. */
  readonly reads: number
  readonly ended: Promise<RawStream>
  readonly over: boolean
  /** Whatever it has by now is what there is of it. */
  giveUp(): void
}

/** One request on a connection of its own. */
export function openStream(port: number, { id, path, body }: Question): OpenStream {
  const { promise, resolve } = Promise.withResolvers<RawStream>()
  const pieces: Buffer[] = []
  let reads = 0
  let lastMs = 0
  let longestGapMs = 0
  let over = false
  const finish = (transfer: 'cut' | 'hung' | undefined) => {
    if (over) return
    const answer = readAnswer(Buffer.concat(pieces))
    if (transfer === undefined && !answer.whole) return
    over = true
    socket.destroy()
    if (reads > 0 && transfer === 'hung') noteGap()
    resolve({
      status: answer.status,
      transfer: answer.whole ? 'whole' : transfer!,
      body: answer.body,
      longestGapMs,
    })
  }
  const noteGap = () => {
    const nowMs = performance.now()
    if (reads > 0) longestGapMs = Math.max(longestGapMs, nowMs - lastMs)
    lastMs = nowMs
  }
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  socket.on('data', (bytes: Buffer) => {
    noteGap()
    reads++
    pieces.push(bytes)
    // Only what may be its last read is looked at: reading all of it each time would cost the square of its length.
    if (mayBeLast(bytes, reads)) finish(undefined)
  })
  socket.on('error', () => finish('cut'))
  socket.on('close', () => finish('cut'))
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\n` +
      `X-Request-Id: ${id}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  return {
    get reads() {
      return reads
    },
    get over() {
      return over
    },
    ended: promise,
    giveUp: () => finish('hung'),
  }
}

const lastChunk = Buffer.from('0\r\n\r\n')

/** The last chunk of a stream, or a short answer with a length. */
function mayBeLast(bytes: Buffer, reads: number): boolean {
  return reads <= 3 || bytes.subarray(-lastChunk.length).equals(lastChunk)
}

/** As much of an answer as there is; `whole`: its framing says that there is no more. */
export function readAnswer(bytes: Buffer): { status: number; body: string; whole: boolean } {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) return { status: 0, body: '', whole: false }
  const head = bytes.toString('latin1', 0, headEnd)
  const status = Number(head.slice(9, 12))
  const rest = bytes.subarray(headEnd + 4)
  if (/^transfer-encoding: *chunked/im.test(head)) return { status, ...unchunked(rest) }
  const length = /^content-length: *(\d+)/im.exec(head)?.[1]
  // Neither: its end is the connection's, and nobody can tell that from a cut.
  if (length === undefined) return { status, body: rest.toString('utf8'), whole: false }
  return { status, body: rest.toString('utf8'), whole: rest.length >= Number(length) }
}

function unchunked(bytes: Buffer): { body: string; whole: boolean } {
  const pieces: Buffer[] = []
  const said = (whole: boolean) => ({ body: Buffer.concat(pieces).toString('utf8'), whole })
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) return said(false)
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16)
    const from = lineEnd + 2
    if (size === 0) return said(bytes.length >= from + 2)
    pieces.push(bytes.subarray(from, from + size))
    at = from + size + 2
    if (at > bytes.length) return said(false)
  }
}
