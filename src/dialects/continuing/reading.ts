/** A JSON object of which nothing is known yet. */
export type Fields = Readonly<Record<string, unknown>>

/** One line of NDJSON or one event of SSE, with the bytes that it came in. */
export interface Frame {
  /** The event's name; '' for lines, and for events that have none. */
  readonly name: string
  readonly data: string
  readonly bytes: Buffer
}

const newline = 0x0a
const carriageReturn = 0x0d

/** The lines of whole frames, each with its newline; empty ones are left out. */
export function linesOf(frames: Buffer): Frame[] {
  const lines: Frame[] = []
  for (let from = 0; from < frames.length; ) {
    const found = frames.indexOf(newline, from)
    const end = found < 0 ? frames.length : found + 1
    const bytes = frames.subarray(from, end)
    // Node's slices by range are cheaper than a view of its own and its text.
    const data = frames.toString('utf8', from, end).trim()
    if (data !== '') lines.push({ name: '', data, bytes })
    from = end
  }
  return lines
}

/** The events of whole frames, each with its blank line. */
export function eventsOf(frames: Buffer): Frame[] {
  const events: Frame[] = []
  let name = ''
  let data: string[] = []
  let from = 0
  for (let at = 0; at < frames.length; ) {
    const found = frames.indexOf(newline, at)
    const end = found < 0 ? frames.length : found + 1
    const line = frames.toString('utf8', at, endOfText(frames, end))
    at = end
    if (line.startsWith('event:')) name = line.slice('event:'.length).trim()
    else if (line.startsWith('data:')) data.push(line.slice('data:'.length).replace(/^ /, ''))
    if (line !== '' && at < frames.length) continue
    if (name !== '' || data.length > 0)
      events.push({ name, data: data.join('\n'), bytes: frames.subarray(from, end) })
    name = ''
    data = []
    from = end
  }
  return events
}

/** Where a line's text ends that ends there, without its line break. */
function endOfText(frames: Buffer, end: number): number {
  if (frames[end - 1] !== newline) return end
  return frames[end - 2] === carriageReturn ? end - 2 : end - 1
}

/** The object that a text is; undefined for any other text. */
export function objectOf(text: string): Fields | undefined {
  try {
    return asFields(JSON.parse(text))
  } catch {
    return undefined
  }
}

export function asFields(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Fields)
    : undefined
}

export function fieldsAt(fields: Fields | undefined, key: string): Fields | undefined {
  return asFields(fields?.[key])
}

export function textAt(fields: Fields | undefined, key: string): string {
  const value = fields?.[key]
  return typeof value === 'string' ? value : ''
}

export function numberAt(fields: Fields | undefined, key: string): number | undefined {
  const value = fields?.[key]
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

/** The list at a key; nothing and null are lists of nothing, as in Go. */
export function listAt(fields: Fields | undefined, key: string): readonly unknown[] {
  const value = fields?.[key]
  return Array.isArray(value) ? value : []
}

/** The message of an error object, as OpenAI's and Anthropic's languages have it. */
export function errorIn(fields: Fields): string | undefined {
  const { error } = fields
  if (error === undefined || error === null) return undefined
  return typeof error === 'string' ? error : textAt(asFields(error), 'message') || 'error'
}

/** JSON as Go writes it: what means something in HTML is escaped. Source: encoding/json, HTMLEscape. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

export const lineOf = (value: Fields) => `${goJson(value)}\n`

/** An event without a name, as on OpenAI's older routes. */
export const dataOf = (value: Fields) => `data: ${goJson(value)}\n\n`

export const eventOf = (name: string, value: Fields) => `event: ${name}\ndata: ${goJson(value)}\n\n`
