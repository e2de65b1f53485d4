import type { Fields, Json } from './go-json.ts'
import {
  checkOptions,
  findModel,
  fingerprintOf,
  type House,
  readKeepAlive,
  takeRunner,
} from './inference.ts'
import type { StoredModel } from './models.ts'
import { tokenCount } from './prompt-cache.ts'
import { Refusal } from './refusal.ts'
import type { Reply } from './reply.ts'
import { embeddingOf } from './text.ts'

export interface Embedded {
  readonly vectors: number[][]
  readonly promptTokens: number
  readonly totalMs: number
  readonly loadMs: number
}

/** Every input takes a slot of its own, so one large batch can hold them all; the order of results is kept. */
export async function embedAll(
  house: House,
  model: StoredModel,
  inputs: readonly string[],
  fields: Fields,
  reply: Reply,
): Promise<Embedded> {
  const startedAt = house.clock.now()
  const options = checkOptions(model, fields.object('options'))
  const fingerprint = fingerprintOf(model, options, true, house.settings)
  const keepAliveMs = readKeepAlive(fields.get('keep_alive'))
  const truncate = fields.boolean('truncate') ?? true
  const dimensions = Math.min(
    fields.integer('dimensions') || model.embeddingLength,
    model.embeddingLength,
  )
  using hold = await takeRunner(house, model, fingerprint, keepAliveMs, reply)
  const loadMs = house.clock.now() - startedAt

  const longest = fingerprint.contextTokens * 4
  const prompts = inputs.map((input) => {
    if (input.length > longest && !truncate)
      throw new Refusal(400, 'the input length exceeds the context length')
    return input.slice(0, longest)
  })
  const vectors = await Promise.all(
    prompts.map(async (prompt) => {
      const { entry, signal } = reply
      await hold.runner.work(
        { prompt, pieces: 0, entry, signal },
        async () => {},
        () => '',
      )
      return embeddingOf(model.weights, prompt, Math.max(1, dimensions))
    }),
  )
  const promptTokens = prompts.reduce((sum, prompt) => sum + tokenCount(prompt), 0)
  return { vectors, promptTokens, totalMs: house.clock.now() - startedAt, loadMs }
}

/** A string, or a list of strings; anything else is refused. */
export function readInputs(value: Json | undefined): string[] {
  if (value === undefined || value === '') return []
  if (typeof value === 'string') return [value]
  if (!Array.isArray(value)) throw new Refusal(400, 'invalid input type')
  return value.map((one) => {
    if (typeof one !== 'string') throw new Refusal(400, 'invalid input type')
    return one
  })
}

const ns = (ms: number) => Math.max(1, Math.round(ms * 1e6))

/** POST /api/embed */
export async function embed(house: House, fields: Fields, reply: Reply): Promise<void> {
  const name = fields.string('model') ?? ''
  if (name.trim() === '') throw new Refusal(404, `model '' not found`)
  const model = findModel(house, name, `model "${name}" not found, try pulling it first`)
  const inputs = readInputs(fields.get('input'))
  const done = await embedAll(house, model, inputs, fields, reply)
  reply.json(200, {
    model: name,
    embeddings: done.vectors,
    ...(inputs.length === 0
      ? {}
      : {
          total_duration: ns(done.totalMs),
          load_duration: ns(done.loadMs),
          prompt_eval_count: done.promptTokens,
        }),
  })
}

/** POST /api/embeddings, the old way: one prompt, no figures. */
export async function embeddings(house: House, fields: Fields, reply: Reply): Promise<void> {
  const name = fields.string('model') ?? ''
  if (name === '') throw new Refusal(400, 'model is required')
  const model = findModel(house, name, `model "${name}" not found, try pulling it first`)
  const prompt = fields.string('prompt') ?? ''
  const done = await embedAll(house, model, prompt === '' ? [] : [prompt], fields, reply)
  reply.json(200, { embedding: done.vectors[0] ?? [] })
}
