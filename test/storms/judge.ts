import { type RoutePath, routes, type Told } from '../journeys/continuing-fleet.ts'
import type { Received } from './answers.ts'
import { rightText, rightVectors } from './asking.ts'
import type { Errand, Way } from './script.ts'

/** What a client was left with. All but `complaint` are good ends. */
export type Verdict =
  /** All of it, to the letter, and its end. */
  | 'complete'
  /** One error in the stream, and before it nothing wrong. */
  | 'error'
  /** A status, in the family's shape. */
  | 'refused'
  /** A transfer that is visibly not whole. */
  | 'broken'
  /** The client went away. */
  | 'left'

export interface Judged {
  readonly verdict: Verdict | 'complaint'
  /** Of a complaint, what is wrong; of a refusal, the status and what was said. */
  readonly why: string
}

/** May the client be refused, told of an error or broken off? In calm weather only by its own doing. */
export interface Weather {
  readonly isCalm: boolean
  readonly hasLeft: boolean
}

export function judge(errand: Errand, received: Received, weather: Weather): Judged {
  try {
    const judged = judgedBy(errand, received, weather)
    const served = judged.verdict === 'complete' || judged.verdict === 'left'
    if (!weather.isCalm || served || errand.flaw !== undefined) return judged
    return complaint(`in calm weather ${judged.verdict}: ${judged.why}`)
  } catch (error) {
    return complaint(error instanceof Error ? error.message : String(error))
  }
}

function judgedBy(errand: Errand, received: Received, { hasLeft }: Weather): Judged {
  const { status, headers, ending } = received
  const id = headers.get('x-request-id')
  if (id !== undefined && id !== errand.id && errand.way !== 'list')
    return complaint(`the answer to ${id}`)
  if (ending === 'none') return hasLeft ? left : complaint('the connection ended without an answer')
  if (status >= 400) return refusal(errand, received, hasLeft)
  if (status !== 200) return complaint(`status ${status}`)
  if (errand.flaw !== undefined) return complaint(`${errand.flaw}, and yet it was answered`)
  if (errand.way === 'list') return list(received, hasLeft)
  const isEmbedding = errand.way === '/api/embed' || errand.way === '/v1/embeddings'
  if (ending === 'cut') {
    // Of a stream what came must be right; half an object is half an object.
    if (!isEmbedding && errand.stream) prefixOrThrow(errand, wholeFrames(received))
    return hasLeft ? left : { verdict: 'broken', why: '' }
  }
  if (isEmbedding) return vectors(errand, received)
  return errand.stream ? stream(errand, received) : whole(errand, received)
}

const left: Judged = { verdict: 'left', why: '' }
const complete: Judged = { verdict: 'complete', why: '' }

function complaint(why: string): Judged {
  return { verdict: 'complaint', why }
}

function textOf({ body }: Received): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(body)
}

// --- streams ---

/** The last frame may be half of one when the transfer was cut. */
function wholeFrames(received: Received): string {
  const bytes = received.body
  const isEvents = /^text\/event-stream/.test(received.headers.get('content-type') ?? '')
  const mark = isEvents ? '\n\n' : '\n'
  const end = bytes.lastIndexOf(mark)
  return end < 0 ? '' : bytes.toString('utf8', 0, end + mark.length)
}

function toldIn(way: Way, text: string): Told {
  const path = way === '/generate' || way === 'split' || way === 'parts' ? '/api/generate' : way
  return routes[path as RoutePath].told({ text })
}

function prefixOrThrow(errand: Errand, text: string): Told {
  const told = toldIn(errand.way, text)
  const right = rightText(errand)
  // The pieces of a split answer have a line break between them that belongs to the next one.
  if (!right.startsWith(told.text) && !right.startsWith(told.text.trimEnd()))
    throw new Error(`said ${JSON.stringify(told.text)} in place of ${JSON.stringify(right)}`)
  return told
}

function stream(errand: Errand, received: Received): Judged {
  const text = textOf(received)
  const told = prefixOrThrow(errand, text)
  const { ends, errors, frames } = told
  if (errors.length > 1) return complaint(`${errors.length} errors: ${errors.join(' | ')}`)
  if (errors.length === 1) {
    // Behind a reason for its end a stream of OpenAI's still has its last word, and may break off before it.
    const isOver = /^\/v1\/(chat|completions)/.test(errand.way)
      ? text.includes('data: [DONE]')
      : ends > 0
    if (isOver) return complaint(`an error and an end: ${errors[0]}`)
    return isError(frames.at(-1))
      ? { verdict: 'error', why: errors[0]! }
      : complaint(`frames behind an error: ${JSON.stringify(frames.at(-1))}`)
  }
  if (ends !== 1) return complaint(`a clean end with ${ends} last lines: ${text.slice(-300)}`)
  const right = rightText(errand)
  return told.text === right
    ? complete
    : complaint(`ended after ${JSON.stringify(told.text)} of ${JSON.stringify(right)}`)
}

type Fields = Readonly<Record<string, unknown>>

function isError(frame: Fields | undefined): boolean {
  const error = frame?.['error']
  return error !== undefined && error !== null && error !== ''
}

// --- whole answers ---

const at = (value: unknown, ...path: (string | number)[]): unknown =>
  path.reduce<unknown>((one, key) => (one as Fields | null | undefined)?.[key], value)

function saidIn(way: Way, fields: unknown): unknown {
  switch (way) {
    case '/api/chat':
      return at(fields, 'message', 'content')
    case '/v1/chat/completions':
      return at(fields, 'choices', 0, 'message', 'content')
    case '/v1/completions':
      return at(fields, 'choices', 0, 'text')
    case '/v1/messages':
      return at(fields, 'content', 0, 'text')
    case '/v1/responses':
      return at(fields, 'output', 0, 'content', 0, 'text')
    default:
      return at(fields, 'response')
  }
}

function whole(errand: Errand, received: Received): Judged {
  const fields = JSON.parse(textOf(received)) as Fields
  const said = saidIn(errand.way, fields)
  const right = rightText(errand)
  if (said !== right) return complaint(`said ${JSON.stringify(said)} and not ${right}`)
  return 'done' in fields && fields['done'] !== true ? complaint('not done') : complete
}

function vectors(errand: Errand, received: Received): Judged {
  const fields = JSON.parse(textOf(received)) as Fields
  const said =
    errand.way === '/api/embed'
      ? (fields['embeddings'] as number[][])
      : (fields['data'] as { index: number; embedding: number[] }[]).map(
          ({ embedding, index }, place) => {
            if (index !== place) throw new Error(`number ${index} stands at ${place}`)
            return embedding
          },
        )
  const right = rightVectors(errand)
  const isSame = (one: readonly number[], other: readonly number[]) =>
    one.length === other.length &&
    one.every((value, index) => Math.abs(value - other[index]!) < 1e-6)
  return said.length === right.length && said.every((each, index) => isSame(each, right[index]!))
    ? complete
    : complaint(`${said.length} vectors for ${right.length} texts, or others than theirs`)
}

function list(received: Received, hasLeft: boolean): Judged {
  if (received.ending === 'cut') return hasLeft ? left : { verdict: 'broken', why: '' }
  JSON.parse(textOf(received))
  return complete
}

// --- refusals ---

function refusal({ way, flaw }: Errand, received: Received, hasLeft: boolean): Judged {
  if (received.ending === 'cut') return hasLeft ? left : { verdict: 'broken', why: '' }
  const { status } = received
  const text = textOf(received)
  // Whoever asks a probe of ours is answered by its status.
  if (way === 'list') return { verdict: 'refused', why: `${status} ${text.slice(0, 100)}` }
  const fields = JSON.parse(text) as Fields
  const sentence = sentenceIn(way, fields)
  if (typeof sentence !== 'string' || sentence === '')
    return complaint(`a refusal that is not in the shape of ${way}: ${text.slice(0, 300)}`)
  if (flaw === 'no JSON' && status !== 400 && status < 500)
    return complaint(`${status} ${sentence}`)
  return { verdict: 'refused', why: `${status} ${sentence}` }
}

function sentenceIn(way: Way, fields: Fields): unknown {
  switch (way) {
    case '/generate':
    case 'split':
      // Problem JSON of ours, or the words of the backend that refused it.
      return fields['title'] ?? fields['detail'] ?? fields['error']
    case '/v1/messages':
      return fields['type'] === 'error' ? at(fields, 'error', 'message') : undefined
    case '/v1/chat/completions':
    case '/v1/completions':
    case '/v1/embeddings':
    case '/v1/responses':
      return at(fields, 'error', 'message')
    default:
      return fields['error']
  }
}
