import { randomBytes } from 'node:crypto'
import { toGoJson } from './go-json.ts'
import type { Done, FrameWriter, Piece } from './inference.ts'
import type { Reply } from './reply.ts'

/** Anthropic's frames: events with names, in blocks that are opened and closed. */
export interface AnthropicShape {
  readonly model: string
  readonly stream: boolean
}

type Block = { type: 'text' | 'thinking'; said: string } | { type: 'tool_use'; body: object }

function stopReason(done: Done): string {
  if (done.called) return 'tool_use'
  if (done.reason === 'length') return 'max_tokens'
  return 'end_turn'
}

export function anthropicWriter(reply: Reply, shape: AnthropicShape): FrameWriter {
  const id = `msg_${randomBytes(12).toString('hex')}`
  const blocks: Block[] = []
  let openIndex = -1
  const event = (type: string, more: Record<string, unknown>) =>
    reply.frame(`event: ${type}\ndata: ${toGoJson({ type, ...more })}\n\n`)
  const message = (
    content: unknown[] | null,
    reason: string | null,
    usage: Record<string, number>,
  ) => ({
    id,
    type: 'message',
    role: 'assistant',
    model: shape.model,
    content,
    ...(reason === null ? {} : { stop_reason: reason }),
    usage,
  })

  const close = async () => {
    if (openIndex < 0) return
    await event('content_block_stop', { index: openIndex })
    openIndex = -1
  }
  const open = async (block: Block, empty: Record<string, unknown>) => {
    await close()
    blocks.push(block)
    openIndex = blocks.length - 1
    await event('content_block_start', { index: openIndex, content_block: empty })
  }

  const streamPiece = async (piece: Piece) => {
    if (piece.kind === 'call') {
      const body = { type: 'tool_use', id: toolId(), name: piece.call.name, input: {} }
      await open({ type: 'tool_use', body }, body)
      await event('content_block_delta', {
        index: openIndex,
        delta: { type: 'input_json_delta', partial_json: toGoJson(piece.call.arguments) },
      })
      return
    }
    const thinking = piece.kind === 'thinking'
    if (openIndex < 0 || blocks[openIndex]?.type !== piece.kind)
      await open(
        { type: piece.kind, said: '' },
        thinking ? { type: 'thinking', thinking: '' } : { type: 'text', text: '' },
      )
    await event('content_block_delta', {
      index: openIndex,
      delta: thinking
        ? { type: 'thinking_delta', thinking: piece.text }
        : { type: 'text_delta', text: piece.text },
    })
  }

  const keepPiece = (piece: Piece) => {
    if (piece.kind === 'call') {
      const { name, arguments: input } = piece.call
      blocks.push({ type: 'tool_use', body: { type: 'tool_use', id: toolId(), name, input } })
      return
    }
    const last = blocks.at(-1)
    if (last && last.type === piece.kind) last.said += piece.text
    else blocks.push({ type: piece.kind, said: piece.text })
  }

  const answerWhole = (reason: string | null, done: Done | undefined) =>
    reply.jsonLine(
      200,
      message(
        // Without a word Go's list is no list at all.
        blocks.length === 0
          ? null
          : blocks.map((block) => {
              if (block.type === 'tool_use') return block.body
              return block.type === 'thinking'
                ? { type: 'thinking', thinking: block.said }
                : { type: 'text', text: block.said }
            }),
        reason,
        { input_tokens: done?.promptTokens ?? 0, output_tokens: done?.outputTokens ?? 0 },
      ),
    )

  return {
    async begin(promptTokens: number) {
      if (!shape.stream) return
      await event('message_start', {
        message: message([], null, { input_tokens: promptTokens, output_tokens: 0 }),
      })
    },
    async piece(piece: Piece) {
      if (shape.stream) await streamPiece(piece)
      else keepPiece(piece)
    },
    async done(done: Done) {
      // A stop sequence is not told from an end of its own.
      const reason = stopReason(done)
      if (!shape.stream) return answerWhole(reason, done)
      await close()
      await event('message_delta', {
        delta: { stop_reason: reason },
        usage: { input_tokens: done.promptTokens, output_tokens: done.outputTokens },
      })
      await event('message_stop', {})
      reply.end()
    },
    async silence() {
      if (shape.stream) reply.end()
      else answerWhole(null, undefined)
    },
    async broke() {
      // The error is swallowed: no event, no message_stop.
      reply.end()
    },
  }
}

function toolId(): string {
  return `call_${randomBytes(4).toString('hex')}`
}
