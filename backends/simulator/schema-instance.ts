import { seededDice } from '../../src/core/dice.ts'
import { isObject, type Json, type JsonObject } from './go-json.ts'

/** Schemas may point at themselves; nobody needs an example deeper than this. */
const depthMax = 8

/** A small value that satisfies a JSON Schema, for `format` and for the arguments of tool calls. */
export function instanceOf(schema: Json | undefined, seed: number): Json {
  const dice = seededDice(seed)
  const number = (low: number, high: number) => low + Math.floor(dice.roll() * (high - low + 1))

  const make = (part: Json | undefined, root: JsonObject, depth: number): Json => {
    if (!isObject(part) || depth > depthMax) return 'sky'
    if (part['const'] !== undefined) return part['const']
    const choices = part['enum']
    if (Array.isArray(choices) && choices.length > 0)
      return choices[number(0, choices.length - 1)] ?? null
    const reference = part['$ref']
    if (typeof reference === 'string') return make(resolve(reference, root), root, depth + 1)
    for (const key of ['anyOf', 'oneOf', 'allOf']) {
      const options = part[key]
      if (Array.isArray(options) && options.length > 0) return make(options[0], root, depth + 1)
    }
    const type = Array.isArray(part['type']) ? part['type'][0] : part['type']
    const low = typeof part['minimum'] === 'number' ? Math.ceil(part['minimum']) : 0
    const high = typeof part['maximum'] === 'number' ? Math.floor(part['maximum']) : low + 99
    if (type === 'integer' || type === 'number') return number(low, Math.max(low, high))
    if (type === 'boolean') return dice.roll() < 0.5
    if (type === 'null') return null
    if (type === 'array') {
      const count = typeof part['minItems'] === 'number' ? Math.max(1, part['minItems']) : 1
      return Array.from({ length: Math.min(count, 16) }, () => make(part['items'], root, depth + 1))
    }
    const properties = part['properties']
    if (type === 'object' || isObject(properties)) {
      const made: JsonObject = {}
      for (const [key, value] of Object.entries(isObject(properties) ? properties : {}))
        made[key] = make(value, root, depth + 1)
      return made
    }
    const pool = ['scattering', 'rayleigh', 'blue', 'sky', 'rain']
    const text = pool[number(0, pool.length - 1)] ?? 'sky'
    const least = typeof part['minLength'] === 'number' ? Math.min(part['minLength'], 1024) : 0
    return text.padEnd(least, 'e')
  }

  return make(schema, isObject(schema) ? schema : {}, 0)
}

function resolve(reference: string, root: JsonObject): Json | undefined {
  let part: Json | undefined = root
  for (const step of reference.replace(/^#\/?/, '').split('/'))
    part = isObject(part) ? part[step] : undefined
  return part
}
