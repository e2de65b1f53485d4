import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

/** A request as a backend got it: read strictly, with every byte kept. */
export interface Received {
  readonly method: string
  readonly target: string
  /** Name and value, as they came. */
  readonly fields: readonly (readonly [name: string, value: string])[]
  readonly body: Buffer
  readonly raw: Buffer
  /** The how-manieth connection it came by, and the how-manieth request on it; from 0. */
  readonly connection: number
  readonly place: number
}

/** A server on bare sockets that is taken for an Ollama with one loaded model. */
export interface RecordingBackend extends AsyncDisposable {
  readonly url: string
  /** All requests that were not looks of the prober, oldest first. */
  readonly received: Received[]
  /** What no server should ever be sent, in words; such a connection is closed. */
  readonly faults: string[]
}

export const recordedModel = 'llama3.2:latest'
const model = { name: recordedModel, model: recordedModel, digest: 'a'.repeat(64), size: 1 }
const looks: Readonly<Record<string, object>> = {
  'GET /api/version': { version: '0.33.0' },
  'GET /api/tags': { models: [{ ...model, capabilities: ['completion', 'embedding'] }] },
  'GET /api/ps': { models: [{ ...model, context_length: 4_096 }] },
}

/** Gives the bytes that a request is answered with, all at once; `later` writes more of them. */
export type AnswerBytes = (request: Received, later: (bytes: string) => void) => string

export async function startRecordingBackend(answer: AnswerBytes): Promise<RecordingBackend> {
  const received: Received[] = []
  const faults: string[] = []
  const sockets = new Set<Socket>()
  let connections = 0

  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    const connection = connections++
    let place = 0
    let held: Buffer = Buffer.alloc(0)
    /** Joined only when enough has come: a large body comes in hundreds of pieces. */
    let pieces: Buffer[] = []
    let come = 0
    let wanted = 0
    const read = () => {
      for (;;) {
        const request = readStrictly(held, connection, place)
        if (request === undefined) return
        if (typeof request === 'number') {
          wanted = request
          return
        }
        if (typeof request === 'string') {
          faults.push(`${request}: ${JSON.stringify(held.toString('latin1', 0, 2_000))}`)
          socket.destroy()
          return
        }
        held = held.subarray(request.raw.length)
        // A proxy that sends on before it has been answered relies on both reading alike.
        if (held.length > 0) faults.push(`sent ahead: ${held.toString('latin1', 0, 200)}`)
        place++
        const look = looks[`${request.method} ${request.target}`]
        if (look) {
          socket.write(whole(look))
          continue
        }
        received.push(request)
        const later = (bytes: string) => void (socket.writable && socket.write(bytes, 'latin1'))
        socket.write(answer(request, later), 'latin1')
      }
    }
    socket.on('data', (bytes: Buffer) => {
      pieces.push(bytes)
      come += bytes.length
      if (come < wanted) return
      held = pieces.length === 1 ? bytes : Buffer.concat(pieces)
      wanted = 0
      read()
      come = held.length
      pieces = held.length === 0 ? [] : [held]
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      sockets.delete(socket)
      // A request that never became whole is no request; that it was begun is for the test to see.
      if (come > 0) faults.push(`cut: ${Buffer.concat(pieces).toString('latin1', 0, 300)}`)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    received,
    faults,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

/** A JSON answer of known length. */
export function whole(value: object, status = '200 OK'): string {
  const text = JSON.stringify(value)
  const head = ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(text)}`]
  return `HTTP/1.1 ${status}\r\n${head.join('\r\n')}\r\n\r\n${text}`
}

export function fieldsNamed({ fields }: Pick<Received, 'fields'>, wanted: string): string[] {
  return fields.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value)
}

/** Undefined: not all there. A number: not before so many bytes. A text: what is wrong with it; one thing that is said twice is enough. */
function readStrictly(
  bytes: Buffer,
  connection: number,
  place: number,
): Received | string | number | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return bytes.length > 65_536 ? 'a head without end' : undefined
  const head = bytes.toString('latin1', 0, end)
  const [first = '', ...lines] = head.split('\r\n')
  const line = /^([A-Z]+) (\/[\x21-\x7e]*) HTTP\/1\.1$/.exec(first)
  if (!line) return 'a bad request line'
  const fields: [string, string][] = []
  for (const each of lines) {
    const field = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([\x20-\x7e\t\x80-\xff]*)$/.exec(each)
    if (!field) return 'a bad field'
    fields.push([field[1]!, field[2]!])
  }
  const named = (wanted: string) => fieldsNamed({ fields }, wanted)
  const [lengths, encodings] = [named('content-length'), named('transfer-encoding')]
  if (named('host').length !== 1) return 'not one Host'
  if (lengths.length + encodings.length > 1) return 'more than one framing field'
  if (lengths.some((length) => !/^(0|[1-9]\d*)$/.test(length))) return 'a bad length'
  if (encodings.some((encoding) => encoding !== 'chunked')) return 'a bad encoding'
  const request = { method: line[1]!, target: line[2]!, fields, connection, place }
  const from = end + 4
  if (encodings.length === 1) {
    const read = readChunks(bytes, from)
    if (read === undefined || typeof read === 'string') return read
    return { ...request, body: read.body, raw: bytes.subarray(0, read.end) }
  }
  const upTo = from + Number(lengths[0] ?? 0)
  if (bytes.length < upTo) return upTo
  return { ...request, body: bytes.subarray(from, upTo), raw: bytes.subarray(0, upTo) }
}

function readChunks(
  bytes: Buffer,
  begin: number,
): { body: Buffer; end: number } | string | undefined {
  const pieces: Buffer[] = []
  for (let at = begin; ; ) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd < 0) return undefined
    const digits = bytes.toString('latin1', at, lineEnd)
    if (!/^[0-9a-f]{1,8}$/i.test(digits)) return 'a bad chunk size'
    const size = Number.parseInt(digits, 16)
    const upTo = lineEnd + 2 + size
    if (bytes.length < upTo + 2) return undefined
    if (bytes[upTo] !== 0x0d || bytes[upTo + 1] !== 0x0a) return 'a bad chunk end'
    if (size === 0) return { body: Buffer.concat(pieces), end: upTo + 2 }
    pieces.push(bytes.subarray(lineEnd + 2, upTo))
    at = upTo + 2
  }
}
