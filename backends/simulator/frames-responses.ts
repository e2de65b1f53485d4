import type { Clock } from '../../src/core/clock.ts'
import type { Dice } from '../../src/core/dice.ts'
import { toGoJson } from './go-json.ts'
import type { Done, FrameWriter, Piece } from './inference.ts'
import type { Reply } from './reply.ts'

/** The frames of OpenAI's Responses: numbered events around items. */
export interface ResponsesShape {
  readonly model: string
  readonly stream: boolean
  /** What of the request is said back. */
  readonly echo: Readonly<Record<string, unknown>>
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
  if (shape.stream)
    reply.streams('text/event-stream', { 'Cache-Control': 'no-cache', Connection: 'keep-alive' })

  const event = (type: string, more: Record<string, unknown>) =>
    reply.frame(
      `event: ${type}\ndata: ${toGoJson({ type, sequence_number: sequence++, ...more })}\n\n`,
    )
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
        summary: item.text === '' ? [] : [{ type: 'summary_text', text: item.text }],
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
  const response = (status: string, done: Done | undefined) => ({
    id,
    object: 'response',
    created_at: createdAt,
    completed_at: done ? Math.floor(clock.wall() / 1000) : null,
    status,
    incomplete_details: done?.reason === 'length' ? { reason: 'max_output_tokens' } : null,
    model: shape.model,
    output: done ? items.map((item) => shown(item, 'completed')) : [],
    error: null,
    previous_response_id: null,
    parallel_tool_calls: true,
    store: false,
    ...shape.echo,
    usage: done
      ? {
          input_tokens: done.promptTokens,
          output_tokens: done.outputTokens,
          total_tokens: done.promptTokens + done.outputTokens,
          input_tokens_details: { cached_tokens: 0 },
          output_tokens_details: { reasoning_tokens: 0 },
        }
      : null,
  })

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
    const prefix = { message: 'msg', reasoning: 'rs', function_call: 'fc' }[type]
    const item: Item = {
      id: `${prefix}_${number()}`,
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
      await event('response.created', { response: response('in_progress', undefined) })
      await event('response.in_progress', { response: response('in_progress', undefined) })
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
      if (!shape.stream) return reply.jsonLine(200, response('completed', done))
      await closeItem()
      await event('response.completed', { response: response('completed', done) })
      reply.end()
    },
    async silence() {
      if (shape.stream) reply.end()
      else reply.jsonLine(200, response('in_progress', undefined))
    },
    async broke() {
      // No further event, and no response.completed.
      reply.end()
    },
  }
}
