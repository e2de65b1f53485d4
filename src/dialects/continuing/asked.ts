import type { Asked, Emitted } from './continuing.ts'
import { asFields, type Fields, fieldsAt, listAt, numberAt, objectOf, textAt } from './reading.ts'

/** A request body that is rewritten. */
export type Body = Record<string, unknown>

/**
 * The client's body. Go finds a field in any letter case and the last one wins; all that Ollama knows on the outermost
 * level are lower case. Undefined: no JSON object, or something behind it, which Go would not have looked at.
 */
export function bodyOf(bytes: Buffer): Body | undefined {
  const given = objectOf(bytes.toString('utf8'))
  if (given === undefined) return undefined
  return Object.fromEntries(Object.entries(given).map(([key, value]) => [key.toLowerCase(), value]))
}

export const bytesOf = (body: Body) => Buffer.from(JSON.stringify(body))

/** A list of stop strings, or one; empty ones stop nothing. */
export function stopsOf(value: unknown): string[] {
  const all = typeof value === 'string' ? [value] : Array.isArray(value) ? value : []
  return all.filter((one): one is string => typeof one === 'string' && one !== '')
}

/** What is left of a limit. Zero and less mean something else than "nothing left" in Ollama, and are kept. */
export function leftOf(limit: number | undefined, pieces: number): number | undefined {
  if (limit === undefined || limit <= 0) return undefined
  return Math.max(0, limit - pieces)
}

/**
 * Lowers a limit on the answer's length. Where nothing is left of it, or the text has ended, one token is asked for:
 * the limit must be above zero, and what comes is dropped.
 */
export function withLimit(body: Body, key: string, emitted: Emitted, asked: Asked): Body {
  if (asked.complete !== undefined) return { ...body, [key]: 1 }
  const left = leftOf(numberAt(body, key), emitted.pieces)
  return left === undefined ? body : { ...body, [key]: left }
}

/** Whether the text is over: by what the frames say, or because the limit is used up. */
export function completeOf(
  limit: number | undefined,
  emitted: Emitted,
  said: boolean,
): Asked['complete'] {
  // A text that came to its limit and was closed ended for its length.
  if (leftOf(limit, emitted.pieces) === 0) return 'length'
  return said ? 'said' : undefined
}

/** OpenAI's `stream_options.include_usage`. */
export const usageWanted = (body: Fields) =>
  fieldsAt(body, 'stream_options')?.['include_usage'] === true

/** Ollama's `format`, when it says anything. */
export const hasFormat = (value: unknown) => value !== undefined && value !== null && value !== ''

/** A format of OpenAI's that is more than plain text. */
export function hasTextFormat(value: unknown): boolean {
  const type = textAt(asFields(value), 'type')
  return type !== '' && type !== 'text'
}

export const hasTools = (body: Fields) => listAt(body, 'tools').length > 0

export const reasons = {
  body: 'the request can not be read',
  grammar: 'a grammar can not begin in the middle of its text',
  toolCall: 'a tool call has begun',
  unreadable: 'the answer so far can not be read',
  nothing: 'nothing of the answer is there yet; the request can be sent again as it is',
  calls: 'the conversation ends in a call of a tool',
  rendered: 'the prompt was not rendered',
  thinking: 'a raw prompt has no place for thoughts',
  tools: 'a raw prompt has no place for tools',
  images: 'a raw prompt has no place for images',
} as const

export type Cannot = { readonly cannot: string }
export const cannot = (reason: string): Cannot => ({ cannot: reason })
