import { type Body, hasTextFormat } from './asked.ts'
import type { Asked, Continuing, Emitted } from './continuing.ts'
import { legsIn, type Writer } from './later-leg.ts'
import { hearNative } from './native.ts'
import {
  askedOpenai,
  type ChunkOpening,
  chunkHearer,
  doneFrame,
  hasBegun,
  headOf,
  missingChunks,
  optionsOfOpenai,
  readChunks,
  usageFrame,
  withLimits,
} from './openai.ts'
import { asFields, dataOf, fieldsAt, listAt, numberAt, textAt } from './reading.ts'
import { requestsIn } from './requests.ts'
import { withTrailing } from './trailing.ts'

/** `/v1/chat/completions` */
export const chatCompletions: Continuing = {
  family: 'openai',
  op: 'chat',
  read: readChunks,
  missing: missingChunks,
  request: requestsIn({
    hasGrammar: (body) => hasTextFormat(body['response_format']),
    hasBegun,
    asked: askedOpenai,
    raw: (body) => ({
      options: optionsOfOpenai(body),
      more: logprobsOf(body),
      thinks: wantsThoughts(body),
      images: listAt(body, 'messages').some(hasMedia),
    }),
    trailing(body, emitted, asked) {
      const messages = withTrailing(listAt(body, 'messages'), emitted, 'reasoning')
      if ('cannot' in messages) return messages
      return { body: { ...withLimits(body, emitted, asked), messages } }
    },
  }),
  leg: legsIn({
    family: 'openai',
    op: 'chat',
    framing: 'sse',
    hear: (method) => (method === 'raw' ? hearNative : chunkHearer()),
    writer: (emitted, { asked }) => chatWriter(emitted, asked),
  }),
}

/** The effort that the client asked for; undefined: none was named, and a model that can think will. */
function wantsThoughts(body: Body): boolean | undefined {
  const effort = textAt(fieldsAt(body, 'reasoning'), 'effort') || textAt(body, 'reasoning_effort')
  return effort === '' ? undefined : effort !== 'none'
}

function logprobsOf(body: Body): Body {
  if (body['logprobs'] !== true) return {}
  return { logprobs: true, top_logprobs: numberAt(body, 'top_logprobs') ?? 0 }
}

/** Pictures and sounds stand in parts that are not text. */
function hasMedia(message: unknown): boolean {
  return listAt(asFields(message), 'content').some(
    (part) => textAt(asFields(part), 'type') !== 'text',
  )
}

function chatWriter(emitted: Emitted, asked: Asked): Writer {
  const opening = emitted.opening as ChunkOpening
  let roleSaid = opening.roles !== undefined
  let calls = 0

  const head = headOf(opening, 'chat.completion.chunk')
  const role = () => {
    const says = !roleSaid || opening.roles === 'every'
    roleSaid = true
    return says ? { role: 'assistant' } : {}
  }
  const chunk = (delta: Body, finish: string | null, more: Body = {}) =>
    dataOf({ ...head, choices: [{ index: 0, delta, finish_reason: finish, ...more }] })

  return {
    piece({ text, thinking }, heard) {
      const reasoning = thinking === '' ? {} : { reasoning: thinking }
      // Probabilities of a text that was cut would be those of another one.
      const content = heard?.text === text ? heard.logprobs : []
      const logprobs = content.length > 0 ? { logprobs: { content } } : {}
      return chunk({ ...role(), content: text, ...reasoning }, null, logprobs)
    },
    calls(heard) {
      const tools = heard.calls.map((call) => ({ ...call, index: calls++ }))
      return chunk({ ...role(), content: '', tool_calls: tools }, null)
    },
    end(ended, merged) {
      const delta = opening.roles === 'every' ? { ...role(), content: '' } : {}
      const finish = opening.finish === undefined ? chunk(delta, ended.reason) : ''
      return finish + usageFrame({ ...head, choices: [] }, asked, opening, merged) + doneFrame
    },
  }
}
