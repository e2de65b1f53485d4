import { scriptMark, scriptOf } from '../../../backends/simulator/text.ts'
import type { Request } from '../engine/specs.ts'

/** As the simulator counts them, and as its scripted answers are. */
const charsPerToken = 4
/** What the simulator writes around a system text, and around a question with the answer's opening behind it. */
const systemChars = '<|system|>\n\n'.length
const userChars = '<|user|>\n\n<|assistant|>\n'.length
/** Behind an answer that stands in a prompt. */
const closingChars = 1
/** A question that is shorter has no room for its mark. */
export const promptTokensMin = 16

const words = 'the road is long and the messenger runs over the bridge of grass '

interface Message {
  readonly role: 'system' | 'user' | 'assistant'
  readonly content: string
}

/**
 * A request of a trace as a chat whose prompt has as many tokens as the trace says, and begins like those that it begins
 * like in the trace. How long the answer is to be stands in a mark that means something to the simulator only.
 */
export function messagesOf({ chain, chainTokens, outputTokens }: Request): Message[] {
  const tokensOf = (index: number) => chainTokens[index]! - (chainTokens[index - 1] ?? 0)
  const last = chain.length - 1
  return chain.map((block, index) => {
    const name = nameOf(block)
    if (index === 0 && last > 0)
      return { role: 'system', content: filled(`${name}: `, tokensOf(0), systemChars) }
    if (index > 0 && index % 2 === 0)
      return {
        role: 'assistant',
        content: scriptOf(nameOf(chain[index - 1]!), tokensOf(index)).join(''),
      }
    const answer = index === last ? outputTokens : tokensOf(index + 1)
    const around = userChars + (index > 2 ? closingChars : 0)
    return { role: 'user', content: filled(scriptMark(name, answer), tokensOf(index), around) }
  })
}

/** The same block has the same name in all requests of a trace, and no two blocks have one. */
function nameOf(block: number): string {
  return `b${block}`
}

function filled(beginning: string, tokens: number, around: number): string {
  const chars = charsPerToken * tokens - around
  const missing = Math.max(0, chars - beginning.length)
  return beginning + words.repeat(Math.ceil(missing / words.length)).slice(0, missing)
}
