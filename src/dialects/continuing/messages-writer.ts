import type { Writer } from './later-leg.ts'
import {
  type BlockType,
  type MessageOpening,
  messageStop,
  stopReasonOf,
} from './messages-frames.ts'
import { eventOf, fieldsAt } from './reading.ts'

/** Writes Anthropic's events: goes on in the block that is open, and opens and closes as the pieces need it. */
export function messageWriter(opening: MessageOpening): Writer {
  let { open } = opening
  let next = opening.next ?? 0

  const close = (): string => {
    if (open === undefined) return ''
    const { index } = open
    open = undefined
    return eventOf('content_block_stop', { type: 'content_block_stop', index })
  }
  const begin = (type: BlockType): string => {
    if (open?.type === type) return ''
    const closed = close()
    open = { index: next++, type }
    const block = { type, [type]: '' }
    return (
      closed +
      eventOf('content_block_start', {
        type: 'content_block_start',
        index: open.index,
        content_block: block,
      })
    )
  }
  const delta = (type: BlockType, text: string): string => {
    if (text === '') return ''
    const begun = begin(type)
    const { index } = open!
    return (
      begun +
      eventOf('content_block_delta', {
        type: 'content_block_delta',
        index,
        delta: { type: `${type}_delta`, [type]: text },
      })
    )
  }

  return {
    piece(piece, heard) {
      const said = delta('thinking', piece.thinking) + delta('text', piece.text)
      const same = heard !== undefined && heard.bytes.length === Buffer.byteLength(said)
      // Mostly nothing has changed, and then the backend's own bytes go out.
      return same && heard.bytes.equals(Buffer.from(said)) ? heard.bytes : said
    },
    calls({ fields }) {
      const starts = fields['type'] === 'content_block_start'
      const closed = starts ? close() : ''
      if (starts) next++
      return closed + eventOf(String(fields['type']), { ...fields, index: next - 1 })
    },
    end(ended, merged) {
      const { fields } = ended
      const usage = { input_tokens: merged.promptTokens, output_tokens: merged.outputTokens }
      const last = {
        type: 'message_delta',
        delta: { ...fieldsAt(fields, 'delta'), stop_reason: stopReasonOf(ended.reason) },
        usage: { ...fieldsAt(fields, 'usage'), ...usage },
      }
      return close() + eventOf('message_delta', last) + messageStop
    },
  }
}
