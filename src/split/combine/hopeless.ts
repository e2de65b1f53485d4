import { canonical, isObject, type JsonObject } from './json-text.ts'
import { oneLine } from './part-name.ts'
import { BadSchema, compileSchema } from './schema-check.ts'
import {
  hasType,
  isSchema,
  type JsonType,
  jsonTypes,
  referred,
  type Schema,
  schemasIn,
  typesOf,
} from './schema-parts.ts'

/**
 * Why no answer can ever meet a schema, so that nothing need be sent; undefined when there may be one. It only looks at
 * what is plain to see, and never calls hopeless what is not.
 */
export async function whyHopeless(schema: object): Promise<string | undefined> {
  const root = schema as JsonObject
  const why = new Search(root).impossible(root, '')
  if (why !== undefined) return why
  try {
    await compileSchema(schema)
    return undefined
  } catch (error) {
    if (error instanceof BadSchema) return `it is not a valid JSON schema: ${error.message}`
    throw error
  }
}

/** Why the parts' answers could not be made one although each may meet the schema; undefined when they can. */
export function whyNotJoinable(schema: object): string | undefined {
  const root = schema as JsonObject
  const types = topTypes(root, root, new Steps())
  if (types.includes('array') || types.includes('object')) return undefined
  const named = types.length === 0 ? 'nothing' : types.join(' or ')
  return `it asks each part for ${named}, and only arrays and objects of several parts can be made one`
}

/** A chain of references as long as this was not written by a person. */
const depthMax = 64

/**
 * Schemas, names and values looked at in one search: references to references can make a small text a very large tree.
 * Some tens of milliseconds.
 */
const stepsMax = 100_000

/** What a search has looked at so far. */
class Steps {
  #taken = 0

  /** False once it is enough. */
  take(schema: JsonObject): boolean {
    const { enum: values, required, properties } = schema
    this.#taken++
    for (const list of [values, required]) if (Array.isArray(list)) this.#taken += list.length
    if (isObject(properties)) this.#taken += Object.keys(properties).length
    return this.#taken <= stepsMax
  }
}

function topTypes(schema: Schema, root: JsonObject, steps: Steps, depth = 0): readonly JsonType[] {
  if (schema === false) return []
  if (schema === true || depth > depthMax || !steps.take(schema)) return jsonTypes
  let types = typesOf(schema)
  const keep = (kept: readonly JsonType[]) => {
    types = types.filter((type) => kept.includes(type))
  }
  const values = valuesOf(schema)
  if (values !== undefined)
    keep(jsonTypes.filter((type) => values.some((value) => hasType(value, type))))
  const target = referred(root, schema['$ref'])
  for (const inner of [...schemasIn(schema['allOf']), ...(target === undefined ? [] : [target])])
    keep(topTypes(inner, root, steps, depth + 1))
  for (const key of ['anyOf', 'oneOf']) {
    const choices = schemasIn(schema[key])
    if (choices.length > 0)
      keep(choices.flatMap((choice) => topTypes(choice, root, steps, depth + 1)))
  }
  return types
}

/** The only values there may be; undefined when any may. */
function valuesOf(schema: JsonObject): readonly unknown[] | undefined {
  const listed = schema['enum']
  const constant = 'const' in schema ? [schema['const']] : undefined
  if (!Array.isArray(listed)) return constant
  if (constant === undefined) return listed
  const only = canonical(constant[0])
  return listed.some((value) => canonical(value) === only) ? constant : []
}

/**
 * One search through a schema. A schema met again inside itself, where it is needed, counts as impossible there: a value
 * that must hold a value that must hold a value … has no end.
 */
class Search {
  readonly #root: JsonObject
  readonly #above = new Set<JsonObject>()
  readonly #steps = new Steps()

  constructor(root: JsonObject) {
    this.#root = root
  }

  /** Why nothing meets this schema, which stands at `at`; undefined when something may. */
  impossible(schema: unknown, at: string): string | undefined {
    if (schema === false) return `${place(at)} is not allowed to be anything`
    if (!isObject(schema)) return undefined
    if (this.#above.has(schema)) return `${place(at)} must hold itself, without end`
    if (this.#above.size >= depthMax || !this.#steps.take(schema)) return undefined
    // Below an `$id` of its own, references mean something else.
    if (schema !== this.#root && '$id' in schema) return undefined
    this.#above.add(schema)
    try {
      return this.#byLogic(schema, at) ?? this.#byReference(schema, at) ?? this.#byType(schema, at)
    } finally {
      this.#above.delete(schema)
    }
  }

  #byReference(schema: JsonObject, at: string): string | undefined {
    const target = referred(this.#root, schema['$ref'])
    return target === undefined ? undefined : this.impossible(target, at)
  }

  #byLogic(schema: JsonObject, at: string): string | undefined {
    const not = schema['not']
    if (not === true || (isObject(not) && Object.keys(not).length === 0))
      return `${place(at)} must not be anything ("not" with a schema that everything meets)`
    for (const inner of schemasIn(schema['allOf'])) {
      const why = this.impossible(inner, at)
      if (why !== undefined) return why
    }
    for (const key of ['anyOf', 'oneOf']) {
      const choices = schemasIn(schema[key])
      const why = choices.map((choice) => this.impossible(choice, at))
      if (why.length > 0 && !why.includes(undefined))
        return `no choice of "${key}" is possible: ${why[0]}`
    }
    return undefined
  }

  /** Impossible when each type that is allowed is impossible: `minLength` binds nothing but texts. */
  #byType(schema: JsonObject, at: string): string | undefined {
    const types = typesOf(schema)
    const values = valuesOf(schema)
    if (values?.length === 0) return `no value is allowed for ${place(at)}`
    if (values !== undefined && !values.some((value) => types.some((type) => hasType(value, type))))
      return `no allowed value of ${place(at)} is of type ${types.join(' or ')}`
    let first: string | undefined
    for (const type of types) {
      if (values !== undefined && !values.some((value) => hasType(value, type))) continue
      const why = this.#byBounds(schema, type, at)
      if (why === undefined) return undefined
      first ??= why
    }
    return first
  }

  #byBounds(schema: JsonObject, type: JsonType, at: string): string | undefined {
    switch (type) {
      case 'string':
        return crossed(schema, 'minLength', 'maxLength', at)
      case 'array':
        return crossed(schema, 'minItems', 'maxItems', at) ?? this.#byItems(schema, at)
      case 'object':
        return crossed(schema, 'minProperties', 'maxProperties', at) ?? this.#byNames(schema, at)
      case 'number':
      case 'integer':
        return byRange(schema, type, at)
      default:
        return undefined
    }
  }

  #byItems(schema: JsonObject, at: string): string | undefined {
    const needed = numberAt(schema, 'minItems') ?? 0
    // Before 2020-12 a tuple was a list of `items`, and what came behind it `additionalItems`.
    const tuple = Array.isArray(schema['items']) ? 'items' : 'prefixItems'
    const places = schemasIn(schema[tuple])
    for (const [index, item] of places.slice(0, needed).entries()) {
      const why = this.impossible(item, `${at}/${index}`)
      if (why !== undefined) return why
    }
    if (needed <= places.length) return undefined
    const others = schema[tuple === 'items' ? 'additionalItems' : 'items']
    const why = this.impossible(others, `${at}/${places.length}`)
    return why === undefined ? undefined : `${place(at)} needs ${needed} items, and ${why}`
  }

  #byNames(schema: JsonObject, at: string): string | undefined {
    const { required, properties, additionalProperties, patternProperties } = schema
    const known = isObject(properties) ? properties : {}
    const names = new Set(Array.isArray(required) ? required.filter(isText) : [])
    const most = numberAt(schema, 'maxProperties') ?? Number.POSITIVE_INFINITY
    if (names.size > most)
      return `${place(at)} needs ${names.size} names and may have ${most} ("maxProperties")`
    // A pattern may match any name; trying it could take for ever.
    const closed = additionalProperties === false && patternProperties === undefined
    if (closed && Object.keys(known).length < (numberAt(schema, 'minProperties') ?? 0))
      return `${place(at)} needs more names ("minProperties") than are allowed`
    for (const name of names) {
      const inner: unknown = Object.hasOwn(known, name) ? known[name] : undefined
      if (inner === undefined && closed)
        return `${place(at)} needs "${oneLine(name, 80)}", which "additionalProperties" forbids`
      const why = isSchema(inner) ? this.impossible(inner, `${at}/${name}`) : undefined
      if (why !== undefined) return why
    }
    return undefined
  }
}

function byRange(schema: JsonObject, type: 'number' | 'integer', at: string): string | undefined {
  const least = numberAt(schema, 'minimum') ?? Number.NEGATIVE_INFINITY
  const most = numberAt(schema, 'maximum') ?? Number.POSITIVE_INFINITY
  const above = numberAt(schema, 'exclusiveMinimum') ?? Number.NEGATIVE_INFINITY
  const below = numberAt(schema, 'exclusiveMaximum') ?? Number.POSITIVE_INFINITY
  const sentence = `${place(at)} has a least value above its greatest`
  if (least > most || above >= most || least >= below || above >= below) return sentence
  if (type === 'number') return undefined
  // The next whole numbers within; doubles that large are whole themselves.
  const lowest = Math.max(Math.ceil(least), Math.floor(above) + 1)
  const highest = Math.min(Math.floor(most), Math.ceil(below) - 1)
  return lowest > highest ? `no whole number is left for ${place(at)}` : undefined
}

function crossed(schema: JsonObject, min: string, max: string, at: string): string | undefined {
  const [least, most] = [numberAt(schema, min), numberAt(schema, max)]
  if (least === undefined || most === undefined || least <= most) return undefined
  return `${place(at)} has "${min}" ${least} above "${max}" ${most}`
}

function numberAt(schema: JsonObject, key: string): number | undefined {
  const value = schema[key]
  return typeof value === 'number' ? value : undefined
}

const isText = (value: unknown): value is string => typeof value === 'string'
const place = (at: string) => (at === '' ? 'the answer' : oneLine(at, 200))
