import type { Ask, Framing, Op } from '../../core/ask.ts'
import { isNamed } from '../../core/field-text.ts'
import { headerOf } from '../headers.ts'
import type { BackendHead } from './heads.ts'

/** What a head says of the body behind it, read in one pass. */
export function readHead(status: number, rawHeaders: readonly string[]): BackendHead {
  let type = ''
  let coding: string | undefined
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!
    switch (name.length) {
      case 12:
        if (type === '' && isNamed(name, 'Content-Type', 'content-type'))
          type = rawHeaders[index + 1]!
        break
      case 16:
        if (isNamed(name, 'Content-Encoding', 'content-encoding'))
          coding ??= codingIn(rawHeaders[index + 1]!)
    }
  }
  return { status, rawHeaders, framing: coding === undefined ? framingOf(type) : 'json', coding }
}

/** How a body of this type is cut into frames; what is not known is one frame. */
function framingOf(type: string): Framing {
  if (type.startsWith('application/x-ndjson')) return 'ndjson'
  return type.startsWith('text/event-stream') ? 'sse' : 'json'
}

/** Undefined: the bytes are as they were (RFC 9110 8.4.1; some servers say so in this field). */
function codingIn(value: string): string | undefined {
  const coding = value.trim().toLowerCase()
  return coding === '' || coding === 'identity' ? undefined : coding
}

/** Such an answer is read on its way: cut into frames, judged by its end, gone on with elsewhere. */
export function mustBeRead({ op, repeatable }: Pick<Ask, 'op' | 'repeatable'>): boolean {
  return repeatable && op !== 'show'
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
