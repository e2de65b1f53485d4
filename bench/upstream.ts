/**
 * A stand-in for an Ollama server that costs as little as Node allows: bytes in, ready-made bytes out. It knows one
 * model, `bench`. The request's options say how to stream: `num_predict` lines, one per `bench_gap_ms`; with
 * `bench_hold` the answer then stays open without an end. Every line carries its moment of sending.
 */
import { createServer, type Socket } from 'node:net'
import { monotonicUs, stampDigits } from './lib/monotonic.ts'

interface Stream {
  readonly socket: Socket
  readonly gapMs: number
  readonly hold: boolean
  left: number
}

/** Nothing that a bench sends comes near; a caller that goes on is a fault, not a load. */
const requestBytesMax = 1_000_000

const digest = 'b'.repeat(64)
const details = {
  format: 'gguf',
  family: 'bench',
  parameter_size: '1B',
  quantization_level: 'Q4_0',
}
const about = { name: 'bench:latest', model: 'bench:latest', size: 1_000_000, digest, details }
const far = '2318-01-01T00:00:00Z'

const small = answer(200, smallBody())
const fixed: Readonly<Record<string, string>> = {
  'GET /api/version': answer(200, { version: '0.13.0' }),
  'GET /api/tags': answer(200, {
    models: [{ ...about, modified_at: '2026-01-01T00:00:00Z', capabilities: ['completion'] }],
  }),
  'GET /api/ps': answer(200, {
    models: [{ ...about, size_vram: 1_000_000, expires_at: far, context_length: 4096 }],
  }),
  'POST /api/show': answer(200, { details, model_info: {}, capabilities: ['completion'] }),
  'GET /': answer(200, 'Ollama is running'),
  'HEAD /': `${answer(200, 'Ollama is running').split('\r\n\r\n')[0]!}\r\n\r\n`,
}
const unknown = answer(404, { error: 'not found' })

const streamHead = head(200, 'application/x-ndjson', 'Transfer-Encoding: chunked')
const lineHead = '{"model":"bench","created_at":"2026-01-01T00:00:00.000Z","bench_us":"'
const lineTail = '","response":" word","done":false}\n'
const lastTail = `","response":"","done":true,"done_reason":"stop","total_duration":2000000000,"load_duration":1000000,"prompt_eval_count":26,"prompt_eval_duration":100000000,"eval_count":100,"eval_duration":1900000000}\n`
const sizeHex = (lineHead.length + stampDigits + lineTail.length).toString(16)
const lastSizeHex = (lineHead.length + stampDigits + lastTail.length).toString(16)

/**
 * Due streams by millisecond. One ticker for all of them and not a timer each: timers drift by what they are late,
 * and a rate that falls under load would flatter whoever causes the load.
 */
const wheelMs = 1024
const wheel: Stream[][] = Array.from({ length: wheelMs }, () => [])
let streaming = 0
let tickedMs = 0

const server = createServer({ noDelay: true }, serve)
server.listen({ host: '127.0.0.1', port: Number(process.argv[2] ?? 0), backlog: 4096 }, () => {
  const address = server.address()
  if (address && typeof address === 'object')
    process.stdout.write(`ready http://127.0.0.1:${address.port}\n`)
})

function serve(socket: Socket): void {
  let held: Buffer | undefined
  socket.on('data', (chunk: Buffer) => {
    let bytes = held ? Buffer.concat([held, chunk]) : chunk
    held = undefined
    while (bytes.length > 0) {
      const request = readRequest(bytes)
      if (!request) {
        if (bytes.length > requestBytesMax) socket.destroy()
        else held = bytes
        return
      }
      respond(socket, request.text)
      bytes = bytes.subarray(request.length)
    }
  })
  // A client that hangs up is a daily event here; its streams notice at their next line.
  socket.on('error', () => socket.destroy())
}

/** The first whole request in the bytes, or undefined while a part of it is missing. */
function readRequest(bytes: Buffer): { text: string; length: number } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd < 0) return undefined
  const bodyAt = headEnd + 4
  const headText = bytes.toString('latin1', 0, bodyAt)
  const declared = /\r\ncontent-length: *(\d+)/i.exec(headText)
  let length = bodyAt
  if (declared) length += Number(declared[1])
  else if (/\r\ntransfer-encoding: *chunked/i.test(headText)) {
    const last = bytes.indexOf('0\r\n\r\n', bodyAt)
    if (last < 0) return undefined
    length = last + 5
  }
  if (bytes.length < length) return undefined
  return { text: headText + bytes.toString('latin1', bodyAt, length), length }
}

function respond(socket: Socket, text: string): void {
  if (text.startsWith('POST /api/generate ')) {
    if (text.includes('"stream":false')) socket.write(small, 'latin1')
    else startStream(socket, text)
    return
  }
  const [method, path] = text.split(' ', 2)
  socket.write(fixed[`${method} ${path}`] ?? unknown, 'latin1')
  if (/\r\nconnection: *close/i.test(text)) socket.end()
}

function startStream(socket: Socket, text: string): void {
  const stream: Stream = {
    socket,
    left: option(text, 'num_predict', 1),
    gapMs: Math.min(Math.max(option(text, 'bench_gap_ms', 20), 1), wheelMs - 1),
    hold: text.includes('"bench_hold":true'),
  }
  // As Ollama does: the head goes out together with the first line.
  socket.write(streamHead + nextFrame(stream), 'latin1')
  if (stream.left === 0) return
  if (streaming++ === 0) {
    tickedMs = nowMs()
    setTimeout(tick, 1)
  }
  wheel[(nowMs() + stream.gapMs) % wheelMs]!.push(stream)
}

function tick(): void {
  for (const until = nowMs(); tickedMs < until; ) {
    tickedMs++
    const slot = tickedMs % wheelMs
    const due = wheel[slot]!
    if (due.length === 0) continue
    wheel[slot] = []
    for (const stream of due) {
      if (stream.socket.destroyed) stream.left = 0
      else stream.socket.write(nextFrame(stream), 'latin1')
      if (stream.left === 0) streaming--
      else wheel[(tickedMs + stream.gapMs) % wheelMs]!.push(stream)
    }
  }
  if (streaming > 0) setTimeout(tick, 1)
}

function nextFrame(stream: Stream): string {
  stream.left--
  const stamp = String(monotonicUs()).padStart(stampDigits, '0')
  return stream.left > 0 || stream.hold
    ? `${sizeHex}\r\n${lineHead}${stamp}${lineTail}\r\n`
    : `${lastSizeHex}\r\n${lineHead}${stamp}${lastTail}\r\n0\r\n\r\n`
}

function nowMs(): number {
  return Math.floor(monotonicUs() / 1000)
}

function option(text: string, name: string, otherwise: number): number {
  const found = new RegExp(`"${name}":(\\d+)`).exec(text)
  return found ? Number(found[1]) : otherwise
}

function smallBody(): Record<string, unknown> {
  const body = {
    model: 'bench',
    created_at: '2026-01-01T00:00:00.000Z',
    response: '',
    done: true,
    done_reason: 'stop',
    total_duration: 200_000_000,
    load_duration: 1_000_000,
    prompt_eval_count: 26,
    prompt_eval_duration: 100_000_000,
    eval_count: 10,
    eval_duration: 99_000_000,
  }
  return { ...body, response: 'x'.repeat(299 - JSON.stringify(body).length) }
}

function answer(status: number, body: string | Record<string, unknown>): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const type = typeof body === 'string' ? 'text/plain' : 'application/json; charset=utf-8'
  return head(status, type, `Content-Length: ${text.length}`) + text
}

function head(status: number, type: string, framing: string): string {
  const reason = status === 200 ? 'OK' : 'Not Found'
  return `HTTP/1.1 ${status} ${reason}\r\nContent-Type: ${type}\r\nDate: ${new Date().toUTCString()}\r\n${framing}\r\n\r\n`
}
