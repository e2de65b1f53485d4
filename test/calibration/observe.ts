/** Sends one request over a plain socket client and reduces the answer to what two servers can be compared by. */
import type { IncomingHttpHeaders } from 'node:http'
import { request as open } from 'node:http'

type Shape = string | Shape[] | { [key: string]: Shape }

interface Frame {
  event?: string
  data: Shape
}

type BodyShape =
  | { kind: 'empty' }
  | { kind: 'text'; text: string }
  | { kind: 'json'; json: Shape; newline: boolean }
  | { kind: 'lines' | 'events'; frames: Frame[] }

export interface Observation {
  status: number
  /** All response headers but the date and the two that `framing` stands for. */
  headers: Record<string, string>
  /**
   * `sized` is what Go's server does by itself with an answer that is written in one go: a length up to 2048 bytes, chunks
   * above. The others are told apart because they differ from that.
   */
  framing: 'sized' | 'chunked' | 'length' | 'none'
  body: BodyShape
  /** How the body ended when not properly. */
  broken?: string
}

export interface Ask {
  method: string
  path: string
  /** An object is sent as JSON, a string or buffer as it is. */
  body?: unknown
  headers?: Record<string, string>
  /** Called after each piece of the body; `abort` drops the connection. */
  onPiece?: (text: string, abort: () => void) => void
  /** Drops the connection after so many milliseconds. */
  abortAfterMs?: number
  timeoutMs?: number
}

export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  text: string
  broken?: string
}

export class Dropped extends Error {}

export function send(port: number, ask: Ask): Promise<Answer> {
  const raw =
    ask.body === undefined
      ? undefined
      : typeof ask.body === 'string' || Buffer.isBuffer(ask.body)
        ? Buffer.from(ask.body)
        : Buffer.from(JSON.stringify(ask.body))
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = { ...ask.headers }
    if (raw !== undefined) headers['content-length'] = String(raw.length)
    const request = open({
      host: '127.0.0.1',
      port,
      method: ask.method,
      path: ask.path,
      headers,
      agent: false,
      timeout: ask.timeoutMs ?? 60_000,
    })
    const drop = (): void => {
      request.destroy(new Dropped('dropped by us'))
    }
    const timer =
      ask.abortAfterMs === undefined ? undefined : setTimeout(drop, ask.abortAfterMs).unref()
    request.on('timeout', () => request.destroy(new Error('no answer in time')))
    request.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    request.on('response', (response) => {
      let text = ''
      const finish = (broken?: string): void => {
        clearTimeout(timer)
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text,
          ...(broken === undefined ? {} : { broken }),
        })
      }
      response.setEncoding('utf8')
      response.on('data', (piece: string) => {
        text += piece
        ask.onPiece?.(text, drop)
      })
      response.on('end', () => finish())
      response.on('error', (error) =>
        finish(error instanceof Dropped ? 'dropped by us' : 'connection lost'),
      )
    })
    request.end(raw)
  })
}

/** Strings under these keys are part of the contract and are compared by value; others only by type. */
const BY_VALUE = new Set([
  'code',
  'done_reason',
  'error',
  'family',
  'finish_reason',
  'format',
  'message',
  'model',
  'name',
  'object',
  'owned_by',
  'param',
  'parent_model',
  'role',
  'source',
  'status',
  'stop_reason',
  'system_fingerprint',
  'type',
])

const TIME = /^(\d{4})-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/

function scrub(text: string): string {
  return text
    .replace(/\b[0-9a-f]{64}\b/g, '<sha256>')
    .replace(/\b(pulling|pushing) [0-9a-f]{12}\b/g, '$1 <digest>')
    .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:<port>')
    .replace(/"?(\/[\w.@+-]+){2,}\/(blobs|manifests|models)[^\s"]*"?/g, '<path>')
    .replace(/\breq_[0-9a-f]+/g, 'req_<hex>')
    .replace(/\b\d+ tokens\b/g, '<n> tokens')
    .replace(/("n_(?:prompt_tokens|ctx)":)\d+/g, '$1<n>')
}

/** In a list, what tells the items apart does not count. */
const NOT_IN_LISTS = new Set(['family', 'model', 'name'])

function shapeOf(value: unknown, key = '', inList = false): Shape {
  if (value === null) return 'null'
  if (Array.isArray(value)) {
    if (key === 'capabilities') return value.map(String).sort()
    const kinds: Shape[] = []
    for (const item of value) {
      const shape = typeof item === 'number' ? 'number' : shapeOf(item, '', true)
      if (!kinds.some((kind) => JSON.stringify(kind) === JSON.stringify(shape))) kinds.push(shape)
    }
    // A list of models has its kinds in no order that matters; elsewhere the order is part of the answer.
    return key === 'models' || key === 'data' ? kinds.sort(byText) : kinds
  }
  switch (typeof value) {
    case 'object': {
      if (key === 'model_info' || key === 'projector_info') return 'object'
      const shape: { [key: string]: Shape } = {}
      for (const [name, item] of Object.entries(value as object)) {
        shape[name] = shapeOf(
          item,
          name,
          inList && !Array.isArray(item) && typeof item !== 'object',
        )
      }
      return shape
    }
    case 'string': {
      const time = TIME.exec(value)
      if (time)
        return Number(time[1]) > 2200 ? 'time: far' : Number(time[1]) < 1970 ? 'time: zero' : 'time'
      if (value === '') return 'string: empty'
      if (BY_VALUE.has(key) && !(inList && NOT_IN_LISTS.has(key))) return `= ${scrub(value)}`
      if (key === 'id' && !(inList && /^[a-z]+:latest$/.test(value)))
        return `id: ${value
          .replace(/^call_\w+/, 'call_<x>')
          .replace(/[0-9a-f]{12,}/g, '<hex>')
          .replace(/\d+/g, '<n>')}`
      return 'string'
    }
    case 'number':
      return value === 0 && !inList ? 'number: 0' : 'number'
    case 'boolean':
      return key === 'done' ? `= ${value}` : 'boolean'
    default:
      return typeof value
  }
}

const byText = (one: Shape, other: Shape): number =>
  JSON.stringify(one) < JSON.stringify(other) ? -1 : 1

function push(frames: Frame[], frame: Frame): void {
  const last = frames.at(-1)
  if (last === undefined || JSON.stringify(last) !== JSON.stringify(frame)) frames.push(frame)
}

function parsed(text: string): Shape {
  try {
    return shapeOf(JSON.parse(text))
  } catch {
    return `text: ${scrub(text)}`
  }
}

/** Go's server knows the length of an answer when it ends before this many bytes. */
const GO_BUFFER = 2048

function bodyOf(answer: Answer): BodyShape {
  const type = answer.headers['content-type'] ?? ''
  const { text } = answer
  if (text === '') return { kind: 'empty' }
  if (type.startsWith('text/event-stream')) {
    const frames: Frame[] = []
    for (const block of text.split('\n\n')) {
      if (block.trim() === '') continue
      const lines = block.split('\n')
      const event = lines.find((line) => line.startsWith('event: '))?.slice(7)
      const data = lines.find((line) => line.startsWith('data: '))?.slice(6) ?? block
      push(frames, { ...(event === undefined ? {} : { event }), data: parsed(data) })
    }
    return { kind: 'events', frames }
  }
  if (type.startsWith('application/x-ndjson')) {
    const frames: Frame[] = []
    for (const line of text.split('\n').slice(0, text.endsWith('\n') ? -1 : undefined)) {
      push(frames, { data: parsed(line) })
    }
    return { kind: 'lines', frames }
  }
  if (type.startsWith('application/json')) {
    try {
      return { kind: 'json', json: shapeOf(JSON.parse(text)), newline: text.endsWith('\n') }
    } catch {
      return { kind: 'text', text: scrub(text) }
    }
  }
  return { kind: 'text', text: scrub(text) }
}

export function observe(answer: Answer): Observation {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(answer.headers)) {
    if (['date', 'content-length', 'transfer-encoding', 'connection'].includes(name)) continue
    headers[name] = scrub(String(value))
  }
  const body = bodyOf(answer)
  const chunked = answer.headers['transfer-encoding'] === 'chunked'
  const counted = answer.headers['content-length'] !== undefined
  const bytes = Buffer.byteLength(answer.text)
  const stream = body.kind === 'lines' || body.kind === 'events'
  const sized = !stream && (bytes === 0 ? !chunked : bytes <= GO_BUFFER ? counted : chunked)
  const framing = sized ? 'sized' : chunked ? 'chunked' : counted ? 'length' : 'none'
  return {
    status: answer.status,
    headers,
    framing,
    body,
    ...(answer.broken === undefined ? {} : { broken: answer.broken }),
  }
}
