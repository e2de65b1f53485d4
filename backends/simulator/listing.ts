import { goLocalTime } from './frames-native.ts'
import type { Fields, JsonObject } from './go-json.ts'
import { findModel, type House } from './inference.ts'
import { displayName, type StoredModel } from './models.ts'
import { Refusal } from './refusal.ts'

/** What models are there, which are loaded, and what one of them is. */

function detailsOf(model: StoredModel, parent = ''): Record<string, unknown> {
  return {
    parent_model: parent,
    format: 'gguf',
    family: model.family,
    families: [model.family],
    parameter_size: parameterSize(model.sizeBytes),
    quantization_level: 'Q4_K_M',
  }
}

function parameterSize(sizeBytes: number): string {
  const parameters = sizeBytes / 0.6
  return parameters >= 1e9
    ? `${(parameters / 1e9).toFixed(1)}B`
    : `${(parameters / 1e6).toFixed(2)}M`
}

const remote = (model: StoredModel) =>
  model.remoteHost === undefined
    ? {}
    : { remote_model: model.name.replace(/[:-]cloud$/, ''), remote_host: model.remoteHost }

export function tags(house: House): unknown {
  const isNew = house.settings.generation === 'new'
  return {
    models: house.store.all().map((model) => ({
      name: model.name,
      model: model.name,
      ...remote(model),
      modified_at: goLocalTime(model.modifiedAt),
      size: model.sizeBytes,
      digest: model.digest,
      details: {
        ...detailsOf(model, isNew ? model.parent : ''),
        ...(isNew
          ? { context_length: model.contextTrain, embedding_length: model.embeddingLength }
          : {}),
      },
      ...(isNew ? { capabilities: model.listedCapabilities ?? model.capabilities } : {}),
    })),
  }
}

export function ps(house: House): unknown {
  const { memoryBytes } = house.settings
  const rows = house.scheduler.runners().map((runner) => ({
    runner,
    // Set when a runner falls idle and stale while it works; estimated before the first time.
    expiresAt: runner.expiresAt ?? house.clock.wall() + runner.keepAliveMs,
  }))
  rows.sort((one, other) =>
    other.expiresAt > one.expiresAt ? 1 : other.expiresAt < one.expiresAt ? -1 : 0,
  )
  return {
    models: rows.map(({ runner, expiresAt }) => ({
      name: runner.model.name,
      model: runner.model.name,
      size: runner.sizeBytes,
      digest: runner.model.digest,
      details: detailsOf(runner.model),
      expires_at: goLocalTime(expiresAt),
      size_vram: Math.min(runner.sizeBytes, memoryBytes ?? runner.sizeBytes),
      context_length: runner.fingerprint.contextTokens,
    })),
  }
}

export function show(house: House, fields: Fields): unknown {
  const name = fields.string('model') || fields.string('name') || ''
  if (name === '') throw new Refusal(400, 'model is required')
  const found = house.store.find(name)
  const model = found ?? findModel(house, name, notFoundText(house, name))
  const system = fields.string('system') || model.system
  const verbose = fields.boolean('verbose') ?? false
  const parameters = parameterLines(model.parameters)
  const family = model.family
  const info: JsonObject = {
    'general.architecture': family,
    'general.basename': model.name.split(':')[0] ?? model.name,
    'general.file_type': 15,
    'general.parameter_count': Math.round(model.sizeBytes / 0.6),
    'general.quantization_version': 2,
    [`${family}.block_count`]: 16,
    [`${family}.context_length`]: model.contextTrain,
    [`${family}.embedding_length`]: model.embeddingLength,
    [`${family}.attention.head_count`]: 32,
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.tokens': verbose ? ['<s>', '</s>', 'sky'] : null,
    'tokenizer.ggml.merges': verbose ? ['s k', 'sk y'] : null,
  }
  if (model.capabilities.includes('embedding')) info[`${family}.pooling_type`] = 1
  return {
    ...(model.license === '' ? {} : { license: model.license }),
    modelfile: modelfileOf(model, system, parameters),
    ...(parameters === '' ? {} : { parameters }),
    template: fields.string('template') || model.template,
    ...(system === '' ? {} : { system }),
    details: detailsOf(model, model.parent),
    ...(model.messages === null ? {} : { messages: model.messages }),
    ...remote(model),
    model_info: info,
    tensors: [
      { name: 'output_norm.weight', type: 'F32', shape: [model.embeddingLength] },
      { name: 'blk.0.attn_norm.weight', type: 'F32', shape: [model.embeddingLength] },
    ],
    capabilities: model.capabilities,
    modified_at: goLocalTime(model.modifiedAt),
  }
}

/** The newer servers say a name in full where an older one says it as it was sent. */
export function notFoundText(house: House, name: string): string {
  return `model '${house.settings.generation === 'old' ? name : displayName(name)}' not found`
}

function parameterLines(parameters: Readonly<Record<string, unknown>>): string {
  return Object.entries(parameters)
    .flatMap(([key, value]) =>
      (Array.isArray(value) ? value : [value]).map(
        (one) => `${key.padEnd(30)} ${typeof one === 'string' ? JSON.stringify(one) : String(one)}`,
      ),
    )
    .join('\n')
}

/** The FROM line names the weights: the only way to learn over the API which names share them. */
function modelfileOf(model: StoredModel, system: string, parameters: string): string {
  const lines = [
    '# Modelfile generated by "ollama show"',
    '# To build a new Modelfile based on this, replace FROM with:',
    `# FROM ${model.name}`,
    '',
    `FROM /usr/share/ollama/.ollama/models/blobs/sha256-${model.weights}`,
    `TEMPLATE """${model.template}"""`,
  ]
  if (system !== '') lines.push(`SYSTEM """${system}"""`)
  for (const line of parameters.split('\n')) if (line !== '') lines.push(`PARAMETER ${line}`)
  return `${lines.join('\n')}\n`
}

export function openaiModels(house: House): unknown {
  const data = house.store.all().map((model) => openaiModel(model, model.name))
  return { object: 'list', data: data.length === 0 ? null : data }
}

export function openaiModel(model: StoredModel, id: string): Record<string, unknown> {
  const path = model.name.split('/')
  return {
    id,
    object: 'model',
    created: Math.floor(model.modifiedAt / 1000),
    owned_by: path.length > 1 ? (path.at(-2) ?? 'library') : 'library',
  }
}
