import { embedAll, readInputs } from './embedding.ts'
import { openaiWriter } from './frames-openai.ts'
import { type ResponsesShape, responsesWriter } from './frames-responses.ts'
import { Fields, isObject, type Json, sortedKeys, toGoJson } from './go-json.ts'
import {
  checkOptions,
  demand,
  demandCompletion,
  type FrameWriter,
  findModel,
  fingerprintOf,
  type House,
  infer,
  nothingDone,
  takeRunner,
} from './inference.ts'
import { notFoundText, openaiModel, openaiModels } from './listing.ts'
import type { StoredModel } from './models.ts'
import { mediaDigest, type Question, type Turn, turn } from './plan.ts'
import { Refusal } from './refusal.ts'
import { eventHeaders, type Reply } from './reply.ts'
import { type Handler, type Route, withLayer } from './routes.ts'
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
  if (/^https?:\/\//i.test(url))
    throw new Refusal(
      400,
      'image URLs are not currently supported, please use base64 encoded data instead',
    )
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

const efforts = {
  old: ['high', 'medium', 'low', 'max', 'none'],
  new: ['minimal', 'low', 'medium', 'high', 'xhigh', 'ultra', 'max', 'none'],
} as const

/** The effort that is asked for, if it is one. */
function readEffort(fields: Fields, house: House, responses: boolean): string | undefined {
  const nested = fields.object('reasoning')?.['effort']
  const effort =
    fields.string('reasoning_effort') ?? (typeof nested === 'string' ? nested : undefined)
  if (effort === undefined || effort === '') return undefined
  const { generation } = house.settings
  const known: readonly string[] = efforts[generation]
  if (known.includes(effort)) return effort
  const list = known.map((one, at) => `${at === known.length - 1 ? 'or ' : ''}"${one}"`).join(', ')
  const said = generation === 'old' && !responses ? `'${effort}'` : JSON.stringify(effort)
  throw new Refusal(400, `invalid reasoning value: ${said} (must be ${list})`)
}

function thinks(model: StoredModel, effort: string | undefined, name: string): boolean {
  if (effort === undefined) return model.capabilities.includes('thinking')
  if (effort === 'none') return false
  demand(model, name, ['thinking'])
  return true
}

function usageWanted(fields: Fields): boolean {
  return fields.object('stream_options')?.['include_usage'] === true
}

const chatCompletions: Handler = withLayer(
  'ChatCompletionRequest',
  (fields, house) => {
    const messages = fields.structs('messages', 'openai.Message') ?? []
    if (messages.length === 0) throw new Refusal(400, `[] is too short - 'messages'`)
    return {
      name: fields.string('model') ?? '',
      turns: messages.map(chatTurn),
      effort: readEffort(fields, house, false),
      top: fields.integer('top_logprobs') ?? 0,
      logprobs: fields.boolean('logprobs') ?? false,
      stream: fields.boolean('stream') ?? false,
      includeUsage: usageWanted(fields),
      tools: readTools(fields.array('tools', '[]api.Tool')),
      format: responseFormat(fields.get('response_format')),
      seed: fields.integer('seed'),
      temperature: fields.number('temperature') ?? 1,
      numPredict: fields.integer('max_tokens') ?? -1,
      stop: stops(fields.get('stop')),
    }
  },
  async (house, asked, _fields, reply) => {
    const { name, turns, effort, top, logprobs, stream, includeUsage, ...more } = asked
    if (name === '') throw new Refusal(400, 'model is required')
    const model = findModel(house, name)
    if (top < 0 || top > 20) throw new Refusal(400, 'top_logprobs must be between 0 and 20')
    const question: Question = {
      ...more,
      turns: withSystem(turns, model),
      raw: undefined,
      before: '',
      think: thinks(model, effort, name),
      logprobs: logprobs ? top : undefined,
    }
    const roleInEveryChunk = house.settings.generation === 'old'
    const shape = { route: 'chat', model: name, stream, includeUsage, roleInEveryChunk } as const
    const writer = openaiWriter(reply, shape, house.clock, house.dice)
    await inferCompatible(house, model, name, question, reply, writer)
  },
)

const completions: Handler = withLayer(
  'CompletionRequest',
  (fields) => ({
    name: fields.string('model') ?? '',
    prompt: fields.string('prompt') ?? '',
    suffix: fields.string('suffix') ?? '',
    stream: fields.boolean('stream') ?? false,
    includeUsage: usageWanted(fields),
    seed: fields.integer('seed'),
    temperature: fields.number('temperature') ?? 1,
    numPredict: fields.integer('max_tokens') ?? -1,
    stop: stops(fields.get('stop')),
  }),
  async (house, asked, _fields, reply) => {
    const { name, prompt, suffix, stream, includeUsage, ...more } = asked
    if (name === '') throw new Refusal(404, `model '' not found`)
    const model = findModel(house, name)
    if (suffix !== '') demand(model, name, ['insert'])
    const question: Question = {
      ...more,
      turns: withSystem(
        [turn('user', suffix === '' ? prompt : `${prompt}<|suffix|>${suffix}`)],
        model,
      ),
      raw: undefined,
      before: '',
      tools: [],
      format: undefined,
      think: false,
      logprobs: undefined,
    }
    const shape = {
      route: 'completion',
      model: name,
      stream,
      includeUsage,
      roleInEveryChunk: false,
    } as const
    const writer = openaiWriter(reply, shape, house.clock, house.dice)
    await inferCompatible(house, model, name, question, reply, writer)
  },
)

const embeddings: Handler = withLayer(
  'EmbedRequest',
  (fields) => {
    const input = fields.get('input')
    const format = fields.string('encoding_format') ?? 'float'
    if (format !== 'float' && format !== 'base64')
      throw new Refusal(
        400,
        `Invalid value for 'encoding_format' = ${format}. Supported values: ['float', 'base64'].`,
      )
    if (input === undefined || input === null || input === '')
      throw new Refusal(400, 'invalid input')
    if (Array.isArray(input) && input.length === 0) throw new Refusal(400, 'invalid input')
    return { name: fields.string('model') ?? '', input, format }
  },
  async (house, { name, input, format }, fields, reply) => {
    const model = findModel(house, name, `model "${name}" not found, try pulling it first`)
    const done = await embedAll(house, model, readInputs(input), fields, reply)
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

/** A tool as it is said back. */
function toolEcho(value: Json): unknown {
  if (!isObject(value)) return value
  const { type, name, description, strict, parameters, ...more } = value
  const described = description === undefined ? {} : { description }
  const took = parameters === undefined ? {} : { parameters: sortedKeys(parameters) }
  return { type, name, ...described, strict: strict ?? null, ...took, ...more }
}

const responses: Handler = withLayer(
  'ResponsesRequest',
  (fields, house, reply) => {
    for (const field of ['previous_response_id', 'conversation'])
      if (fields.has(field)) throw new Refusal(400, `${field} is not supported`)
    const input = fields.get('input')
    const tools = fields.array('tools', '[]responses.Tool')
    const stream = fields.boolean('stream') ?? false
    const asked = {
      name: fields.string('model') ?? '',
      turns: input === undefined ? [] : responseTurns(input),
      instructions: fields.string('instructions') ?? '',
      effort: readEffort(fields, house, true),
      tools: readTools(tools),
      format: responseFormat(fields.object('text')?.['format']),
      temperature: fields.number('temperature') ?? 1,
      maxTokens: fields.integer('max_output_tokens'),
      stream,
      shown: (tools ?? []).map(toolEcho),
    }
    if (stream) reply.streams('text/event-stream', eventHeaders)
    return asked
  },
  async (house, asked, fields, reply) => {
    const { name, instructions, turns } = asked
    if (name === '') throw new Refusal(400, 'model is required')
    const model = findModel(house, name)
    const question: Question = {
      turns:
        instructions === '' ? withSystem(turns, model) : [turn('system', instructions), ...turns],
      raw: undefined,
      before: '',
      tools: asked.tools,
      format: asked.format,
      think: thinks(model, asked.effort, name),
      seed: undefined,
      temperature: asked.temperature,
      numPredict: asked.maxTokens ?? -1,
      stop: [],
      logprobs: undefined,
    }
    const shape: ResponsesShape = {
      model: name,
      stream: asked.stream,
      instructions: instructions === '' ? null : instructions,
      temperature: asked.temperature,
      topP: fields.number('top_p') ?? 1,
      tools: asked.shown,
      toolChoice: fields.get('tool_choice') ?? 'auto',
      truncation: fields.string('truncation') ?? 'disabled',
      text: fields.get('text') ?? { format: { type: 'text' } },
      effort: asked.effort,
      maxTokens: asked.maxTokens ?? null,
    }
    const writer = responsesWriter(reply, shape, house.clock, house.dice)
    if (question.turns.length > 0)
      return inferCompatible(house, model, name, question, reply, writer)
    // Nothing was asked: the model is loaded, and the answer is an empty one.
    const fingerprint = fingerprintOf(model, checkOptions(model, undefined), true, house.settings)
    using _ = await takeRunner(house, model, fingerprint, undefined, reply)
    await writer.begin?.(0)
    await writer.done(nothingDone)
  },
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
      reply.jsonLine(
        200,
        openaiModel(
          findModel(house, call.parameter, notFoundText(house, call.parameter)),
          call.parameter,
        ),
      ),
  },
  { method: 'POST', path: '/v1/chat/completions', handle: chatCompletions },
  { method: 'POST', path: '/v1/completions', handle: completions },
  { method: 'POST', path: '/v1/embeddings', handle: embeddings },
  { method: 'POST', path: '/v1/responses', handle: responses },
]
