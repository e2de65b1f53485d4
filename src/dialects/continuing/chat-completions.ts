import { type Body, bodyOf, bytesOf, cannot, hasTextFormat, reasons } from './asked.ts'
import type { Asked, Continuing, Emitted } from './continuing.ts'
import { LaterLeg, type Writer } from './later-leg.ts'
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
import { barTo, rawRequest, restartRequest } from './requests.ts'
import { withTrailing } from './trailing.ts'

/** `/v1/chat/completions` */
export const chatCompletions: Continuing = {
  family: 'openai',
  op: 'chat',
  read: readChunks,
  missing: missingChunks,
  request(original, emitted, method, rendered) {
    const body = bodyOf(original.body)
    if (body === undefined) return cannot(reasons.body)
    const bar = barTo(method, emitted, hasTextFormat(body['response_format']))
    if (bar !== undefined) return cannot(bar)
    if (!hasBegun(emitted)) return cannot(reasons.nothing)
    const asked = askedOpenai(body, emitted)
    if (method === 'restart') return restartRequest(original, asked)
    const messages = listAt(body, 'messages')
    if (method === 'raw') {
      const parts = {
        model: body['model'],
        options: optionsOfOpenai(body),
        more: logprobsOf(body),
        thinks: wantsThoughts(body),
        images: messages.some(hasMedia),
        body,
      }
      return rawRequest(parts, rendered, emitted, asked)
    }
    const trailing = withTrailing(messages, emitted, 'reasoning')
    if ('cannot' in trailing) return trailing
    const next = { ...withLimits(body, emitted, asked), messages: trailing }
    return { path: original.path, body: bytesOf(next), method, asked }
  },
  leg: (emitted, request, seam, before) =>
    new LaterLeg({
      family: 'openai',
      op: 'chat',
      framing: 'sse',
      hear: request.method === 'raw' ? hearNative : chunkHearer(),
      writer: chatWriter(emitted, request.asked),
      emitted,
      request,
      seam,
      before,
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
