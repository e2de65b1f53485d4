import {
  type Body,
  type Cannot,
  cannot,
  completeOf,
  hasTextFormat,
  hasTools,
  reasons,
  stopsOf,
  withLimit,
} from './asked.ts'
import type { Asked, Continuing, Emitted } from './continuing.ts'
import { legsIn } from './later-leg.ts'
import { hearMessages, type MessageOpening, messageStop, readMessages } from './messages-frames.ts'
import { messageWriter } from './messages-writer.ts'
import { hearNative } from './native.ts'
import { asFields, fieldsAt, listAt, numberAt, textAt } from './reading.ts'
import { picked, requestsIn } from './requests.ts'
import { longer } from './trailing.ts'

/** `/v1/messages` */
export const messages: Continuing = {
  family: 'anthropic',
  op: 'chat',
  read: readMessages,
  missing: (_original, emitted) =>
    openingOf(emitted).reason === undefined ? undefined : Buffer.from(messageStop),
  request: requestsIn({
    hasGrammar: (body) =>
      hasTextFormat(body['output_format']) ||
      hasTextFormat(fieldsAt(body, 'output_config')?.['format']),
    hasBegun: (emitted) => openingOf(emitted).id !== undefined,
    asked: askedOf,
    raw(body) {
      const thinking = textAt(fieldsAt(body, 'thinking'), 'type')
      return {
        options: optionsOf(body),
        thinks: thinking === 'disabled' ? false : thinking === '' ? undefined : true,
        images: listAt(body, 'messages').some(hasMedia),
      }
    },
    trailing(body, emitted, asked) {
      const messages = withTrailing(listAt(body, 'messages'), emitted)
      if ('cannot' in messages) return messages
      return { body: { ...withLimit(body, 'max_tokens', emitted, asked), messages } }
    },
  }),
  leg: legsIn({
    family: 'anthropic',
    op: 'chat',
    framing: 'sse',
    hear: (method) => (method === 'raw' ? hearNative : hearMessages()),
    writer: (emitted) => messageWriter(openingOf(emitted)),
  }),
}

const openingOf = (emitted: Emitted) => emitted.opening as MessageOpening

function askedOf(body: Body, emitted: Emitted): Asked {
  // Behind a text that was closed nothing comes but a call of a tool.
  const said = openingOf(emitted).textClosed === true && !hasTools(body)
  return {
    stops: stopsOf(body['stop_sequences']),
    usage: false,
    complete: completeOf(numberAt(body, 'max_tokens'), emitted, said),
  }
}

/** As Ollama's own layer makes them. Source: anthropic/anthropic.go, FromMessagesRequest. */
function optionsOf(body: Body): Body {
  const stop = stopsOf(body['stop_sequences'])
  return {
    num_predict: body['max_tokens'],
    ...picked(body, ['temperature', 'top_p', 'top_k']),
    ...(stop.length > 0 ? { stop } : {}),
  }
}

const spoken = new Set(['text', 'thinking'])
const blocksOf = (message: unknown) => listAt(asFields(message), 'content').map(asFields)

function hasMedia(message: unknown): boolean {
  return blocksOf(message).some((block) => !spoken.has(textAt(block, 'type')))
}

/**
 * The answer so far as what Anthropic calls a prefill. Ollama takes it to the letter; Anthropic's own service would
 * refuse one that ends in white space, so it may not be cut off to please anybody: the model would say it again.
 */
function withTrailing(said: readonly unknown[], emitted: Emitted): readonly unknown[] | Cannot {
  const { text, thinking } = emitted
  const last = asFields(said.at(-1))
  const isOurs = textAt(last, 'role').toLowerCase() === 'assistant'
  if (isOurs && blocksOf(last).some((block) => !spoken.has(textAt(block, 'type'))))
    return cannot(reasons.calls)
  if (text === '' && thinking === '') return said
  const content = withThoughts(isOurs ? longer(last?.['content'], text) : text, thinking)
  return [
    ...(isOurs ? said.slice(0, -1) : said),
    { ...(isOurs ? last : {}), role: 'assistant', content },
  ]
}

/** Of several blocks of thoughts Ollama keeps the last one only, so there is one. */
function withThoughts(content: unknown, thinking: string): unknown {
  if (thinking === '') return content
  const blocks = Array.isArray(content)
    ? content
    : content === ''
      ? []
      : [{ type: 'text', text: content }]
  const isThought = (block: unknown) => textAt(asFields(block), 'type') === 'thinking'
  const before = textAt(asFields(blocks.findLast(isThought)), 'thinking')
  return [
    { type: 'thinking', thinking: before + thinking },
    ...blocks.filter((block) => !isThought(block)),
  ]
}
