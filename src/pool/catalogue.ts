import { canonicalName } from '../core/model-name.ts'

/** What one server says of its models: parsed once, at the door, from texts that may lie. */
export interface ModelOnDisk {
  readonly canonical: string
  readonly digest: string | undefined
  readonly sizeBytes: number | undefined
  readonly modifiedAt: string
  /** Undefined when the server is too old to say. */
  readonly capabilities: ReadonlySet<string> | undefined
  readonly contextTrained: number | undefined
  readonly remote: boolean
  /** The entry as the server gave it, for the merged list. */
  readonly entry: Readonly<Record<string, unknown>>
}

export interface ModelInMemory {
  readonly canonical: string
  readonly digest: string | undefined
  readonly sizeBytes: number | undefined
  readonly sizeVramBytes: number | undefined
  readonly contextLoaded: number | undefined
  readonly expiresAt: string | undefined
  readonly entry: Readonly<Record<string, unknown>>
}

/** A list longer than this is no list of models. */
const entriesMax = 10_000
/** Ollama knows less than a dozen capabilities. */
const wordsMax = 64

export function readTags(body: unknown): ModelOnDisk[] {
  return entriesOf(body).flatMap((entry) => {
    const name = text(entry['model']) ?? text(entry['name'])
    if (name === undefined) return []
    const details = record(entry['details'])
    return [
      {
        canonical: canonicalName(name),
        digest: text(entry['digest']),
        sizeBytes: count(entry['size']),
        modifiedAt: text(entry['modified_at']) ?? '',
        capabilities: words(entry['capabilities']),
        contextTrained: tokens(details?.['context_length']),
        remote: text(entry['remote_host']) !== undefined,
        entry,
      },
    ]
  })
}

export function readPs(body: unknown): ModelInMemory[] {
  return entriesOf(body).flatMap((entry) => {
    const name = text(entry['model']) ?? text(entry['name'])
    if (name === undefined) return []
    return [
      {
        canonical: canonicalName(name),
        digest: text(entry['digest']),
        sizeBytes: count(entry['size']),
        sizeVramBytes: count(entry['size_vram']),
        contextLoaded: tokens(entry['context_length']),
        expiresAt: text(entry['expires_at']),
        entry,
      },
    ]
  })
}

/** Capabilities and context of a model whose server is too old to list them, from its answer to /api/show. */
export function readShow(body: unknown): {
  capabilities: ReadonlySet<string> | undefined
  contextTrained: number | undefined
} {
  const show = record(body)
  const info = record(show?.['model_info'])
  const contextKey = Object.keys(info ?? {}).find((key) => key.endsWith('.context_length'))
  return {
    capabilities: words(show?.['capabilities']),
    contextTrained: contextKey === undefined ? undefined : tokens(info?.[contextKey]),
  }
}

function entriesOf(body: unknown): Record<string, unknown>[] {
  const models = record(body)?.['models']
  if (!Array.isArray(models)) return []
  return models.slice(0, entriesMax).flatMap((value: unknown) => {
    const entry = record(value)
    return entry ? [entry] : []
  })
}

function record(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= 1_000 ? value : undefined
}

function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined
}

/** A context of nought tokens is a way of not saying. */
function tokens(value: unknown): number | undefined {
  const number = count(value)
  return number === 0 ? undefined : number
}

function words(value: unknown): ReadonlySet<string> | undefined {
  if (!Array.isArray(value)) return undefined
  return new Set(
    value
      .slice(0, wordsMax)
      .filter((word): word is string => typeof word === 'string' && word.length < 64),
  )
}
