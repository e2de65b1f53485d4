/** Breaks answers of the simulator and has them gone on with, as the proxy will. */
import type { Simulator } from '../../../backends/simulator/server.ts'
import { startSimulator } from '../../../backends/simulator/server.ts'
import type { Family, Op } from '../../../src/core/ask.ts'
import {
  type Continuing,
  type Emitted,
  type LegEnd,
  type LegSums,
  type Method,
  type NextRequest,
  nothingBefore,
  type Seam,
  SeamDiverged,
} from '../../../src/dialects/continuing/continuing.ts'
import { continuingOf } from '../../../src/dialects/continuing/continuing-of.ts'

export type Json = Record<string, unknown>

export interface Kind {
  readonly name: string
  readonly family: Family
  readonly op: Op
  readonly path: string
  readonly sse: boolean
  /** A request of this kind that asks for a stream. */
  body(question: string, more?: Json): Json
}

const talk = (question: string) => [
  { role: 'system', content: 'Be brief.' },
  { role: 'user', content: question },
]

export const kinds: Readonly<
  Record<'chat' | 'generate' | 'openai' | 'completions' | 'messages' | 'responses', Kind>
> = {
  chat: {
    name: '/api/chat',
    family: 'ollama',
    op: 'chat',
    path: '/api/chat',
    sse: false,
    body: (question, more) => ({ model: 'llama3.2', messages: talk(question), ...more }),
  },
  generate: {
    name: '/api/generate',
    family: 'ollama',
    op: 'generate',
    path: '/api/generate',
    sse: false,
    body: (question, more) => ({
      model: 'llama3.2',
      system: 'Be brief.',
      prompt: question,
      ...more,
    }),
  },
  openai: {
    name: '/v1/chat/completions',
    family: 'openai',
    op: 'chat',
    path: '/v1/chat/completions',
    sse: true,
    body: (question, more) => ({
      model: 'llama3.2',
      messages: talk(question),
      stream: true,
      ...more,
    }),
  },
  completions: {
    name: '/v1/completions',
    family: 'openai',
    op: 'generate',
    path: '/v1/completions',
    sse: true,
    body: (question, more) => ({ model: 'llama3.2', prompt: question, stream: true, ...more }),
  },
  messages: {
    name: '/v1/messages',
    family: 'anthropic',
    op: 'chat',
    path: '/v1/messages',
    sse: true,
    body: (question, more) => ({
      model: 'llama3.2',
      max_tokens: 1000,
      system: 'Be brief.',
      messages: [{ role: 'user', content: question }],
      stream: true,
      ...more,
    }),
  },
  responses: {
    name: '/v1/responses',
    family: 'openai',
    op: 'responses',
    path: '/v1/responses',
    sse: true,
    body: (question, more) => ({
      model: 'llama3.2',
      instructions: 'Be brief.',
      input: question,
      stream: true,
      ...more,
    }),
  },
}

export const allKinds: readonly Kind[] = Object.values(kinds)

export function continuing(kind: Kind): Continuing {
  const found = continuingOf(kind.family, kind.op)
  if (found === undefined) throw new Error(`nothing goes on with ${kind.name}`)
  return found
}

export const fastSimulator = (more: Parameters<typeof startSimulator>[0] = {}) =>
  startSimulator({
    models: [
      'llama3.2',
      { name: 'qwen3', kind: 'thinks', capabilities: ['completion', 'thinking', 'tools'] },
      { name: 'loops', kind: 'stops-without-done' },
    ],
    decodeTokensPerSecond: 1e7,
    prefillTokensPerSecond: 1e9,
    loadOverheadMs: 0,
    loadBytesPerSecond: 1e15,
    slots: 8,
    traceMax: 10,
    answerTokens: 24,
    ...more,
  })

export async function post(url: string, path: string, body: Buffer | Json): Promise<Buffer> {
  const response = await fetch(url + path, {
    method: 'POST',
    body: Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body),
  })
  const bytes = Buffer.from(await response.arrayBuffer())
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${bytes.toString()}`)
  return bytes
}

/** The frames of a whole stream, one by one. */
export function framesIn(stream: Buffer, sse: boolean): Buffer[] {
  const end = sse ? '\n\n' : '\n'
  const texts = stream.toString('utf8').split(end).slice(0, -1)
  return texts.map((text) => Buffer.from(text + end))
}

/** What a frame says, as JSON; `[DONE]` is a text. */
export function saysIn(frame: Buffer): Json | string {
  const text = frame.toString('utf8')
  const data = /^data: (.*)$/m.exec(text)?.[1] ?? text
  return data.trim() === '[DONE]' ? '[DONE]' : (JSON.parse(data) as Json)
}

export const nameIn = (frame: Buffer) => /^event: (.*)$/m.exec(frame.toString('utf8'))?.[1] ?? ''

/** Lets everything pass: the model is known to go on to the letter. */
export const passing = (): Seam => ({
  text: (piece) => piece,
  thinking: (piece) => piece,
  end: () => ({ text: '', thinking: '' }),
})

/** Leaves out what the client has already; for a leg that begins anew. */
export function dropping(emitted: Emitted): Seam {
  const half = (known: string) => {
    let seen = ''
    return {
      take(piece: string): string {
        const from = seen.length
        seen += piece
        const common = Math.min(known.length, seen.length)
        if (seen.slice(0, common) !== known.slice(0, common)) throw new SeamDiverged(seen)
        return piece.slice(Math.max(0, Math.min(piece.length, known.length - from)))
      },
      end() {
        if (seen.length < known.length) throw new SeamDiverged(seen)
      },
    }
  }
  const text = half(emitted.text)
  const thinking = half(emitted.thinking)
  return {
    text: (piece) => text.take(piece),
    thinking: (piece) => thinking.take(piece),
    end() {
      text.end()
      thinking.end()
      return { text: '', thinking: '' }
    },
  }
}

export const seamFor = (method: Method, emitted: Emitted) =>
  method === 'restart' ? dropping(emitted) : passing()

export interface GoneOn {
  readonly emitted: Emitted
  readonly request: NextRequest
  /** What the leg's backend said, frame by frame. */
  readonly heard: readonly Buffer[]
  /** What the client gets of it. */
  readonly frames: readonly Buffer[]
  readonly end: LegEnd
  readonly over: boolean
}

export interface Way {
  readonly method: Method
  readonly rendered?: string
  readonly before?: LegSums
  readonly seam?: Seam
  /** Changes what the backend answers. */
  readonly answer?: (heard: Buffer[], request: NextRequest) => readonly Buffer[]
}

export function requestFor(kind: Kind, body: Json, had: readonly Buffer[], way: Way) {
  const emitted = continuing(kind).read(had)
  const original = { path: kind.path, body: Buffer.from(JSON.stringify(body)) }
  return {
    emitted,
    request: continuing(kind).request(original, emitted, way.method, way.rendered),
  }
}

/** Feeds a leg its frames and gathers what comes out. */
export function feedAll(
  kind: Kind,
  emitted: Emitted,
  request: NextRequest,
  heard: readonly Buffer[],
  way: Way,
): GoneOn {
  const leg = continuing(kind).leg(
    emitted,
    request,
    way.seam ?? seamFor(way.method, emitted),
    way.before ?? nothingBefore,
  )
  const out = heard.map((frame) => leg.feed(frame)).filter((bytes) => bytes !== undefined)
  const frames = out.flatMap((bytes) => framesIn(bytes, kind.sse))
  return { emitted, request, heard, frames, over: leg.over, end: leg.end() }
}

/** The client has `had`; another server goes on. */
export async function goOn(
  simulator: Simulator,
  kind: Kind,
  body: Json,
  had: readonly Buffer[],
  way: Way,
): Promise<GoneOn> {
  const { emitted, request } = requestFor(kind, body, had, way)
  if ('cannot' in request) throw new Error(request.cannot)
  const stream = await post(simulator.url, request.path, request.body)
  const asked = framesIn(stream, request.path.startsWith('/v1/'))
  return feedAll(kind, emitted, request, way.answer?.(asked, request) ?? asked, way)
}
