import { anthropicWriter } from './frames-anthropic.ts'
import { type Fields, isObject, type Json, toGoJson } from './go-json.ts'
import { findModel } from './inference.ts'
import { mediaDigest, type Question, type Turn, turn } from './plan.ts'
import { Refusal } from './refusal.ts'
import { eventHeaders } from './reply.ts'
import { type Handler, type Route, withLayer } from './routes.ts'
import { readTools, withSystem } from './routes-native.ts'
import { inferCompatible } from './routes-openai.ts'

/** A message of blocks as turns: results of tools become turns of their own. */
function turnsOf(message: Fields): Turn[] {
  const role = (message.string('role') ?? '').toLowerCase()
  const content = message.get('content')
  if (typeof content === 'string') return [turn(role, content)]
  if (!Array.isArray(content)) throw new Refusal(400, 'content must be a string or array')
  const results: Turn[] = []
  let text = ''
  let thinking = ''
  let extra = ''
  const images: string[] = []
  for (const block of content) {
    if (!isObject(block)) throw new Refusal(400, 'invalid content block')
    switch (block['type']) {
      case 'text':
        text += String(block['text'] ?? '')
        break
      case 'thinking':
        thinking += String(block['thinking'] ?? '')
        break
      case 'image': {
        const data = isObject(block['source']) ? block['source']['data'] : undefined
        if (typeof data !== 'string') throw new Refusal(400, 'invalid image source')
        images.push(mediaDigest(data))
        break
      }
      case 'tool_result':
        results.push(turn('tool', textOf(block['content'])))
        break
      default:
        extra += toGoJson(block)
    }
  }
  const own = text || thinking || extra || images.length > 0 || results.length === 0
  return own ? [...results, turn(role, text, { images, thinking, extra })] : results
}

function textOf(value: Json | undefined): string {
  if (typeof value === 'string') return value
  if (!Array.isArray(value)) return ''
  return value.map((one) => (isObject(one) ? String(one['text'] ?? '') : '')).join('')
}

const messages: Handler = withLayer(
  'MessagesRequest',
  (fields, _house, reply) => {
    const name = fields.string('model') ?? ''
    if (name === '') throw new Refusal(400, 'model is required')
    const maxTokens = fields.integer('max_tokens') ?? 0
    if (maxTokens <= 0) throw new Refusal(400, 'max_tokens is required and must be positive')
    const said = fields.structs('messages', 'anthropic.MessageParam') ?? []
    if (said.length === 0) throw new Refusal(400, 'messages is required')
    const asked = {
      name,
      maxTokens,
      system: textOf(fields.get('system')),
      turns: said.flatMap(turnsOf),
      thinking: fields.object('thinking')?.['type'],
      tools: readTools(fields.array('tools', '[]anthropic.Tool')),
      temperature: fields.number('temperature') ?? 1,
      stop: fields.strings('stop_sequences') ?? [],
      stream: fields.boolean('stream') ?? false,
    }
    if (asked.stream) reply.streams('text/event-stream', eventHeaders)
    return asked
  },
  async (house, asked, _fields, reply) => {
    const { name, system, turns, thinking, tools, temperature, stop, stream } = asked
    const model = findModel(house, name)
    const able = model.capabilities.includes('thinking')
    const question: Question = {
      turns: system === '' ? withSystem(turns, model) : [turn('system', system), ...turns],
      raw: undefined,
      before: '',
      tools,
      format: undefined,
      // Unlike the native routes this one does not mind a model that cannot think.
      think: able && (thinking === undefined || thinking !== 'disabled'),
      seed: undefined,
      temperature,
      numPredict: asked.maxTokens,
      stop,
      logprobs: undefined,
    }
    const writer = anthropicWriter(reply, { model: name, stream })
    await inferCompatible(house, model, name, question, reply, writer)
  },
)

export const anthropicRoutes: readonly Route[] = [
  { method: 'POST', path: '/v1/messages', handle: messages },
]
