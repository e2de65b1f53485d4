import { textOf } from './context.ts'
import { loadAnswer, type NativeShape, nativeWriter, renderedAnswer } from './frames-native.ts'
import { type Fields, isObject, type Json, toGoJson } from './go-json.ts'
import {
  checkOptions,
  demand,
  demandCompletion,
  findModel,
  fingerprintOf,
  type House,
  infer,
  optionNumber,
  optionStops,
  readFormat,
  readKeepAlive,
  takeRunner,
} from './inference.ts'
import type { StoredModel } from './models.ts'
import { mediaDigest, type Question, type Tool, type Turn, turn } from './plan.ts'
import { Refusal } from './refusal.ts'
import type { Reply } from './reply.ts'

/** POST /api/generate */
export async function generate(house: House, fields: Fields, reply: Reply): Promise<void> {
  const name = fields.string('model') ?? ''
  const prompt = fields.string('prompt') ?? ''
  const suffix = fields.string('suffix') ?? ''
  const keepAliveMs = readKeepAlive(fields.get('keep_alive'))
  const wish = readThink(fields)
  if (name.trim() === '') throw new Refusal(404, `model '' not found`)
  const model = findModel(house, name)
  if (prompt === '' && keepAliveMs === 0) {
    house.scheduler.unload(model)
    return reply.json(200, loadAnswer('generate', name, 'unload', house.clock))
  }
  const system = fields.string('system')
  const template = fields.string('template')
  const raw = fields.boolean('raw') ?? false
  const context = (fields.array('context', '[]int') ?? []).filter((id) => typeof id === 'number')
  if (raw && (template || system || context.length > 0))
    throw new Refusal(400, 'raw mode does not support template, system, or context')
  const logprobs = readLogprobs(fields)
  const images = fields.strings('images') ?? []
  const think = thinks(wish, model, name)
  demandCompletion(model, name, 'generate')
  demand(model, name, [
    ...(suffix === '' ? [] : ['insert']),
    ...(images.length === 0 ? [] : ['vision']),
  ])

  const shift = fields.boolean('shift') ?? true
  const options = checkOptions(model, fields.object('options'))
  const fingerprint = fingerprintOf(model, options, shift, house.settings)
  if (prompt === '') {
    using _ = await takeRunner(house, model, fingerprint, keepAliveMs, reply)
    return reply.json(200, loadAnswer('generate', name, 'load', house.clock))
  }

  const instruction = system ?? model.system
  const asked = turn('user', suffix === '' ? prompt : `${prompt}<|suffix|>${suffix}`, {
    images: images.map(mediaDigest),
  })
  const question: Question = {
    turns: raw ? [] : [...(instruction ? [turn('system', instruction)] : []), asked],
    raw: raw ? prompt : undefined,
    before: textOf(context),
    tools: [],
    format: readFormat(fields.get('format')),
    think,
    ...samplingOf(options, 0.8),
    logprobs,
  }
  const shape: NativeShape = {
    route: 'generate',
    model: name,
    stream: fields.boolean('stream') ?? true,
    raw,
    remoteHost: model.remoteHost,
    callsLast: house.settings.toolCallLine === 'last',
  }
  const truncate = fields.boolean('truncate') ?? true
  await infer(
    house,
    {
      model,
      question,
      fingerprint,
      keepAliveMs,
      truncate,
      shift,
      renderOnly: renderOnly(house, fields, shape, reply),
    },
    reply,
    nativeWriter(reply, shape, house.clock),
  )
}

/** POST /api/chat */
export async function chat(house: House, fields: Fields, reply: Reply): Promise<void> {
  const name = fields.string('model') ?? ''
  const messages = fields.structs('messages', 'api.Message') ?? []
  const turns = messages.map(nativeTurn)
  const keepAliveMs = readKeepAlive(fields.get('keep_alive'))
  const wish = readThink(fields)
  if (name.trim() === '') throw new Refusal(400, 'model is required')
  const model = findModel(house, name)
  if (messages.length === 0 && keepAliveMs === 0) {
    house.scheduler.unload(model)
    return reply.json(200, loadAnswer('chat', name, 'unload', house.clock))
  }
  const logprobs = readLogprobs(fields)
  const think = thinks(wish, model, name)
  const tools = readTools(fields.array('tools', '[]api.Tool'))
  demandCompletion(model, name, 'chat')
  demand(model, name, [
    ...(tools.length === 0 ? [] : ['tools']),
    ...(turns.some((one) => one.images.length > 0) ? ['vision'] : []),
  ])

  const shift = fields.boolean('shift') ?? true
  const options = checkOptions(model, fields.object('options'))
  const fingerprint = fingerprintOf(model, options, shift, house.settings)
  if (messages.length === 0) {
    using _ = await takeRunner(house, model, fingerprint, keepAliveMs, reply)
    return reply.json(200, loadAnswer('chat', name, 'load', house.clock))
  }

  const question: Question = {
    turns: withSystem(turns, model),
    raw: undefined,
    before: '',
    tools,
    format: readFormat(fields.get('format')),
    think,
    ...samplingOf(options, 0.8),
    logprobs,
  }
  const shape: NativeShape = {
    route: 'chat',
    model: name,
    stream: fields.boolean('stream') ?? true,
    raw: false,
    remoteHost: model.remoteHost,
    callsLast: house.settings.toolCallLine === 'last',
  }
  const truncate = fields.boolean('truncate') ?? true
  await infer(
    house,
    {
      model,
      question,
      fingerprint,
      keepAliveMs,
      truncate,
      shift,
      renderOnly: renderOnly(house, fields, shape, reply),
    },
    reply,
    nativeWriter(reply, shape, house.clock),
  )
}

function samplingOf(
  options: Record<string, Json>,
  temperature: number,
): Pick<Question, 'seed' | 'temperature' | 'numPredict' | 'stop'> {
  const seed = optionNumber(options, 'seed')
  return {
    // Ollama draws a seed of its own for -1; here "no seed" is one fixed seed, so that every text can be foretold.
    seed: seed === -1 ? undefined : seed,
    temperature: optionNumber(options, 'temperature') ?? temperature,
    numPredict: optionNumber(options, 'num_predict') ?? -1,
    stop: optionStops(options),
  }
}

/** The model's own system text stands in where the conversation has none. */
export function withSystem(turns: readonly Turn[], model: StoredModel): Turn[] {
  if (model.system === '' || turns[0]?.role === 'system') return [...turns]
  return [turn('system', model.system), ...turns]
}

export function readTools(values: readonly Json[] | undefined): Tool[] {
  return (values ?? []).map((value) => {
    const outer = isObject(value) ? value : {}
    const inner = isObject(outer['function']) ? outer['function'] : outer
    const name = inner['name']
    return {
      name: typeof name === 'string' ? name : '',
      parameters: inner['parameters'] ?? inner['input_schema'] ?? null,
    }
  })
}

function nativeTurn(message: Fields): Turn {
  const calls = message.array('tool_calls', '[]api.ToolCall') ?? []
  const toolName = message.string('tool_name') ?? ''
  return turn((message.string('role') ?? '').toLowerCase(), message.string('content') ?? '', {
    images: (message.strings('images') ?? []).map(mediaDigest),
    thinking: message.string('thinking') ?? '',
    extra: (calls.length > 0 ? toGoJson(calls) : '') + toolName,
  })
}

function readLogprobs(fields: Fields): number | undefined {
  const top = fields.integer('top_logprobs') ?? 0
  if (top < 0 || top > 20) throw new Refusal(400, 'top_logprobs must be between 0 and 20')
  return fields.boolean('logprobs') ? top : undefined
}

function readThink(fields: Fields): boolean | string | undefined {
  const value = fields.get('think')
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string' && !['low', 'medium', 'high', 'max'].includes(value))
    throw new Refusal(
      400,
      `invalid think value: ${JSON.stringify(value)} (must be "high", "medium", "low", "max", true, or false)`,
    )
  if (typeof value !== 'string' && typeof value !== 'boolean')
    throw new Refusal(
      400,
      'think must be a boolean or string ("high", "medium", "low", "max", true, or false)',
    )
  return value
}

function thinks(wish: boolean | string | undefined, model: StoredModel, name: string): boolean {
  if (wish === undefined) return model.capabilities.includes('thinking')
  if (wish !== false) demand(model, name, ['thinking'])
  return wish !== false
}

/** `_debug_render_only`: the model is loaded, and its prompt is the answer, in one object whatever `stream` says. */
function renderOnly(house: House, fields: Fields, shape: NativeShape, reply: Reply) {
  if (!fields.boolean('_debug_render_only')) return undefined
  return (prompt: string) => reply.json(200, renderedAnswer(shape, prompt, house.clock))
}
