import type { Family, Op } from '../core/ask.ts'
import type { Figures } from '../core/observer.ts'

/** `unfinished`: the bytes stopped, without a word, before the answer was complete. */
export type EndKind = 'done' | 'error' | 'unfinished'

/** A last line beyond this is searched, not parsed: parsing it would hold up every stream. */
const parsedBytesMax = 1_048_576
/** The figures stand at the very end of a line, whatever its length. */
const searchedBytesMax = 4_096
/** Six names and six numbers take less. */
const figuresBytesMax = 512

type Fields = Readonly<Record<string, unknown>>

/**
 * Whether an answer ended as one of its kind should, by its last frames. On the compatible routes Ollama swallows a
 * failure: the stream just stops, and the missing last word is the only sign.
 * Sources: Ollama server/routes.go (waitForStream, streamResponse), middleware/openai.go, middleware/anthropic.go.
 */
export function endOf(family: Family, op: Op, lastFrames: Uint8Array): EndKind {
  const bytes = asBuffer(lastFrames)
  if (family === 'ollama' || family === 'own') return endOfNative(op, bytes)
  if (!looksLikeEvents(bytes)) return endOfObject(bytes)
  return endOfEvents(family, op, bytes)
}

/** The counts that an answer's last frames carry, from whichever family; undefined when there are none. */
export function figuresOf(lastFrames: Uint8Array): Figures | undefined {
  const bytes = asBuffer(lastFrames)
  if (looksLikeEvents(bytes)) return usageOfEvents(bytes)
  const atEnd = figuresAtEnd(bytes)
  if (atEnd !== undefined) return nativeFigures(atEnd)
  const fields = lastObject(bytes)
  if (fields === undefined) return nativeFigures(searched(bytes))
  return nativeFigures(fields) ?? usageFigures(fieldsAt(fields, 'usage'))
}

function endOfNative(op: Op, bytes: Buffer): EndKind {
  const fields = lastObject(bytes)
  // The figures are only in a last line, so a line too long to parse that ends in them is one.
  if (fields === undefined)
    return nativeFigures(searched(bytes)) === undefined ? 'unfinished' : 'done'
  if (fields['error'] !== undefined && fields['error'] !== null) return 'error'
  switch (op) {
    case 'generate':
    case 'chat':
      return fields['done'] === true ? 'done' : 'unfinished'
    case 'pull':
    case 'push':
    case 'create':
      return fields['status'] === 'success' ? 'done' : 'unfinished'
    default:
      return 'done'
  }
}

function endOfObject(bytes: Buffer): EndKind {
  // A whole object was held together or counted by its length; a very long one is taken at its word.
  if (bytes.length > parsedBytesMax) return 'done'
  const fields = parsed(bytes.toString('utf8'))
  if (fields === undefined) return bytes.length === 0 ? 'unfinished' : 'done'
  return fields['error'] === undefined || fields['error'] === null ? 'done' : 'error'
}

function endOfEvents(family: Family, op: Op, bytes: Buffer): EndKind {
  for (const event of eventsOf(bytes).reverse()) {
    if (event.name === 'error') return 'error'
    if (family === 'anthropic') {
      if (event.name === 'message_stop') return 'done'
      continue
    }
    if (op === 'responses') {
      if (event.name === 'response.completed' || event.name === 'response.incomplete') return 'done'
      if (event.name === 'response.failed') return 'error'
      continue
    }
    if (event.data === '[DONE]') return 'done'
    if (event.data.startsWith('{"error"')) return 'error'
  }
  return 'unfinished'
}

// --- figures ---

const nativeNames = [
  'total_duration',
  'load_duration',
  'prompt_eval_count',
  'prompt_eval_duration',
  'eval_count',
  'eval_duration',
] as const

function nativeFigures(fields: Fields): Figures | undefined {
  if (!nativeNames.some((name) => typeof fields[name] === 'number')) return undefined
  return {
    totalNs: count(fields['total_duration']),
    loadNs: count(fields['load_duration']),
    promptTokens: count(fields['prompt_eval_count']),
    promptNs: count(fields['prompt_eval_duration']),
    outputTokens: count(fields['eval_count']),
    outputNs: count(fields['eval_duration']),
  }
}

/**
 * The figures are the last fields of an object of Ollama's, and nothing else need be parsed. Inside something else the
 * text behind them would close more than one brace, and be no object.
 */
function figuresAtEnd(bytes: Buffer): Fields | undefined {
  const text = bytes.toString('latin1', Math.max(0, bytes.length - figuresBytesMax))
  const at = text.lastIndexOf(`,"${nativeNames[0]}":`)
  return at < 0 ? undefined : parsed(`{${text.slice(at + 1)}`)
}

/** Ollama leaves zeros out of a line that is too long to parse; its figures are found by name near its end. */
function searched(bytes: Buffer): Fields {
  const text = bytes.toString('latin1', Math.max(0, bytes.length - searchedBytesMax))
  const found: Record<string, number> = {}
  for (const name of nativeNames) {
    const at = text.lastIndexOf(`"${name}":`)
    const digits = at < 0 ? null : /^\d{1,18}/.exec(text.slice(at + name.length + 3))
    if (digits !== null) found[name] = Number(digits[0])
  }
  return found
}

function usageOfEvents(bytes: Buffer): Figures | undefined {
  for (const event of eventsOf(bytes).reverse()) {
    if (!event.data.includes('"usage"')) continue
    const fields = parsed(event.data)
    const usage =
      fieldsAt(fields, 'usage') ??
      fieldsAt(fieldsAt(fields, 'response'), 'usage') ??
      fieldsAt(fieldsAt(fields, 'message'), 'usage')
    const figures = usageFigures(usage)
    if (figures !== undefined) return figures
  }
  return undefined
}

function usageFigures(usage: Fields | undefined): Figures | undefined {
  if (usage === undefined) return undefined
  const promptTokens = count(usage['prompt_tokens'] ?? usage['input_tokens'])
  const outputTokens = count(usage['completion_tokens'] ?? usage['output_tokens'])
  // The completions route repeats a usage of zeros in every chunk before the true one.
  if (promptTokens === 0 && outputTokens === 0) return undefined
  return { totalNs: 0, loadNs: 0, promptTokens, promptNs: 0, outputTokens, outputNs: 0 }
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0
}

// --- reading ---

interface ServerEvent {
  readonly name: string
  readonly data: string
}

/** The events of a text/event-stream; a first one without its beginning comes out as what is left of it. */
function eventsOf(bytes: Buffer): ServerEvent[] {
  const text = bytes.toString('utf8', Math.max(0, bytes.length - parsedBytesMax))
  const events: ServerEvent[] = []
  for (const block of text.split(/\r?\n\r?\n/)) {
    let name = ''
    const data: string[] = []
    for (const line of block.split(/\r?\n/)) {
      if (line.startsWith('event:')) name = line.slice('event:'.length).trim()
      else if (line.startsWith('data:')) data.push(line.slice('data:'.length).trim())
    }
    if (name !== '' || data.length > 0) events.push({ name, data: data.join('\n') })
  }
  return events
}

const openBrace = 0x7b

/** No JSON text has a line that begins like this, since line ends in strings are written as escapes. */
function looksLikeEvents(bytes: Buffer): boolean {
  if (bytes[0] === openBrace) return bytes.includes('\ndata:')
  return (
    /^\s*(data|event|id|retry)?:/.test(bytes.toString('latin1', 0, 64)) || bytes.includes('\ndata:')
  )
}

/** The object on the last line, or the one that is spread over all lines; undefined when too long to parse. */
function lastObject(bytes: Buffer): Fields | undefined {
  const line = lastLine(bytes)
  if (line.length > parsedBytesMax) return undefined
  const fields = parsed(line.toString('utf8'))
  if (fields !== undefined || bytes.length > parsedBytesMax) return fields
  return parsed(bytes.toString('utf8'))
}

/** The last line that is not empty. */
function lastLine(bytes: Buffer): Buffer {
  let end = bytes.length
  while (end > 0 && bytes[end - 1]! <= 0x20) end--
  const start = end === 0 ? -1 : bytes.lastIndexOf(0x0a, end - 1)
  return bytes.subarray(start + 1, end)
}

function parsed(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined
  } catch {
    return undefined
  }
}

function fieldsAt(fields: Fields | undefined, key: string): Fields | undefined {
  const value = fields?.[key]
  return typeof value === 'object' && value !== null ? (value as Fields) : undefined
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
