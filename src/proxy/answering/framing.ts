import type { Ask, Framing, Op } from '../../core/ask.ts'
import { headerOf } from '../headers.ts'

/** How an answer's body is cut into frames, by what its head says of it; what it does not know is one frame. */
export function framingOf(rawHeaders: readonly string[]): Framing {
  const type = headerOf(rawHeaders, 'content-type') ?? ''
  if (type.startsWith('application/x-ndjson')) return 'ndjson'
  return type.startsWith('text/event-stream') ? 'sse' : 'json'
}

/** What is asked of these is answered by one JSON value, unless it streams. */
const answersInJson: ReadonlySet<Op> = new Set(['generate', 'chat', 'embed', 'responses'])

const closingBrace = 0x7d
const closingBracket = 0x5d
/** What may stand behind a whole value is white space, and nobody sends much of it. */
const endBytesMax = 64

/**
 * True for a body that should be one JSON value and lacks its end: without a length to count by, an answer that stops
 * half-way looks like one that ends. `lastBytes`: the end of the body, or all of it.
 */
export function isCutShort(
  { op, repeatable }: Pick<Ask, 'op' | 'repeatable'>,
  rawHeaders: readonly string[],
  lastBytes: Buffer,
): boolean {
  if (!repeatable || !answersInJson.has(op) || !isJson(rawHeaders)) return false
  const last = lastBytes[lastBytes.length - 1]
  if (last === closingBrace || last === closingBracket) return false
  const end = lastBytes.toString('latin1', Math.max(0, lastBytes.length - endBytesMax))
  return !/[}\]]\s*$/.test(end)
}

function isJson(rawHeaders: readonly string[]): boolean {
  return (headerOf(rawHeaders, 'content-type') ?? '').startsWith('application/json')
}
