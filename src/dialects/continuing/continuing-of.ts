import type { Family, Op } from '../../core/ask.ts'
import { chatCompletions } from './chat-completions.ts'
import { completions } from './completions.ts'
import type { Continuing } from './continuing.ts'
import { messages } from './messages.ts'
import { nativeChat } from './native-chat.ts'
import { nativeGenerate } from './native-generate.ts'
import { responses } from './responses.ts'

const all: readonly Continuing[] = [
  nativeChat,
  nativeGenerate,
  chatCompletions,
  completions,
  messages,
  responses,
]

/** How answers of a kind are gone on with; undefined: they are not. */
export function continuingOf(family: Family, op: Op): Continuing | undefined {
  return all.find((one) => one.family === family && one.op === op)
}
