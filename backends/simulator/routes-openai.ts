import { embedAll } from './embedding.ts'
import { openaiWriter } from './frames-openai.ts'
import { responsesWriter } from './frames-responses.ts'
import { Fields, isObject, type Json, toGoJson } from './go-json.ts'
import {
  checkOptions,
  demand,
  demandCompletion,
  type FrameWriter,
  findModel,
  fingerprintOf,
  type House,
  infer,
} from './inference.ts'
import { openaiModel, openaiModels } from './listing.ts'
import type { StoredModel } from './models.ts'
import { mediaDigest, type Question, type Turn, turn } from './plan.ts'
import { Refusal } from './refusal.ts'
import type { Reply } from './reply.ts'
import { type Handler, type Route, withStruct } from './routes.ts'
import { readTools, withSystem } from './routes-native.ts'

/** The routes of OpenAI's API that Ollama has. */

function stops(value: Json | undefined): string[] {
  if (typeof value === 'string') return [value]
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []
}

/** Asks the model with what every compatible route has in common: no options, no keep_alive, no num_ctx. */
export async function inferCompatible(
  house: House,
  model: StoredModel,
  name: string,
  question: Question,
  reply: Reply,
  writer: FrameWriter,
): Promise<void> {
  demandCompletion(model, name, 'chat')
  demand(model, name, [
    ...(question.tools.length === 0 ? [] : ['tools']),
    ...(question.turns.some((one) => one.images.length > 0) ? ['vision'] : []),
  ])
  const fingerprint = fingerprintOf(model, checkOptions(model, undefined), true, house.settings)
  await infer(
    house,
    { model, question, fingerprint, keepAliveMs: undefined, truncate: true, shift: true },
    reply,
    writer,
  )
}

function responseFormat(value: Json | undefined): Json | undefined {
  if (!isObject(value)) return undefined
  if (value['type'] === 'json_object') return 'json'
  if (value['type'] !== 'json_schema') return undefined
  const schema = value['json_schema']
  if (isObject(schema)) return schema['schema'] ?? 'json'
  return value['schema'] ?? 'json'
}

function imageOf(url: string): string {
  const data = /^data:[^;,]*;base64,(.*)$/s.exec(url)
  if (!data) throw new Refusal(400, 'invalid image input')
  return mediaDigest(data[1] ?? '')
}

function chatTurn(message: Fields): Turn {
  const role = (message.string('role') ?? '').toLowerCase()
  const content = message.get('content')
  const calls = message.array('tool_calls', '[]openai.ToolCall') ?? []
  const extra = calls.length > 0 ? toGoJson(calls) : ''
  if (content === undefined || typeof content === 'string')
    return turn(role, content ?? '', { extra, thinking: message.string('reasoning') ?? '' })
  if (!Array.isArray(content)) throw new Refusal(400, 'invalid message content type: object')
  let text = ''
  const images: string[] = []
  for (const part of content) {
    if (!isObject(part)) throw new Refusal(400, 'invalid message format')
    const value = part['text']
    const url = isObject(part['image_url']) ? part['image_url']['url'] : part['image_url']
    const audio = isObject(part['input_audio']) ? part['input_audio']['data'] : undefined
    if (part['type'] === 'text' && typeof value === 'string') text += value
    else if (part['type'] === 'image_url' && typeof url === 'string') images.push(imageOf(url))
    else if (part['type'] === 'input_audio' && typeof audio === 'string')
      images.push(mediaDigest(audio))
    else throw new Refusal(400, 'invalid message format')
  }
  return turn(role, text, { images, extra })
}

function thinks(model: StoredModel, effort: string | undefined, name: string): boolean {
  const able = model.capabilities.includes('thinking')
  if (effort === undefined) return able
  if (effort === 'none') return false
  if (!['minimal', 'low', 'medium', 'high', 'xhigh', 'ultra', 'max'].includes(effort))
    throw new Refusal(400, `invalid reasoning value: '${effort}'`)
  demand(model, name, ['thinking'])
  return true
}

function effortOf(fields: Fields): string | undefined {
  const nested = fields.object('reasoning')?.['effort']
  return fields.string('reasoning_effort') ?? (typeof nested === 'string' ? nested : undefined)
}

function usageWanted(fields: Fields): boolean {
  return fields.object('stream_options')?.['include_usage'] === true
}

const chatCompletions: Handler = withStruct(
  'ChatCompletionRequest',
  async (house, fields, reply) => {
    const messages = fields.structs('messages', 'openai.Message') ?? []
    if (messages.length === 0) throw new Refusal(400, `[] is too short - 'messages'`)
    const name = fields.string('model') ?? ''
    const turns = messages.map(chatTurn)
    if (name === '') throw new Refusal(400, 'model is required')
    const model = findModel(house, name)
    const top = fields.integer('top_logprobs') ?? 0
    if (top < 0 || top > 20) throw new Refusal(400, 'top_logprobs must be between 0 and 20')
    const question: Question = {
      turns: withSystem(turns, model),
      raw: undefined,
      before: '',
      tools: readTools(fields.array('tools', '[]api.Tool')),
      format: responseFormat(fields.get('response_format')),
      think: thinks(model, effortOf(fields), name),
      seed: fields.integer('seed'),
      temperature: fields.number('temperature') ?? 1,
      numPredict: fields.integer('max_tokens') ?? -1,
      stop: stops(fields.get('stop')),
      logprobs: fields.boolean('logprobs') ? top : undefined,
    }
    const stream = fields.boolean('stream') ?? false
    const shape = { route: 'chat', model: name, stream, includeUsage: usageWanted(fields) } as const
    const writer = openaiWriter(reply, shape, house.clock, house.dice)
    await inferCompatible(house, model, name, question, reply, writer)
  },
  'EOF',
)

const completions: Handler = withStruct(
  'CompletionRequest',
  async (house, fields, reply) => {
    const name = fields.string('model') ?? ''
    const prompt = fields.string('prompt') ?? ''
    if (name === '') throw new Refusal(404, `model '' not found`)
    const model = findModel(house, name)
    const suffix = fields.string('suffix') ?? ''
    if (suffix !== '') demand(model, name, ['insert'])
    const question: Question = {
      turns: withSystem(
        [turn('user', suffix === '' ? prompt : `${prompt}<|suffix|>${suffix}`)],
        model,
      ),
      raw: undefined,
      before: '',
      tools: [],
      format: undefined,
      think: false,
      seed: fields.integer('seed'),
      temperature: fields.number('temperature') ?? 1,
      numPredict: fields.integer('max_tokens') ?? -1,
      stop: stops(fields.get('stop')),
      logprobs: undefined,
    }
    const shape = {
      route: 'completion',
      model: name,
      stream: fields.boolean('stream') ?? false,
      includeUsage: usageWanted(fields),
    } as const
    const writer = openaiWriter(reply, shape, house.clock, house.dice)
    await inferCompatible(house, model, name, question, reply, writer)
  },
  'EOF',
)

const embeddings: Handler = withStruct(
  'EmbedRequest',
  async (house, fields, reply) => {
    const name = fields.string('model') ?? ''
    const input = fields.get('input')
    const inputs = typeof input === 'string' ? [input] : Array.isArray(input) ? input : []
    if (inputs.length === 0 || inputs.some((one) => typeof one !== 'string' || one === ''))
      throw new Refusal(400, 'invalid input')
    const format = fields.string('encoding_format') ?? 'float'
    if (format !== 'float' && format !== 'base64')
      throw new Refusal(
        400,
        `Invalid value for 'encoding_format' = ${format}. Supported values: ["float", "base64"].`,
      )
    const model = findModel(house, name, `model "${name}" not found, try pulling it first`)
    const done = await embedAll(house, model, inputs as string[], fields, reply)
    reply.jsonLine(200, {
      object: 'list',
      data: done.vectors.map((vector, index) => ({
        object: 'embedding',
        embedding:
          format === 'float'
            ? vector
            : Buffer.from(new Float32Array(vector).buffer).toString('base64'),
        index,
      })),
      model: name,
      usage: { prompt_tokens: done.promptTokens, total_tokens: done.promptTokens },
    })
  },
  'EOF',
)

/** The items of a Responses request as turns. */
function responseTurns(input: Json | undefined): Turn[] {
  if (typeof input === 'string') return [turn('user', input)]
  if (!Array.isArray(input)) throw new Refusal(400, 'input must be a string or array of items')
  return input.map((value) => {
    if (!isObject(value)) throw new Refusal(400, 'input item must be an object')
    const item = new Fields(value, 'ResponsesInputItem')
    const type = item.string('type') ?? 'message'
    if (type === 'function_call_output') {
      const output = item.get('output')
      return turn('tool', typeof output === 'string' ? output : toGoJson(output ?? ''))
    }
    if (type === 'function_call')
      return turn('assistant', '', {
        extra: `${item.string('name') ?? ''}(${item.string('arguments') ?? ''})`,
      })
    if (type !== 'message') return turn('assistant', '', { extra: toGoJson(value) })
    const content = item.get('content')
    const role = item.string('role') ?? 'user'
    const spoken = role === 'developer' ? 'system' : role
    if (!Array.isArray(content)) return turn(spoken, typeof content === 'string' ? content : '')
    let text = ''
    const images: string[] = []
    for (const part of content) {
      if (!isObject(part)) continue
      if (typeof part['text'] === 'string') text += part['text']
      if (typeof part['image_url'] === 'string') images.push(imageOf(part['image_url']))
    }
    return turn(spoken, text, { images })
  })
}

const responses: Handler = withStruct(
  'ResponsesRequest',
  async (house, fields, reply) => {
    const name = fields.string('model') ?? ''
    if (name === '') throw new Refusal(400, 'model is required')
    for (const field of ['previous_response_id', 'conversation'])
      if (fields.has(field)) throw new Refusal(400, `${field} is not supported`)
    const turns = responseTurns(fields.get('input'))
    const instructions = fields.string('instructions') ?? ''
    const model = findModel(house, name)
    const question: Question = {
      turns:
        instructions === '' ? withSystem(turns, model) : [turn('system', instructions), ...turns],
      raw: undefined,
      before: '',
      tools: readTools(fields.array('tools', '[]responses.Tool')),
      format: responseFormat(fields.object('text')?.['format']),
      think: thinks(model, effortOf(fields), name),
      seed: undefined,
      temperature: fields.number('temperature') ?? 1,
      numPredict: fields.integer('max_output_tokens') ?? -1,
      stop: [],
      logprobs: undefined,
    }
    const shape = {
      model: name,
      stream: fields.boolean('stream') ?? false,
      echo: {
        instructions: instructions === '' ? null : instructions,
        temperature: question.temperature,
        top_p: fields.number('top_p') ?? 1,
        tools: fields.get('tools') ?? [],
        tool_choice: fields.get('tool_choice') ?? 'auto',
        truncation: fields.string('truncation') ?? 'disabled',
        text: fields.get('text') ?? { format: { type: 'text' } },
        metadata: {},
      },
    }
    const writer = responsesWriter(reply, shape, house.clock, house.dice)
    await inferCompatible(house, model, name, question, reply, writer)
  },
  'EOF',
)

export const openaiRoutes: readonly Route[] = [
  {
    method: 'GET',
    path: '/v1/models',
    handle: (house, _call, reply) => reply.jsonLine(200, openaiModels(house)),
  },
  {
    method: 'GET',
    path: '/v1/models/:model',
    handle: (house, call, reply) =>
      reply.jsonLine(200, openaiModel(findModel(house, call.parameter), call.parameter)),
  },
  { method: 'POST', path: '/v1/chat/completions', handle: chatCompletions },
  { method: 'POST', path: '/v1/completions', handle: completions },
  { method: 'POST', path: '/v1/embeddings', handle: embeddings },
  { method: 'POST', path: '/v1/responses', handle: responses },
]
