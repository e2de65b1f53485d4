/**
 * What an agent tells its proxy about its machine: the document as it goes over the wire, hence its names. Nothing in it
 * is guessed: what is not known is null or missing, with a sentence in `absent` that says why.
 */
export interface LoadReport {
  /** When it was made, by the agent's clock. */
  readonly at_ms: number
  /** Seats that a request could take now, over all models in memory; at least 1 on an idle server. */
  readonly free_slots: number
  /** Requests that wait at the agent. */
  readonly queue: number
  /** Requests that the agent has at its Ollama. */
  readonly active: number
  /** Requests at its Ollama that came past the agent, as far as waiting tells; null before anything is known. */
  readonly hidden: number | null
  readonly slots: Readonly<Record<string, SlotsReport>>
  readonly resident: readonly ResidentReport[]
  readonly running: readonly RunningReport[]
  /** `use` is a share from 0 to 1 over all cores since the report before. */
  readonly cpu: {
    readonly cores: number
    readonly load1: number | null
    readonly use: number | null
  }
  readonly memory: { readonly total_bytes: number | null; readonly free_bytes: number | null }
  /** Where the models are kept. */
  readonly disk: {
    readonly path: string
    readonly total_bytes: number
    readonly free_bytes: number
  } | null
  readonly models_dir: string | null
  readonly gpus: readonly GpuReport[]
  /** Why something is not told: by its key (`gpu`, `disk`, …) a sentence. */
  readonly absent: Readonly<Record<string, string>>
  /** By model, what it says of itself: completion, tools, vision, thinking, embedding, insert. */
  readonly capabilities: Readonly<Record<string, readonly string[]>>
  readonly drained: boolean
  /** The agent runs its Ollama itself and can restart it. */
  readonly managed: boolean
  readonly ollama_version: string | null
}

export interface SlotsReport {
  readonly used: number
  readonly limit: number
  /** False: somebody said the number. */
  readonly learned: boolean
}

export interface ResidentReport {
  readonly model: string
  readonly bytes: number
  readonly vram_bytes: number
  readonly context: number | null
}

export interface RunningReport {
  readonly model: string
  /** When it was sent to Ollama, by the agent's clock. */
  readonly since_ms: number
  /** Written so far; null where that is not counted. */
  readonly tokens: number | null
}

export interface GpuReport {
  readonly name: string
  readonly memory_total_bytes: number | null
  readonly memory_used_bytes: number | null
  /** Share from 0 to 1. */
  readonly use: number | null
}

/** Longer lists than any machine has are cut: who sends them is not to fill our memory. */
const entriesMax = 1_000
const gpusMax = 64
const wordsMax = 32
const textLengthMax = 300
const countMax = 100_000
const coresMax = 65_536
/** A pebibyte, and far from where numbers lose their ends. */
const bytesMax = 2 ** 50
const msMax = 8.64e15

/**
 * A report as it came in, with every number in its bounds and every list cut to its length; unknown keys are left out.
 * Undefined: it is no report, since what routing needs (seats, queue) is not in it.
 */
export function readLoadReport(value: unknown): LoadReport | undefined {
  if (!isObject(value)) return undefined
  const atMs = numberIn(value['at_ms'], msMax)
  const freeSlots = countIn(value['free_slots'])
  const queue = countIn(value['queue'])
  const active = countIn(value['active'])
  if (atMs === null || freeSlots === null || queue === null || active === null) return undefined
  const cpu = objectIn(value['cpu'])
  const memory = objectIn(value['memory'])
  return {
    at_ms: atMs,
    free_slots: freeSlots,
    queue,
    active,
    hidden: countIn(value['hidden']),
    slots: recordOf(value['slots'], readSlots),
    resident: listOf(value['resident'], entriesMax, readResident),
    running: listOf(value['running'], entriesMax, readRunning),
    cpu: {
      cores: numberIn(cpu['cores'], coresMax) ?? 0,
      load1: numberIn(cpu['load1'], countMax),
      use: numberIn(cpu['use'], 1),
    },
    memory: {
      total_bytes: numberIn(memory['total_bytes'], bytesMax),
      free_bytes: numberIn(memory['free_bytes'], bytesMax),
    },
    disk: readDisk(value['disk']),
    models_dir: textIn(value['models_dir']) ?? null,
    gpus: listOf(value['gpus'], gpusMax, readGpu),
    absent: recordOf(value['absent'], textIn),
    capabilities: recordOf(value['capabilities'], readWords),
    drained: value['drained'] === true,
    managed: value['managed'] === true,
    ollama_version: textIn(value['ollama_version']) ?? null,
  }
}

type Fields = Readonly<Record<string, unknown>>

function readSlots(value: unknown): SlotsReport | undefined {
  const row = objectIn(value)
  const used = countIn(row['used'])
  const limit = countIn(row['limit'])
  if (used === null || limit === null) return undefined
  return { used, limit, learned: row['learned'] === true }
}

function readResident(row: Fields): ResidentReport | undefined {
  const model = textIn(row['model'])
  const bytes = numberIn(row['bytes'], bytesMax)
  if (model === undefined || bytes === null) return undefined
  const vram = numberIn(row['vram_bytes'], bytesMax) ?? 0
  return { model, bytes, vram_bytes: vram, context: numberIn(row['context'], bytesMax) }
}

function readRunning(row: Fields): RunningReport | undefined {
  const model = textIn(row['model'])
  const sinceMs = numberIn(row['since_ms'], msMax)
  if (model === undefined || sinceMs === null) return undefined
  return { model, since_ms: sinceMs, tokens: numberIn(row['tokens'], bytesMax) }
}

function readGpu(row: Fields): GpuReport | undefined {
  const name = textIn(row['name'])
  if (name === undefined) return undefined
  return {
    name,
    memory_total_bytes: numberIn(row['memory_total_bytes'], bytesMax),
    memory_used_bytes: numberIn(row['memory_used_bytes'], bytesMax),
    use: numberIn(row['use'], 1),
  }
}

function readDisk(value: unknown): LoadReport['disk'] {
  const row = objectIn(value)
  const path = textIn(row['path'])
  const total = numberIn(row['total_bytes'], bytesMax)
  const free = numberIn(row['free_bytes'], bytesMax)
  if (path === undefined || total === null || free === null) return null
  return { path, total_bytes: total, free_bytes: free }
}

function readWords(value: unknown): readonly string[] | undefined {
  if (!Array.isArray(value)) return undefined
  return value.slice(0, wordsMax).flatMap((word) => textIn(word) ?? [])
}

function listOf<T>(value: unknown, most: number, read: (row: Fields) => T | undefined): T[] {
  if (!Array.isArray(value)) return []
  return value.slice(0, most).flatMap((row) => read(objectIn(row)) ?? [])
}

function recordOf<T>(
  value: unknown,
  read: (each: unknown) => T | undefined,
): Readonly<Record<string, T>> {
  const rows = Object.entries(objectIn(value)).slice(0, entriesMax)
  // Made of entries: a key like `__proto__` stays a key.
  return Object.fromEntries(
    rows.flatMap(([key, each]) => {
      const made = read(each)
      return made === undefined || key.length > textLengthMax ? [] : [[key, made] as const]
    }),
  )
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function objectIn(value: unknown): Fields {
  return isObject(value) ? value : {}
}

/** A text that can stand in a log line as it is, cut to its length. */
function textIn(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined
  return value.slice(0, textLengthMax).replaceAll(/\p{Cc}/gu, ' ')
}

/** From 0 to `most`; null: no number. */
function numberIn(value: unknown, most: number): number | null {
  if (typeof value !== 'number' || !Number.isFinite(value)) return null
  return Math.min(most, Math.max(0, value))
}

function countIn(value: unknown): number | null {
  const number = numberIn(value, countMax)
  return number === null ? null : Math.floor(number)
}
