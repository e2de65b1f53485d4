import type { Clock } from '../../src/core/clock.ts'
import { contextOf } from './context.ts'
import { toGoJson } from './go-json.ts'
import type { Done, FrameWriter, Logprob, Piece } from './inference.ts'
import type { Reply } from './reply.ts'

/** Ollama's own frames: one JSON object per line, or one object in all. */
export interface NativeShape {
  readonly route: 'generate' | 'chat'
  /** The name as the client wrote it; it is said back in every line. */
  readonly model: string
  readonly stream: boolean
  /** Without `context`, as for raw prompts. */
  readonly raw: boolean
  readonly remoteHost: string | undefined
  /** Calls stand in the last line and have none of their own. */
  readonly callsLast: boolean
}

let lastParts = ''
let counter = 0

/** RFC 3339 with nanoseconds, in UTC, as Go prints it: without zeros at the end. */
function goTime(clock: Clock): string {
  const parts = new Date(clock.wall()).toISOString().slice(0, -1)
  // The date knows whole milliseconds only; times within one still go up.
  counter = parts === lastParts ? counter + 1 : 1
  lastParts = parts
  const beyond = String(counter).padStart(6, '0')
  return `${`${parts}${beyond}`.replace(/0+$/, '').replace(/\.$/, '')}Z`
}

/** The same with the server's local offset, as file times are shown. */
export function goLocalTime(wallMs: number): string {
  const moment = new Date(Number.isFinite(wallMs) ? wallMs : farFuture())
  const offset = -moment.getTimezoneOffset()
  const local = new Date(moment.getTime() + offset * 60_000).toISOString().slice(0, -1)
  if (offset === 0) return `${local}Z`
  const two = (value: number) => String(Math.floor(Math.abs(value))).padStart(2, '0')
  return `${local}${offset < 0 ? '-' : '+'}${two(offset / 60)}:${two(offset % 60)}`
}

/** "For ever" is the longest duration that Go knows, 292 years, from now. */
function farFuture(): number {
  return Date.now() + 9_223_372_036_854
}

const ns = (ms: number) => Math.max(1, Math.round(ms * 1e6))

/** Zero is left out, as Go does it with `omitempty`. */
function figures(done: Done): Record<string, number> {
  return {
    total_duration: ns(done.totalMs),
    load_duration: ns(done.loadMs),
    ...(done.promptTokens > 0 ? { prompt_eval_count: done.promptTokens } : {}),
    ...(done.promptMs > 0 ? { prompt_eval_duration: ns(done.promptMs) } : {}),
    ...(done.outputTokens > 0 ? { eval_count: done.outputTokens } : {}),
    ...(done.outputMs > 0 && done.outputTokens > 0 ? { eval_duration: ns(done.outputMs) } : {}),
  }
}

export function nativeWriter(reply: Reply, shape: NativeShape, clock: Clock): FrameWriter {
  const head = () => ({
    model: shape.model,
    ...(shape.remoteHost === undefined
      ? {}
      : { remote_model: shape.model.replace(/[:-]cloud$/i, ''), remote_host: shape.remoteHost }),
    created_at: goTime(clock),
  })
  const line = (
    parts: { text: string; thinking: string; calls: readonly Record<string, unknown>[] },
    tail: Record<string, unknown>,
    logprobs: readonly Logprob[],
  ) => {
    const probabilities = logprobs.length > 0 ? { logprobs } : {}
    const thinking = parts.thinking === '' ? {} : { thinking: parts.thinking }
    const calls = parts.calls.length > 0 ? { tool_calls: parts.calls } : {}
    if (shape.route === 'generate')
      return { ...head(), response: parts.text, ...thinking, ...tail, ...calls, ...probabilities }
    return {
      ...head(),
      message: { role: 'assistant', content: parts.text, ...thinking, ...calls },
      ...tail,
      ...probabilities,
    }
  }

  const whole = { text: '', thinking: '', calls: [] as Record<string, unknown>[] }
  const wholeLogprobs: Logprob[] = []
  if (shape.stream) reply.streams('application/x-ndjson')

  const tailOf = (done: Done) => ({
    done: true,
    done_reason: done.reason,
    ...(shape.route === 'generate' && !shape.raw ? { context: contextOf(done.transcript) } : {}),
    ...figures(done),
  })

  return {
    async piece(piece: Piece) {
      const text = piece.kind === 'text' ? piece.text : ''
      const thinking = piece.kind === 'thinking' ? piece.text : ''
      const calls =
        piece.kind === 'call'
          ? [
              {
                id: `call_${piece.call.name.slice(0, 8)}`,
                function: { index: 0, name: piece.call.name, arguments: piece.call.arguments },
              },
            ]
          : []
      const logprobs = piece.kind !== 'call' && piece.logprob ? [piece.logprob] : []
      if (shape.stream && !(shape.callsLast && piece.kind === 'call')) {
        await reply.frame(
          `${toGoJson(line({ text, thinking, calls }, { done: false }, logprobs))}\n`,
        )
        return
      }
      whole.text += text
      whole.thinking += thinking
      whole.calls.push(...calls)
      wholeLogprobs.push(...logprobs)
    },
    async done(done: Done) {
      if (!shape.stream) return reply.json(200, line(whole, tailOf(done), wholeLogprobs))
      // Of a stream nothing is kept but calls that wait for this line.
      await reply.frame(`${toGoJson(line(whole, tailOf(done), []))}\n`)
      reply.end()
    },
    async silence() {
      if (shape.stream) reply.end()
      else reply.json(200, line(whole, { done: false }, wholeLogprobs))
    },
    async broke(text: string) {
      await reply.frame(`${toGoJson({ error: text })}\n`)
      reply.end()
    },
  }
}

/** A prompt instead of an answer to it. */
export function renderedAnswer(
  shape: NativeShape,
  prompt: string,
  clock: Clock,
): Record<string, unknown> {
  const nothing =
    shape.route === 'generate' ? { response: '' } : { message: { role: '', content: '' } }
  return {
    model: shape.model,
    created_at: goTime(clock),
    ...nothing,
    done: false,
    _debug_info: { rendered_template: prompt },
  }
}

/** Loading and unloading are answered with one object, also where a stream was asked for. */
export function loadAnswer(
  route: 'generate' | 'chat',
  model: string,
  reason: 'load' | 'unload',
  clock: Clock,
): Record<string, unknown> {
  const said =
    route === 'generate' ? { response: '' } : { message: { role: 'assistant', content: '' } }
  return { model, created_at: goTime(clock), ...said, done: true, done_reason: reason }
}
