import type { Emitted } from './continuing.ts'
import { usageFigures } from './figures.ts'
import { type Hear, type Heard, silence } from './later-leg.ts'
import {
  errorIn,
  eventOf,
  eventsOf,
  type Fields,
  fieldsAt,
  numberAt,
  objectOf,
  textAt,
} from './reading.ts'
import { Tally } from './tally.ts'

/** How Anthropic's events are read: blocks that are opened and closed, and two events at the end. */

export type BlockType = 'text' | 'thinking'

/** How far the events of an answer have come. */
export type MessageOpening = {
  readonly id?: string
  readonly model?: string
  /** The block that is open. */
  readonly open?: { readonly index: number; readonly type: BlockType }
  /** The index of the next block. */
  readonly next?: number
  readonly textClosed?: boolean
  /** Why the answer ended, once that was said. */
  readonly reason?: string
}

export const messageStop = eventOf('message_stop', { type: 'message_stop' })

/** A thought or a text; any other block is a call, or a server's own work. */
function typeOf(block: Fields | undefined): BlockType | undefined {
  const type = textAt(block, 'type')
  return type === 'text' || type === 'thinking' ? type : undefined
}

export function readMessages(frames: readonly Buffer[]): Emitted {
  const tally = new Tally()
  let opening: MessageOpening = {}
  for (const { data } of frames.flatMap(eventsOf)) {
    const fields = objectOf(data)
    if (fields === undefined) {
      tally.unreadable()
      continue
    }
    const index = numberAt(fields, 'index') ?? 0
    switch (fields['type']) {
      case 'message_start': {
        const message = fieldsAt(fields, 'message')
        opening = { ...opening, id: textAt(message, 'id'), model: textAt(message, 'model') }
        break
      }
      case 'content_block_start': {
        const block = fieldsAt(fields, 'content_block')
        const type = typeOf(block)
        if (type === undefined) tally.call()
        else opening = { ...opening, open: { index, type } }
        opening = { ...opening, next: index + 1 }
        tally.piece(textAt(block, 'text'), textAt(block, 'thinking'))
        break
      }
      case 'content_block_delta': {
        const delta = fieldsAt(fields, 'delta')
        tally.piece(textAt(delta, 'text'), textAt(delta, 'thinking'))
        break
      }
      case 'content_block_stop': {
        const { open, ...rest } = opening
        opening = open?.type === 'text' ? { ...rest, textClosed: true } : rest
        break
      }
      case 'message_delta':
        opening = { ...opening, reason: textAt(fieldsAt(fields, 'delta'), 'stop_reason') }
        break
      default:
    }
  }
  return tally.emitted(opening)
}

/** Ollama's words for Anthropic's reasons. What else there may be is handed on as it is. */
const reasonsIn: Readonly<Record<string, string>> = {
  end_turn: 'stop',
  max_tokens: 'length',
  tool_use: 'tool_calls',
}

/** And back. */
export const stopReasonOf = (reason: string) =>
  Object.keys(reasonsIn).find((key) => reasonsIn[key] === reason) ?? reason

/** The events of a later leg. What opens and closes a text is not heard; blocks of any other kind are, event by event. */
export function hearMessages(): Hear {
  let foreign = false
  let last: { fields: Fields; reason: string; usage: Fields } | undefined
  let promptTokens: unknown
  return function* (frames): Generator<Heard> {
    for (const { name, data, bytes } of eventsOf(frames)) {
      const fields = objectOf(data)
      if (fields === undefined) {
        yield { ...silence, garbled: true, fields: {}, bytes }
        return
      }
      const heard = { ...silence, fields, bytes }
      const delta = fieldsAt(fields, 'delta')
      switch (fields['type'] ?? name) {
        case 'message_start':
          promptTokens = fieldsAt(fieldsAt(fields, 'message'), 'usage')?.['input_tokens']
          break
        case 'content_block_start': {
          const block = fieldsAt(fields, 'content_block')
          foreign = typeOf(block) === undefined
          if (foreign) yield { ...heard, calls: [fields] }
          else yield { ...heard, text: textAt(block, 'text'), thinking: textAt(block, 'thinking') }
          break
        }
        case 'content_block_delta':
          if (foreign) yield { ...heard, calls: [fields] }
          else yield { ...heard, text: textAt(delta, 'text'), thinking: textAt(delta, 'thinking') }
          break
        case 'content_block_stop':
          if (foreign) yield { ...heard, calls: [fields] }
          foreign = false
          break
        case 'message_delta': {
          // The older ones count the answer only, and the prompt in the beginning.
          const usage = { input_tokens: promptTokens, ...fieldsAt(fields, 'usage') }
          const reason = textAt(delta, 'stop_reason') || 'end_turn'
          last = { fields, reason: reasonsIn[reason] ?? reason, usage }
          break
        }
        case 'message_stop':
          // Without a reason it is not the end of an answer, whatever it says.
          if (last === undefined) yield { ...heard, garbled: true }
          else {
            const { reason, usage } = last
            yield { ...heard, done: { reason, figures: usageFigures(usage), fields: last.fields } }
          }
          return
        case 'error':
          yield { ...heard, error: errorIn(fields) ?? 'error' }
          return
        default:
      }
    }
  }
}
