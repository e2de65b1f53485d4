import { type Cannot, cannot, reasons } from './asked.ts'
import type { Emitted } from './continuing.ts'
import { asFields, listAt, textAt } from './reading.ts'

/**
 * A conversation with the answer so far as its last message. A last message of the assistant is the client's own
 * beginning of the answer, and is made longer.
 */
export function withTrailing(
  messages: readonly unknown[],
  emitted: Emitted,
  thinkingKey: 'thinking' | 'reasoning',
): readonly unknown[] | Cannot {
  const { text, thinking } = emitted
  const last = asFields(messages.at(-1))
  const isOurs = textAt(last, 'role').toLowerCase() === 'assistant'
  if (isOurs && listAt(last, 'tool_calls').length > 0) return cannot(reasons.calls)
  if (text === '' && thinking === '') return messages
  const thoughts = (isOurs ? textAt(last, thinkingKey) : '') + thinking
  const more = thoughts === '' ? {} : { [thinkingKey]: thoughts }
  if (!isOurs) return [...messages, { role: 'assistant', content: text, ...more }]
  return [...messages.slice(0, -1), { ...last, content: longer(last?.['content'], text), ...more }]
}

/** A content that is a text, or a list of parts of which the last may be a text. */
export function longer(content: unknown, text: string, type = 'text'): unknown {
  if (!Array.isArray(content)) return (typeof content === 'string' ? content : '') + text
  if (text === '') return content
  const last = asFields(content.at(-1))
  if (last?.['type'] !== type) return [...content, { type, text }]
  return [...content.slice(0, -1), { ...last, text: textAt(last, 'text') + text }]
}
