import { complaintsOf, meantBy, shortened } from '../core/complaints.ts'
import { type SplitterName, splitterNames } from './cut/splitter.ts'

/** How a client wants its input cut. */
export interface SplitOptions {
  /** `auto`: only when it pays, or when there is no other way. */
  readonly when: 'always' | 'auto'
  /** Undefined: not said. Then an array is cut by items, text by lines, and `auto` looks at the text. */
  readonly by: SplitterName | undefined
  readonly size: number | undefined
  readonly overlap: number
  /** Parts in flight at once; 0: as many as there are seats. */
  readonly maxParallel: number
  /** For code. */
  readonly language: string | undefined
}

/** Parts of more units than this are no parts; of tokens, more than any context holds. */
export const sizeMax = 1_000_000
/** More at once than any fleet has seats. */
export const parallelMax = 10_000

const keys = ['by', 'size', 'overlap', 'max_parallel', 'language'] as const

const plain: SplitOptions = {
  when: 'always',
  by: undefined,
  size: undefined,
  overlap: 0,
  maxParallel: 0,
  language: undefined,
}

/** Every fault of a `split` at once. */
export class BadSplit extends Error {}

/** `split` of a request body: undefined and false: not wanted. Throws BadSplit. */
export function readSplit(given: unknown): SplitOptions | undefined {
  if (given === undefined || given === null || given === false) return undefined
  if (given === true) return plain
  if (given === 'auto') return { ...plain, when: 'auto' }
  if (typeof given !== 'object' || Array.isArray(given))
    throw new BadSplit('"split" must be true, false, "auto" or an object')
  const fields = given as Readonly<Record<string, unknown>>
  const unknown = Object.keys(fields).filter((key) => !(keys as readonly string[]).includes(key))
  const faults = [
    ...byFaults(fields['by']),
    ...numberFaults('size', fields['size'], 1, sizeMax),
    ...numberFaults('overlap', fields['overlap'], 0, sizeMax),
    ...numberFaults('max_parallel', fields['max_parallel'], 0, parallelMax),
  ]
  const { language, size, overlap } = fields
  if (
    language !== undefined &&
    (typeof language !== 'string' || !/^[\w+#.-]{1,32}$/.test(language))
  )
    faults.push('"split.language" must be a name such as "python"')
  if (typeof size === 'number' && typeof overlap === 'number' && overlap >= size)
    faults.push(`"split.overlap" (${overlap}) must be smaller than "split.size" (${size})`)
  if (faults.length > 0 || unknown.length > 0)
    throw new BadSplit([...faults, ...complaintsOf(unknown, unknownKey)].join('; '))
  return {
    when: fields['by'] === 'auto' ? 'auto' : 'always',
    by: fields['by'] === 'auto' ? undefined : (fields['by'] as SplitterName | undefined),
    size: size as number | undefined,
    overlap: (overlap as number | undefined) ?? 0,
    maxParallel: (fields['max_parallel'] as number | undefined) ?? 0,
    language: language as string | undefined,
  }
}

function unknownKey(key: string): string {
  return `"split.${shortened(key)}" is no key of a split${hint(key, keys)}`
}

function hint(word: string, known: readonly string[]): string {
  const meant = meantBy(word, known)
  return meant === undefined ? '' : `; did you mean "${meant}"?`
}

function byFaults(by: unknown): string[] {
  if (by === undefined || by === 'auto') return []
  if ((splitterNames as readonly unknown[]).includes(by)) return []
  const meant = typeof by === 'string' ? hint(by, splitterNames) : ''
  return [`"split.by" must be one of ${splitterNames.join(', ')}${meant}`]
}

function numberFaults(key: string, value: unknown, min: number, max: number): string[] {
  if (value === undefined) return []
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max)
    return []
  return [`"split.${key}" must be a whole number from ${min} to ${max}`]
}

/** What the header may say beside the keys of a split. */
const headerKeys = [...keys, 'combine', 'on_error'] as const

export interface HeaderSplit {
  /** What `split` of a body would be; read where that is. */
  readonly given: unknown
  /** What `combine` of a body would be. */
  readonly combine: string | undefined
  readonly onError: string | undefined
}

/** `X-Chasqui-Split: by=lines; size=10`, or `true`, `auto`, `false`. Throws BadSplit. */
export function readSplitHeader(header: string): HeaderSplit {
  const words = header.trim().toLowerCase()
  if (words === 'true' || words === 'false' || words === 'auto') {
    const given = words === 'auto' ? words : words === 'true'
    return { given, combine: undefined, onError: undefined }
  }
  const fields: Record<string, string> = {}
  for (const pair of header.split(';')) {
    if (pair.trim() === '') continue
    const [key = '', value = '', ...more] = pair.split('=').map((each) => each.trim())
    if (value === '' || more.length > 0)
      throw new BadSplit('X-Chasqui-Split is written like "by=lines; size=10"')
    if (!(headerKeys as readonly string[]).includes(key)) {
      throw new BadSplit(`"${shortened(key)}" is no key of X-Chasqui-Split${hint(key, headerKeys)}`)
    }
    if (key in fields) throw new BadSplit(`X-Chasqui-Split has "${key}" twice`)
    fields[key] = value.replace(/^"(.*)"$/, '$1')
  }
  const { combine, on_error: onError, ...given } = fields
  return { given: numbersIn(given), combine, onError }
}

function numbersIn(fields: Readonly<Record<string, string>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, text]) => [
      key,
      /^\d{1,15}$/.test(text) ? Number(text) : text,
    ]),
  )
}
