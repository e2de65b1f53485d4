import type { Clock } from '../../src/core/clock.ts'
import { canonicalName, readModelName, soundsLikeEmbedding } from '../../src/core/model-name.ts'
import type { Json } from './go-json.ts'
import { toGoJson } from './go-json.ts'
import type { ModelKind, ModelSpec, SimulatorSettings } from './settings.ts'
import { sha256 } from './text.ts'

/** A model on the imitated disk. */
export interface StoredModel {
  /** As it is shown: the short name with its tag. */
  readonly name: string
  readonly canonical: string
  readonly kind: ModelKind
  /** Of the weights, 64 hex digits: what a runner is keyed by. */
  readonly weights: string
  readonly sizeBytes: number
  readonly capabilities: readonly string[]
  /** What lists say, where that differs. */
  readonly listedCapabilities: readonly string[] | undefined
  readonly contextTrain: number
  readonly embeddingLength: number
  readonly family: string
  readonly template: string
  readonly system: string
  readonly license: string
  readonly parameters: Readonly<Record<string, Json>>
  readonly messages: Json
  readonly parent: string
  readonly modifiedAt: number
  readonly remoteHost: string | undefined
  /** Of the imitated machine, and no part of what a manifest says. */
  readonly speed: number
  readonly loadMs: number | undefined
  /** Of the manifest, 64 hex digits. */
  readonly digest: string
}

export type Blueprint = Omit<StoredModel, 'digest' | 'name' | 'canonical' | 'modifiedAt'>

const plainTemplate = '{{ if .System }}{{ .System }}\n{{ end }}{{ .Prompt }}'

/** What a simulated registry would send for a name: the same on every simulator. */
export function blueprintOf(spec: ModelSpec, settings: SimulatorSettings): Blueprint {
  const canonical = canonicalName(spec.name)
  const kind =
    spec.kind ??
    settings.kinds[spec.name] ??
    Object.entries(settings.kinds).find(([name]) => canonicalName(name) === canonical)?.[1] ??
    'continues'
  const embedding = soundsLikeEmbedding(canonical)
  const digest = (spec.digest ?? sha256(canonical)).replace(/^sha256:/, '')
  return {
    kind,
    weights: digest,
    sizeBytes: spec.sizeBytes ?? settings.sizeBytesDefault,
    capabilities: spec.capabilities ?? capabilitiesOf(canonical, kind, embedding),
    listedCapabilities: spec.listedCapabilities,
    contextTrain: spec.contextTrain ?? (embedding ? 512 : settings.contextTrainDefault),
    embeddingLength: spec.embeddingLength ?? settings.embeddingLengthDefault,
    family: spec.family ?? (embedding ? 'bert' : 'llama'),
    template: embedding ? '' : plainTemplate,
    system: '',
    license: '',
    parameters: {},
    messages: null,
    parent: '',
    remoteHost: readModelName(spec.name)?.cloud ? 'https://ollama.com:443' : undefined,
    speed: spec.speed ?? 1,
    loadMs: spec.loadMs,
  }
}

function capabilitiesOf(canonical: string, kind: ModelKind, embedding: boolean): string[] {
  if (embedding) return ['embedding']
  const found = ['completion', 'tools']
  if (/code|fim|starcoder/.test(canonical)) found.push('insert')
  if (/vision|llava|vl[:-]|-vl|moondream/.test(canonical)) found.push('vision')
  if (/whisper|audio|omni/.test(canonical)) found.push('audio')
  if (kind === 'thinks') found.push('thinking')
  return found
}

/** The name as Ollama shows it: letter case kept, defaults left out, a tag always there. */
export function displayName(text: string): string {
  const canonical = canonicalName(text)
  const bare = text.trim().replace(/^https?:\/\//i, '')
  const kept = bare.slice(-canonical.length)
  if (kept.toLowerCase() === canonical) return kept
  const path = canonical.slice(0, canonical.lastIndexOf(':'))
  const shown = bare.slice(-path.length)
  return shown.toLowerCase() === path ? `${shown}${canonical.slice(path.length)}` : canonical
}

/** The name with nothing left out, as some error texts have it. */
export function fullName(model: StoredModel): string {
  const slashes = model.name.split('/').length - 1
  if (slashes === 0) return `registry.ollama.ai/library/${model.name}`
  return slashes === 1 ? `registry.ollama.ai/${model.name}` : model.name
}

/** Models and blobs. Blobs have sizes and no bytes: nobody reads weights here. */
export class ModelStore {
  readonly #settings: SimulatorSettings
  readonly #clock: Clock
  readonly #models = new Map<string, StoredModel>()
  readonly #blobs = new Map<string, number>()

  constructor(settings: SimulatorSettings, clock: Clock) {
    this.#settings = settings
    this.#clock = clock
    // The first in the list is the newest, so that the order of the settings is the order of /api/tags.
    settings.models.forEach((spec, index) => {
      this.add(typeof spec === 'string' ? { name: spec } : spec, clock.wall() - index * 1000)
    })
  }

  find(text: string): StoredModel | undefined {
    return this.#models.get(canonicalName(text))
  }

  /** Sorted as /api/tags does: newest first, in whole seconds. */
  all(): StoredModel[] {
    const seconds = (model: StoredModel) => Math.floor(model.modifiedAt / 1000)
    return [...this.#models.values()].sort((one, other) => seconds(other) - seconds(one))
  }

  /** A model as the registry has it. */
  add(spec: ModelSpec, modifiedAt = this.#clock.wall()): StoredModel {
    return this.write(spec.name, blueprintOf(spec, this.#settings), modifiedAt)
  }

  write(name: string, blueprint: Blueprint, modifiedAt = this.#clock.wall()): StoredModel {
    const { kind: _, parent: __, speed: ___, loadMs: ____, ...content } = blueprint
    const canonical = canonicalName(name)
    const model: StoredModel = {
      ...blueprint,
      name: displayName(name),
      canonical,
      digest: sha256(toGoJson(content)),
      modifiedAt,
    }
    this.#models.set(canonical, model)
    this.#blobs.set(model.weights, model.sizeBytes)
    return model
  }

  copy(source: StoredModel, destination: string): StoredModel {
    const model: StoredModel = {
      ...source,
      name: displayName(destination),
      canonical: canonicalName(destination),
      modifiedAt: this.#clock.wall(),
    }
    this.#models.set(model.canonical, model)
    return model
  }

  remove(model: StoredModel): void {
    this.#models.delete(model.canonical)
    if (!this.#isReferenced(model.weights)) this.#blobs.delete(model.weights)
  }

  hasBlob(digest: string): boolean {
    return this.#blobs.has(digest)
  }
  blobBytes(digest: string): number {
    return this.#blobs.get(digest) ?? 0
  }
  addBlob(digest: string, bytes: number): void {
    this.#blobs.set(digest, bytes)
  }
  blobs(): { digest: string; sizeBytes: number }[] {
    return [...this.#blobs].map(([digest, sizeBytes]) => ({ digest, sizeBytes }))
  }

  /** What a server does when it starts: blobs that no manifest names are thrown away. */
  prune(): void {
    for (const digest of [...this.#blobs.keys()])
      if (!this.#isReferenced(digest)) this.#blobs.delete(digest)
  }

  #isReferenced(digest: string): boolean {
    return [...this.#models.values()].some((model) => model.weights === digest)
  }
}
