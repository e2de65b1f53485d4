import type { Clock } from '../../src/core/clock.ts'
import type { Dice } from '../../src/core/dice.ts'
import { sortedKeys, toGoJson } from './go-json.ts'
import { type Done, type FrameWriter, nothingDone, type Piece } from './inference.ts'
import type { Reply } from './reply.ts'

/** The frames of OpenAI's Responses: numbered events around items. */
export interface ResponsesShape {
  readonly model: string
  readonly stream: boolean
  // What of the request is said back.
  readonly instructions: string | null
  readonly temperature: number
  readonly topP: number
  readonly tools: readonly unknown[]
  readonly toolChoice: unknown
  readonly truncation: string
  readonly text: unknown
  readonly effort: string | undefined
  readonly maxTokens: number | null
}

interface Item {
  readonly id: string
  readonly type: 'message' | 'reasoning' | 'function_call'
  text: string
  name: string
  callId: string
}

export function responsesWriter(
  reply: Reply,
  shape: ResponsesShape,
  clock: Clock,
  dice: Dice,
): FrameWriter {
  const number = () => Math.floor(dice.roll() * 1_000_000)
  const id = `resp_${number()}`
  const createdAt = Math.floor(clock.wall() / 1000)
  const items: Item[] = []
  let sequence = 0
  let open: Item | undefined

  // Events are maps in Ollama, and have their keys in order; a whole answer is a struct.
  const event = (type: string, more: Record<string, unknown>) => {
    const data = sortedKeys({ type, sequence_number: sequence++, ...more })
    return reply.frame(`event: ${type}\ndata: ${toGoJson(data)}\n\n`)
  }
  const outputText = (text: string) => ({
    type: 'output_text',
    text,
    annotations: [],
    logprobs: [],
  })
  const shown = (item: Item, status: string): Record<string, unknown> => {
    if (item.type === 'reasoning')
      return {
        id: item.id,
        type: 'reasoning',
        summary: status === 'completed' ? [{ type: 'summary_text', text: item.text }] : [],
        ...(status === 'completed' ? { encrypted_content: item.text } : {}),
      }
    if (item.type === 'function_call')
      return {
        id: item.id,
        type: 'function_call',
        status,
        call_id: item.callId,
        name: item.name,
        arguments: status === 'completed' ? item.text : '',
      }
    return {
      id: item.id,
      type: 'message',
      status,
      role: 'assistant',
      content: status === 'completed' ? [outputText(item.text)] : [],
    }
  }
  const reasoning = () => {
    if (shape.effort === undefined) return null
    return shape.stream ? { effort: shape.effort, summary: null } : { effort: shape.effort }
  }
  const usageOf = (done: Done) => ({
    input_tokens: done.promptTokens,
    output_tokens: done.outputTokens,
    total_tokens: done.promptTokens + done.outputTokens,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens_details: { reasoning_tokens: 0 },
  })
  // An answer that was cut short says so nowhere: it is "completed" too.
  const response = (done: Done | undefined) => ({
    id,
    object: 'response',
    created_at: createdAt,
    completed_at: done ? Math.floor(clock.wall() / 1000) : null,
    status: done ? 'completed' : 'in_progress',
    incomplete_details: null,
    model: shape.model,
    previous_response_id: null,
    instructions: shape.instructions,
    output: done ? items.map((item) => shown(item, 'completed')) : [],
    error: null,
    tools: shape.tools,
    tool_choice: shape.toolChoice,
    truncation: shape.truncation,
    parallel_tool_calls: true,
    text: shape.text,
    top_p: shape.topP,
    presence_penalty: 0,
    frequency_penalty: 0,
    top_logprobs: 0,
    temperature: shape.temperature,
    reasoning: reasoning(),
    usage: done ? usageOf(done) : null,
    max_output_tokens: shape.maxTokens,
    max_tool_calls: null,
    store: false,
    background: false,
    service_tier: 'default',
    metadata: {},
    safety_identifier: null,
    prompt_cache_key: null,
  })
  const itemId = (type: Item['type']): string => {
    if (type === 'message') return `msg_${number()}`
    // Of a whole answer these are made of its id, of a stream they have numbers of their own.
    const base = shape.stream ? String(number()) : id
    if (type === 'reasoning') return `rs_${base}`
    return `fc_${base}_${items.filter((item) => item.type === type).length}`
  }
  const answerWhole = (done: Done) => {
    if (items.length === 0)
      items.push({ id: itemId('message'), type: 'message', text: '', name: '', callId: '' })
    reply.jsonLine(200, response(done))
  }

  const closeItem = async () => {
    const item = open
    if (!item) return
    open = undefined
    const place = { item_id: item.id, output_index: items.indexOf(item) }
    if (item.type === 'message') {
      await event('response.output_text.done', {
        ...place,
        content_index: 0,
        text: item.text,
        logprobs: [],
      })
      await event('response.content_part.done', {
        ...place,
        content_index: 0,
        part: outputText(item.text),
      })
    } else if (item.type === 'reasoning')
      await event('response.reasoning_summary_text.done', {
        ...place,
        summary_index: 0,
        text: item.text,
      })
    else await event('response.function_call_arguments.done', { ...place, arguments: item.text })
    await event('response.output_item.done', {
      output_index: place.output_index,
      item: shown(item, 'completed'),
    })
  }
  const itemFor = async (piece: Piece): Promise<Item> => {
    const type =
      piece.kind === 'call' ? 'function_call' : piece.kind === 'thinking' ? 'reasoning' : 'message'
    const last = items.at(-1)
    if (last && last.type === type && type !== 'function_call') return last
    if (shape.stream) await closeItem()
    const item: Item = {
      id: itemId(type),
      type,
      text: '',
      name: piece.kind === 'call' ? piece.call.name : '',
      callId: piece.kind === 'call' ? `call_${number()}` : '',
    }
    items.push(item)
    if (!shape.stream) return item
    open = item
    const at = { output_index: items.length - 1 }
    await event('response.output_item.added', { ...at, item: shown(item, 'in_progress') })
    if (type === 'message')
      await event('response.content_part.added', {
        item_id: item.id,
        ...at,
        content_index: 0,
        part: outputText(''),
      })
    return item
  }

  return {
    async begin() {
      if (!shape.stream) return
      await event('response.created', { response: response(undefined) })
      await event('response.in_progress', { response: response(undefined) })
    },
    async piece(piece: Piece) {
      const item = await itemFor(piece)
      const delta = piece.kind === 'call' ? toGoJson(piece.call.arguments) : piece.text
      item.text += delta
      if (!shape.stream) return
      const place = { item_id: item.id, output_index: items.indexOf(item) }
      if (item.type === 'message')
        await event('response.output_text.delta', {
          ...place,
          content_index: 0,
          delta,
          logprobs: [],
        })
      else if (item.type === 'reasoning')
        await event('response.reasoning_summary_text.delta', { ...place, summary_index: 0, delta })
      else await event('response.function_call_arguments.delta', { ...place, delta })
    },
    async done(done: Done) {
      if (!shape.stream) return answerWhole(done)
      await closeItem()
      await event('response.completed', { response: response(done) })
      reply.end()
    },
    async silence() {
      if (shape.stream) reply.end()
      else answerWhole(nothingDone)
    },
    async broke() {
      // No further event, and no response.completed.
      reply.end()
    },
  }
}
