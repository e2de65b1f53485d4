import {
  type Body,
  type Cannot,
  cannot,
  completeOf,
  hasTextFormat,
  hasTools,
  reasons,
  withLimit,
} from './asked.ts'
import type { Asked, Continuing, Emitted } from './continuing.ts'
import { legsIn } from './later-leg.ts'
import { hearNative } from './native.ts'
import { asFields, type Fields, fieldsAt, listAt, numberAt, textAt } from './reading.ts'
import { picked, requestsIn } from './requests.ts'
import {
  hearResponses,
  type ResponseOpening,
  readResponses,
  textIsOver,
} from './responses-frames.ts'
import { responseWriter } from './responses-writer.ts'
import { longer } from './trailing.ts'

/** `/v1/responses` */
export const responses: Continuing = {
  family: 'openai',
  op: 'responses',
  read: readResponses,
  // The last event is also the one with the figures.
  missing: () => undefined,
  request: requestsIn({
    hasGrammar: (body) => hasTextFormat(fieldsAt(body, 'text')?.['format']),
    hasBegun: (emitted) => openingOf(emitted).response !== undefined,
    asked: askedOf,
    raw(body) {
      const effort = textAt(fieldsAt(body, 'reasoning'), 'effort')
      return {
        options: optionsOf(body),
        thinks: effort === '' ? undefined : effort !== 'none',
        images: itemsOf(body['input']).some(hasMedia),
      }
    },
    trailing(body, emitted, asked) {
      const input = withTrailing(itemsOf(body['input']), emitted)
      if ('cannot' in input) return input
      return { body: { ...withLimit(body, 'max_output_tokens', emitted, asked), input } }
    },
  }),
  leg: legsIn({
    family: 'openai',
    op: 'responses',
    framing: 'sse',
    hear: (method) => (method === 'raw' ? hearNative : hearResponses),
    writer: (emitted) => responseWriter(openingOf(emitted)),
  }),
}

const openingOf = (emitted: Emitted) => emitted.opening as ResponseOpening

function askedOf(body: Body, emitted: Emitted): Asked {
  // Behind a text that was closed nothing comes but a call of a tool.
  const said = textIsOver(openingOf(emitted)) && !hasTools(body)
  return {
    // There are no stop strings in this language.
    stops: [],
    usage: false,
    complete: completeOf(numberAt(body, 'max_output_tokens'), emitted, said),
  }
}

/** As Ollama's own layer makes them. Source: openai/responses.go, FromResponsesRequest: only the temperature has a default. */
function optionsOf(body: Body): Body {
  const limit = numberAt(body, 'max_output_tokens')
  return {
    ...(limit === undefined ? {} : { num_predict: limit }),
    temperature: body['temperature'] ?? 1,
    ...picked(body, ['top_p']),
  }
}

/** A text is one item of the user's. */
function itemsOf(input: unknown): readonly unknown[] {
  if (Array.isArray(input)) return input
  if (typeof input !== 'string' || input === '') return []
  return [{ type: 'message', role: 'user', content: [{ type: 'input_text', text: input }] }]
}

const texts = new Set(['input_text', 'output_text', 'text'])

function hasMedia(item: unknown): boolean {
  return listAt(asFields(item), 'content').some(
    (part) => !texts.has(textAt(asFields(part), 'type')),
  )
}

/** The answer so far as an item of output. Ollama takes thoughts from an item before it, from their encrypted text. */
function withTrailing(input: readonly unknown[], emitted: Emitted): readonly unknown[] | Cannot {
  const { text, thinking } = emitted
  const last = asFields(input.at(-1))
  if (textAt(last, 'type') === 'function_call') return cannot(reasons.calls)
  if (text === '' && thinking === '') return input
  const isOurs =
    textAt(last, 'role').toLowerCase() === 'assistant' &&
    (textAt(last, 'type') || 'message') === 'message'
  const before = isOurs ? input.slice(0, -1) : input
  const said: Fields | undefined = isOurs
    ? { ...last, content: longer(last?.['content'], text, 'output_text') }
    : text === ''
      ? undefined
      : { type: 'message', role: 'assistant', content: [{ type: 'output_text', text }] }
  const thought = {
    type: 'reasoning',
    summary: [{ type: 'summary_text', text: thinking }],
    encrypted_content: thinking,
  }
  return [...before, ...(thinking === '' ? [] : [thought]), ...(said === undefined ? [] : [said])]
}
