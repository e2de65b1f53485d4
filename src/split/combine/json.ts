import { CannotCombine, type Combiner, type PartAnswer } from './combiner.ts'
import { fenced } from './fenced.ts'
import { Few } from './few.ts'
import { Held } from './held.ts'
import { append, type Conflict, mergeInto } from './json-merge.ts'
import { isObject, parseExact } from './json-text.ts'
import { oneLine, partName } from './part-name.ts'
import { BadSchema, compileSchema } from './schema-check.ts'

export interface JsonOptions {
  /** How many parts there are in all. */
  readonly parts: number
  /** What the combined value must meet. */
  readonly schema: object | undefined
}

type Said = PartAnswer & { readonly text: string }
type Kind = 'array' | 'object' | 'single value'

/**
 * One JSON value of all: arrays are joined, objects merged. The value of an only part stays what it is. Objects keep the
 * order of their keys, except that JavaScript puts keys which are whole numbers first.
 */
export function json({ parts, schema }: JsonOptions): Combiner {
  const held = new Held()
  const conflicts = new Few<Conflict>()
  const missing = new Few<string>()
  let first: { readonly kind: Kind; readonly name: string; readonly value: unknown } | undefined

  function take(answer: Said): void {
    held.add(answer.text, answer.index)
    const name = partName(answer, parts)
    const value = parse(answer, name)
    const kind = kindOf(value)
    if (kind === 'single value' && parts > 1)
      throw new CannotCombine(
        `${name} is neither a JSON array nor an object, and only those can be made one`,
        answer.index,
      )
    if (first === undefined) first = { kind, name, value }
    else if (first.kind !== kind)
      throw new CannotCombine(
        `${name} is a JSON ${kind}, but ${first.name} is an ${first.kind}; they can not be made one`,
        answer.index,
      )
    else if (Array.isArray(first.value) && Array.isArray(value)) append(first.value, value)
    else if (isObject(first.value) && isObject(value))
      mergeInto(first.value, value, name, conflicts)
  }

  return {
    add(answer) {
      if ('failed' in answer) missing.add(partName(answer, parts))
      else notTooDeep(() => take(answer), answer.index)
      return ''
    },
    async end() {
      if (first === undefined) throw new CannotCombine('no part has an answer')
      const { value } = first
      const text = notTooDeep(() => JSON.stringify(value))
      if (schema !== undefined) await meets(schema, text)
      return text
    },
    get notes() {
      return { ...missing.noted('missing'), ...conflicts.noted('conflicts') }
    },
  }
}

function kindOf(value: unknown): Kind {
  if (Array.isArray(value)) return 'array'
  return isObject(value) ? 'object' : 'single value'
}

function parse(answer: Said, name: string): unknown {
  try {
    return parseExact(answer.text)
  } catch (error) {
    // Only what is not JSON as a whole may be a fence with JSON in it; the other way round a string could look like one.
    const content = fenced(answer.text)
    if (error instanceof RangeError) throw error
    if (content === answer.text) throw notJson(name, error, answer.index)
    try {
      return parseExact(content)
    } catch (inner) {
      if (inner instanceof RangeError) throw inner
      throw notJson(name, inner, answer.index)
    }
  }
}

function notJson(name: string, error: unknown, index: number): CannotCombine {
  const why = error instanceof Error ? oneLine(error.message, 200) : ''
  return new CannotCombine(`the answer to ${name} is not JSON: ${why}`, index)
}

/** What recurses over a value ends in a RangeError when a model has opened some thousand brackets. */
function notTooDeep<Result>(work: () => Result, index?: number): Result {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new CannotCombine('the JSON is nested too deeply to be combined', index)
  }
}

/** Checked as the reader will get it: the text, read the plain way. */
async function meets(schema: object, text: string): Promise<void> {
  const { check } = await compileSchema(schema).catch((error: unknown) => {
    if (!(error instanceof BadSchema)) throw error
    throw new CannotCombine(`the schema is not valid: ${error.message}`)
  })
  const faults = notTooDeep(() => check(JSON.parse(text), text.length))
  if (faults.length === 0) return
  throw new CannotCombine(`the combined answer does not meet the schema: ${faults.join('; ')}`)
}
