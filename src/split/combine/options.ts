import { complaintsOf, meantBy, shortened } from '../../core/complaints.ts'
import { readModelName } from '../../core/model-name.ts'
import { type CombinerName, combinerNames } from './combiner.ts'

/** How the answers shall be made one, checked. */
export interface CombineOptions {
  readonly by: CombinerName
  /** concat: what stands between two answers. */
  readonly with?: string
  /** reduce: what the model is told to do with the answers. */
  readonly instruction?: string
  /** reduce: who does it; without it the model that answered the parts. */
  readonly model?: string
}

/** What was given as `combine` is not understood; the message names every fault at once. */
export class BadCombine extends Error {
  readonly faults: readonly string[]
  constructor(faults: readonly string[]) {
    super(faults.join('; '))
    this.faults = faults
  }
}

/** It stands between any two answers, thousands of times perhaps: a line of words, not a document. */
const withCharsMax = 1_000

const keysOf: Readonly<Record<CombinerName, readonly string[]>> = {
  concat: ['with'],
  json: [],
  yaml: [],
  reduce: ['instruction', 'model'],
  vote: [],
}
const keys = ['by', ...Object.values(keysOf).flat()]

/** Reads `combine` of a request: a name, an object with `by`, or nothing for concat. Throws BadCombine. */
export function readCombine(given: unknown): CombineOptions {
  if (given === undefined) return { by: 'concat' }
  if (typeof given === 'string') return readCombine({ by: given })
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new BadCombine([`"combine" must be one of ${quoted(combinerNames)}, or an object`])
  const entries = Object.entries(given).filter(([, value]) => value !== undefined)
  const { by: said } = Object.fromEntries(entries)
  const by = combinerNames.find((name) => name === said)
  const unknown = entries.map(([key]) => key).filter((key) => !keys.includes(key))
  const faults = entries.flatMap(([key, value]) => faultOf(key, value, by) ?? [])
  faults.push(...complaintsOf(unknown, faultOfUnknown))
  if (!entries.some(([key]) => key === 'by'))
    faults.unshift(`"combine" needs "by": one of ${quoted(combinerNames)}`)
  if (by === undefined || faults.length > 0) throw new BadCombine(faults)
  return { ...Object.fromEntries(entries), by }
}

const faultOfUnknown = (key: string) =>
  `"combine.${shortened(key)}" is no known key${hint(key, keys)}`

/** What is wrong with one entry whose key is known; undefined when nothing is. `by` is undefined when it is itself at fault. */
function faultOf(key: string, value: unknown, by: CombinerName | undefined): string | undefined {
  if (!keys.includes(key)) return undefined
  if (key === 'by') return by === undefined ? faultOfBy(value) : undefined
  if (by !== undefined && !keysOf[by].includes(key)) {
    const owner = combinerNames.find((name) => keysOf[name].includes(key))
    return `"combine.${key}" goes with ${owner}, not with ${by}`
  }
  return faultOfText(key, value)
}

function faultOfBy(value: unknown): string {
  const must = `"combine.by" must be one of ${quoted(combinerNames)}`
  if (typeof value !== 'string') return must
  return `${must}, not "${shortened(value)}"${hint(value, combinerNames)}`
}

function faultOfText(key: string, value: unknown): string | undefined {
  if (typeof value !== 'string') return `"combine.${key}" must be text`
  if (key === 'with')
    return value.length > withCharsMax
      ? `"combine.with" has ${value.length} characters and can have ${withCharsMax}`
      : undefined
  if (value.trim() === '') return `"combine.${key}" is empty`
  if (key === 'model' && readModelName(value) === undefined)
    return `"combine.model" must be a model name such as "llama3.2"`
  return undefined
}

function hint(word: string, known: readonly string[]): string {
  const meant = meantBy(word, known)
  return meant === undefined ? ` (there are: ${known.join(', ')})` : `, did you mean "${meant}"?`
}

const quoted = (words: readonly string[]) => words.map((word) => `"${word}"`).join(', ')
