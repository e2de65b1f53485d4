import {
  type Field,
  nowhere,
  numbersEnd,
  openObject,
  readObject,
  skipSpace,
  stringEnd,
  valueEnd,
  walkArray,
} from './json-bytes.ts'

export type EmbedPath = '/api/embed' | '/v1/embeddings'

/** A part's answer, found to be whole: where its vectors and its other fields stand. */
export interface PartAnswer {
  readonly bytes: Buffer
  readonly fields: readonly OuterField[]
  /** Everything behind the object: a newline on the compatible route. */
  readonly tail: Buffer
  /** One range for each item of the part, in the order of the items. */
  readonly entries: readonly Entry[]
}

interface OuterField extends Field {
  readonly key: string
}

/** A vector of `/api/embed`, or an object of `/v1/embeddings` with the place of its number. */
interface Entry {
  readonly from: number
  readonly to: number
  readonly indexFrom: number
  readonly indexTo: number
}

/** Under which key the vectors stand. */
const listKeys = { '/api/embed': 'embeddings', '/v1/embeddings': 'data' } as const

/** Reads a part's answer; a text says what is wrong with it, first of all that it has not one vector for each item. */
export function readPart(path: EmbedPath, bytes: Buffer, items: number): PartAnswer | string {
  const entries: Entry[] = []
  let lists = 0
  const readEntry = (from: number): number => {
    const entry = path === '/api/embed' ? vectorAt(bytes, from) : objectAt(bytes, from)
    if (entry) entries.push(entry)
    return entry?.to ?? nowhere
  }
  const root = readObject(bytes, skipSpace(bytes, 0), (field) => {
    if (keyText(bytes, field) !== listKeys[path]) return valueEnd(bytes, field.from)
    lists++
    return walkArray(bytes, field.from, readEntry)
  })
  if (!root || lists !== 1 || skipSpace(bytes, root.to) !== bytes.length)
    return 'its answer was no list of embeddings'
  if (entries.length !== items) return `it gave ${entries.length} vectors for ${items} texts`
  const ordered = path === '/api/embed' ? entries : inOrder(bytes, entries)
  if (!ordered) return 'the numbers of its vectors are not those of the texts'
  return {
    bytes,
    fields: root.fields.map((field) => ({ ...field, key: keyText(bytes, field) })),
    tail: bytes.subarray(root.to),
    entries: ordered,
  }
}

function vectorAt(bytes: Buffer, from: number): Entry | undefined {
  const to = numbersEnd(bytes, from)
  return to < 0 ? undefined : { from, to, indexFrom: to, indexTo: to }
}

/** An entry of OpenAI's list: a vector as numbers or in base64, and its number, which is written anew. */
function objectAt(bytes: Buffer, from: number): Entry | undefined {
  if (bytes[from] !== openObject) return undefined
  let vectors = 0
  const read = readObject(bytes, from, (field) => {
    if (keyText(bytes, field) !== 'embedding') return valueEnd(bytes, field.from)
    vectors++
    const numbers = numbersEnd(bytes, field.from)
    return numbers < 0 ? stringEnd(bytes, field.from) : numbers
  })
  const indexes = read?.fields.filter((field) => keyText(bytes, field) === 'index') ?? []
  const [index] = indexes
  if (!read || vectors !== 1 || indexes.length !== 1 || !index) return undefined
  return { from, to: read.to, indexFrom: index.from, indexTo: index.to }
}

/** By the numbers that the server gave; undefined when one is missing or there twice. */
function inOrder(bytes: Buffer, entries: readonly Entry[]): Entry[] | undefined {
  const ordered: Entry[] = new Array(entries.length)
  let placed = 0
  for (const entry of entries) {
    const index = numberAt(bytes, entry.indexFrom, entry.indexTo)
    if (index === undefined || index >= entries.length || ordered[index]) return undefined
    ordered[index] = entry
    placed++
  }
  return placed === entries.length ? ordered : undefined
}

/** What the whole answer says in sum. */
export interface Sums {
  readonly promptTokens: number
  /** The longest of the parts: they load at the same time. */
  readonly loadNs: number
}

/**
 * The parts' answers as the one that a single server would give, in pieces that are not copied: keys in its order, the
 * texts of all numbers as they came. Counts are summed. `total_duration` is the time that the client waited for the
 * batch and `load_duration` the longest of the parts, since what runs side by side is not waited for twice.
 */
export function joinParts(
  path: EmbedPath,
  parts: readonly PartAnswer[],
  wallNs: number,
): { body: Buffer[]; sums: Sums } {
  const first = parts[0]!
  const sums = sumsOf(path, parts)
  const native: Readonly<Record<string, string>> = {
    total_duration: String(Math.max(1, Math.round(wallNs))),
    load_duration: String(sums.loadNs),
    prompt_eval_count: String(sums.promptTokens),
  }
  const body: Buffer[] = []
  const said = new Set<string>()
  const say = (key: string, ...value: Buffer[]) => {
    body.push(Buffer.from(`${said.size === 0 ? '{' : ','}"${key}":`), ...value)
    said.add(key)
  }
  for (const field of first.fields) {
    const { key } = field
    if (key === listKeys[path]) say(key, ...joinedList(path, parts))
    else if (path === '/api/embed' && native[key] !== undefined) say(key, Buffer.from(native[key]))
    else if (path === '/v1/embeddings' && key === 'usage') say(key, Buffer.from(joinedUsage(parts)))
    else say(key, first.bytes.subarray(field.from, field.to))
  }
  // Ollama leaves out what is zero, so that a later part may have what the first has not.
  if (path === '/api/embed')
    for (const [key, value] of Object.entries(native))
      if (!said.has(key) && parts.some((part) => part.fields.some((each) => each.key === key)))
        say(key, Buffer.from(value))
  body.push(Buffer.from('}'), first.tail)
  return { body, sums }
}

function joinedList(path: EmbedPath, parts: readonly PartAnswer[]): Buffer[] {
  const pieces: Buffer[] = [Buffer.from('[')]
  let number = 0
  for (const { bytes, entries } of parts) {
    if (entries.length === 0) continue
    if (number > 0) pieces.push(Buffer.from(','))
    if (path === '/api/embed') {
      // The vectors of one answer stand side by side: all of them are one piece.
      pieces.push(bytes.subarray(entries[0]!.from, entries.at(-1)!.to))
      number += entries.length
      continue
    }
    for (const [place, entry] of entries.entries()) {
      if (place > 0) pieces.push(Buffer.from(','))
      pieces.push(
        bytes.subarray(entry.from, entry.indexFrom),
        Buffer.from(String(number++)),
        bytes.subarray(entry.indexTo, entry.to),
      )
    }
  }
  pieces.push(Buffer.from(']'))
  return pieces
}

function sumsOf(path: EmbedPath, parts: readonly PartAnswer[]): Sums {
  if (path === '/v1/embeddings') {
    const promptTokens = parts.reduce((sum, part) => sum + (usageOf(part)['prompt_tokens'] ?? 0), 0)
    return { promptTokens, loadNs: 0 }
  }
  const counts = (key: string) => parts.map((part) => countOf(part, key))
  return {
    promptTokens: counts('prompt_eval_count').reduce((sum, count) => sum + count, 0),
    loadNs: Math.max(...counts('load_duration')),
  }
}

function countOf({ bytes, fields }: PartAnswer, key: string): number {
  const field = fields.find((each) => each.key === key)
  return (field && numberAt(bytes, field.from, field.to)) ?? 0
}

/** Every count of the usage, summed under its name, in the order of the first part. */
function joinedUsage(parts: readonly PartAnswer[]): string {
  const sums: Record<string, number> = {}
  for (const part of parts)
    for (const [key, count] of Object.entries(usageOf(part))) sums[key] = (sums[key] ?? 0) + count
  return JSON.stringify(sums)
}

function usageOf({ bytes, fields }: PartAnswer): Record<string, number> {
  const field = fields.find(({ key }) => key === 'usage')
  const usage = field && readObject(bytes, field.from)
  const counts: Record<string, number> = {}
  for (const each of usage?.fields ?? []) {
    const count = numberAt(bytes, each.from, each.to)
    if (count !== undefined) counts[keyText(bytes, each)] = count
  }
  return counts
}

/** A count: digits and nothing else. */
function numberAt(bytes: Buffer, from: number, to: number): number | undefined {
  const text = bytes.toString('latin1', from, Math.min(to, from + 20))
  return /^\d+$/.test(text) ? Number(text) : undefined
}

function keyText(bytes: Buffer, { keyFrom, keyTo }: Field): string {
  return bytes.toString('utf8', keyFrom, Math.min(keyTo, keyFrom + 128))
}
