import type { Clock } from '../../src/core/clock.ts'
import type { Dice } from '../../src/core/dice.ts'
import { toGoJson } from './go-json.ts'
import type { Done, FrameWriter, Logprob, Piece } from './inference.ts'
import type { ToolCall } from './plan.ts'
import type { Reply } from './reply.ts'

/** OpenAI's frames as Ollama writes them, for chat completions and for completions. */
export interface OpenaiShape {
  readonly route: 'chat' | 'completion'
  readonly model: string
  readonly stream: boolean
  readonly includeUsage: boolean
  /** The older servers name the role in every chunk, the newer ones in the first. */
  readonly roleInEveryChunk: boolean
}

const usageOf = (done: Done | undefined) => ({
  prompt_tokens: done?.promptTokens ?? 0,
  completion_tokens: done?.outputTokens ?? 0,
  total_tokens: (done?.promptTokens ?? 0) + (done?.outputTokens ?? 0),
})

/** Ollama's ids come from a thousand numbers and meet again soon; clients must not rely on them. */
function shortId(prefix: string, dice: Dice): string {
  return `${prefix}-${Math.floor(dice.roll() * 999)}`
}

function openaiCall(call: ToolCall, index: number, dice: Dice): Record<string, unknown> {
  const letters = Array.from({ length: 8 }, () => Math.floor(dice.roll() * 36).toString(36)).join(
    '',
  )
  return {
    id: `call_${letters}`,
    index,
    type: 'function',
    function: { name: call.name, arguments: toGoJson(call.arguments) },
  }
}

export function openaiWriter(
  reply: Reply,
  shape: OpenaiShape,
  clock: Clock,
  dice: Dice,
): FrameWriter {
  const chat = shape.route === 'chat'
  const id = shortId(chat ? 'chatcmpl' : 'cmpl', dice)
  const created = Math.floor(clock.wall() / 1000)
  const object = chat ? 'chat.completion' : 'text_completion'
  const head = (kind: string, model = shape.model) => ({
    id,
    object: kind,
    created,
    model,
    system_fingerprint: 'fp_ollama',
  })
  const streamObject = chat ? 'chat.completion.chunk' : object
  const send = (value: unknown) => reply.frame(`data: ${toGoJson(value)}\n\n`)
  const withUsage = shape.includeUsage && !chat ? { usage: usageOf(undefined) } : {}
  const logprobsOf = (logprobs: readonly Logprob[]) =>
    logprobs.length > 0 ? { logprobs: { content: logprobs } } : {}

  let text = ''
  let reasoning = ''
  let roleSaid = false
  const calls: Record<string, unknown>[] = []
  const whole: Logprob[] = []
  if (shape.stream) reply.streams('text/event-stream')

  const chunk = (
    delta: Record<string, unknown>,
    finish: string | null,
    logprobs: readonly Logprob[],
  ) => ({
    ...head(streamObject),
    choices: [{ index: 0, delta, finish_reason: finish, ...logprobsOf(logprobs) }],
  })
  const textChunk = (said: string, finish: string | null) => ({
    ...head(streamObject),
    choices: [{ text: said, index: 0, finish_reason: finish }],
    ...withUsage,
  })
  const role = () => {
    if (roleSaid && !shape.roleInEveryChunk) return {}
    roleSaid = true
    return { role: 'assistant' }
  }
  const finishOf = (done: Done) => (done.called ? 'tool_calls' : done.reason)

  const answerWhole = (finish: string | null, done: Done | undefined) => {
    const choice = chat
      ? {
          index: 0,
          message: {
            role: 'assistant',
            content: text,
            ...(reasoning === '' ? {} : { reasoning }),
            ...(calls.length > 0 ? { tool_calls: calls } : {}),
          },
          finish_reason: finish,
          ...logprobsOf(whole),
        }
      : { text, index: 0, finish_reason: finish }
    reply.jsonLine(200, { ...head(object), choices: [choice], usage: usageOf(done) })
  }

  return {
    async piece(piece: Piece) {
      if (piece.kind === 'call') calls.push(openaiCall(piece.call, 0, dice))
      else if (piece.kind === 'text') text += piece.text
      else reasoning += piece.text
      const logprobs = piece.kind === 'text' && piece.logprob ? [piece.logprob] : []
      whole.push(...logprobs)
      if (!shape.stream) return
      if (!chat) {
        if (piece.kind === 'text') await send(textChunk(piece.text, null))
        return
      }
      const delta: Record<string, unknown> =
        piece.kind === 'call'
          ? { ...role(), content: '', tool_calls: calls.slice(-1) }
          : piece.kind === 'thinking'
            ? { ...role(), content: '', reasoning: piece.text }
            : { ...role(), content: piece.text }
      await send(chunk(delta, null, logprobs))
    },
    async done(done: Done) {
      if (!shape.stream) return answerWhole(finishOf(done), done)
      // The finish stands in a chunk of its own, behind the last word.
      await send(
        chat
          ? chunk(shape.roleInEveryChunk ? { ...role(), content: '' } : {}, finishOf(done), [])
          : textChunk('', done.reason),
      )
      if (shape.includeUsage)
        await send({ ...head(streamObject), choices: [], usage: usageOf(done) })
      await reply.frame('data: [DONE]\n\n')
      reply.end()
    },
    async silence() {
      if (shape.stream) reply.end()
      else answerWhole(null, undefined)
    },
    async broke() {
      // Ollama reads its own error line as an empty chunk, and the rest is silence.
      const empty = { index: 0, finish_reason: null }
      await send({
        ...head(streamObject, ''),
        choices: [chat ? { ...empty, delta: { ...role(), content: '' } } : { ...empty, text: '' }],
      })
      reply.end()
    },
  }
}
