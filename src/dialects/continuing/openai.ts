import { type Body, bodyOf, completeOf, leftOf, stopsOf, usageWanted, withLimit } from './asked.ts'
import type { Asked, Emitted } from './continuing.ts'
import { type Figures, usageFigures } from './figures.ts'
import type { Ended, Hear, Heard } from './later-leg.ts'
import { silence } from './later-leg.ts'
import {
  asFields,
  dataOf,
  errorIn,
  eventsOf,
  type Fields,
  fieldsAt,
  listAt,
  numberAt,
  objectOf,
  textAt,
} from './reading.ts'
import { Tally } from './tally.ts'

/** What OpenAI's two older routes have in common: chunks with choices, a finish, a usage, and `[DONE]`. */

/** What the chunks of one answer all say, and how far its end has come. */
export type ChunkOpening = {
  readonly id?: string
  readonly created?: number
  readonly model?: string
  readonly fingerprint?: unknown
  /** Who says the role: the first chunk only, as newer servers have it, or every one. */
  readonly roles?: 'first' | 'every'
  /** The reason that was said; the usage may still be missing. */
  readonly finish?: string
  readonly usageSaid?: boolean
}

const done = '[DONE]'
export const doneFrame = `data: ${done}\n\n`

export function readChunks(frames: readonly Buffer[]): Emitted {
  const tally = new Tally()
  let opening: ChunkOpening = {}
  let roles = 0
  let chunks = 0
  for (const { data } of frames.flatMap(eventsOf)) {
    if (data === done) continue
    const fields = objectOf(data)
    if (fields === undefined) {
      tally.unreadable()
      continue
    }
    const said = choiceOf(fields)
    if (said.calls.length > 0) tally.call()
    tally.piece(said.text, said.thinking)
    if (!isHead(opening)) opening = { ...openingOf(fields), ...opening }
    const end = endOf(fields, said)
    if (end) opening = { ...opening, ...end }
    if (said.index !== undefined) chunks++
    if (said.role !== '') roles++
  }
  if (roles > 0) opening = { ...opening, roles: roles > 1 && roles === chunks ? 'every' : 'first' }
  return tally.emitted(opening)
}

/** What the head of a chunk says. A backend whose engine died says one more chunk, with an empty model. */
function openingOf(fields: Fields): ChunkOpening {
  const id = textAt(fields, 'id')
  const created = numberAt(fields, 'created')
  const model = textAt(fields, 'model')
  const fingerprint = fields['system_fingerprint']
  return {
    ...(id === '' ? {} : { id }),
    ...(created === undefined ? {} : { created }),
    ...(model === '' ? {} : { model }),
    ...(fingerprint === undefined ? {} : { fingerprint }),
  }
}

/** Every chunk says its head again: it is read until nothing is missing in it. */
function isHead({ id, created, model, fingerprint }: ChunkOpening): boolean {
  return (
    id !== undefined && created !== undefined && model !== undefined && fingerprint !== undefined
  )
}

export const hasBegun = (emitted: Emitted) => (emitted.opening as ChunkOpening).id !== undefined

/** The head of every later chunk, in Go's order. */
export function headOf(opening: ChunkOpening, object: string): Body {
  const { id, created, model, fingerprint } = opening
  return { id, object, created, model, system_fingerprint: fingerprint }
}

/** The usage in a chunk of its own, behind a head without choices, where it was asked for and is still owed. */
export function usageFrame(
  head: Body,
  asked: Asked,
  opening: ChunkOpening,
  merged: Figures,
): string {
  if (!asked.usage || opening.usageSaid === true) return ''
  return dataOf({ ...head, usage: usageOf(merged) })
}

function endOf(
  fields: Fields,
  { finish, index }: ReturnType<typeof choiceOf>,
): ChunkOpening | undefined {
  if (finish !== '') return { finish }
  // The completions route has a usage of zeros in every chunk; the true one has no choice.
  return index === undefined && fieldsAt(fields, 'usage') !== undefined
    ? { usageSaid: true }
    : undefined
}

const noCalls: readonly Fields[] = []

function callsIn(delta: Fields | undefined): readonly Fields[] {
  const calls = listAt(delta, 'tool_calls')
  return calls.length === 0 ? noCalls : calls.map((call) => asFields(call) ?? {})
}

/** What the first choice of a chunk says. */
function choiceOf(fields: Fields) {
  const choice = asFields(listAt(fields, 'choices')[0])
  const delta = fieldsAt(choice, 'delta')
  return {
    index: choice === undefined ? undefined : (numberAt(choice, 'index') ?? 0),
    role: textAt(delta, 'role'),
    text: delta === undefined ? textAt(choice, 'text') : textAt(delta, 'content'),
    thinking: textAt(delta, 'reasoning'),
    calls: callsIn(delta),
    logprobs: listAt(fieldsAt(choice, 'logprobs'), 'content'),
    finish: textAt(choice, 'finish_reason'),
  }
}

/** Chunks of either route. The end is heard with `[DONE]`: until then its usage may come. */
export function chunkHearer(): Hear {
  let finish: { reason: string; fields: Fields } | undefined
  let figures: Figures | undefined
  return function* (frames): Generator<Heard> {
    for (const { data, bytes } of eventsOf(frames)) {
      if (data === done) {
        // Without a reason it is not the end of an answer, whatever it says.
        if (finish === undefined) yield { ...silence, garbled: true, fields: {}, bytes }
        else yield { ...silence, done: endedBy(finish, figures), fields: finish.fields, bytes }
        return
      }
      const fields = objectOf(data)
      if (fields === undefined) {
        yield { ...silence, garbled: true, fields: {}, bytes }
        return
      }
      const { finish: reason, index, text, thinking, calls, logprobs } = choiceOf(fields)
      if (reason !== '') finish = { reason, fields }
      if (index === undefined) figures = usageFigures(fieldsAt(fields, 'usage'))
      const error = errorIn(fields)
      yield { ...silence, text, thinking, calls, logprobs, error, fields, bytes }
    }
  }
}

function endedBy(finish: { reason: string; fields: Fields }, figures: Figures | undefined): Ended {
  const { reason, fields } = finish
  return { reason, figures: figures ?? usageFigures(undefined), fields }
}

export const usageOf = (figures: Figures) => ({
  prompt_tokens: figures.promptTokens,
  completion_tokens: figures.outputTokens,
  total_tokens: figures.promptTokens + figures.outputTokens,
})

/**
 * Ollama's options, as its own layer makes them of a request of OpenAI's older routes. Source: openai/openai.go,
 * FromChatRequest and FromCompleteRequest: temperature and top_p are 1 where nothing is said.
 */
export function optionsOfOpenai(body: Body): Body {
  const at = (key: string) => numberAt(body, key)
  const stop = stopsOf(body['stop'])
  const given = {
    num_predict: at('max_tokens'),
    temperature: at('temperature') ?? 1,
    top_p: at('top_p') ?? 1,
    seed: at('seed'),
    frequency_penalty: at('frequency_penalty'),
    presence_penalty: at('presence_penalty'),
    stop: stop.length > 0 ? stop : undefined,
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** `[DONE]` alone, when the reason has been said and no usage is owed. */
export function missingChunks(
  original: { readonly body: Buffer },
  emitted: Emitted,
): Buffer | undefined {
  const { finish, usageSaid } = emitted.opening as ChunkOpening
  const body = bodyOf(original.body)
  if (finish === undefined || body === undefined) return undefined
  return usageSaid || !usageWanted(body) ? Buffer.from(doneFrame) : undefined
}

export function askedOpenai(body: Body, emitted: Emitted): Asked {
  const { finish } = emitted.opening as ChunkOpening
  return {
    stops: stopsOf(body['stop']),
    usage: usageWanted(body),
    complete: completeOf(numberAt(body, 'max_tokens'), emitted, finish !== undefined),
  }
}

/**
 * Ollama reads `max_tokens` only. A server that reads the newer name as well must find it lowered, and one that does
 * not may have gone beyond it already.
 */
export function withLimits(body: Body, emitted: Emitted, asked: Asked): Body {
  const limited = withLimit(body, 'max_tokens', emitted, asked)
  // A limit that the client never gave is none of the other routes' to invent, but one token is all that is wanted.
  const left = leftOf(numberAt(body, 'max_completion_tokens'), emitted.pieces)
  return left === undefined ? limited : { ...limited, max_completion_tokens: Math.max(1, left) }
}
