import { isObject, type JsonObject } from './json-text.ts'

/** A schema inside a schema; `true` meets everything, `false` nothing. */
export type Schema = JsonObject | boolean

export const jsonTypes = [
  'null',
  'boolean',
  'number',
  'integer',
  'string',
  'array',
  'object',
] as const
export type JsonType = (typeof jsonTypes)[number]

export function isSchema(value: unknown): value is Schema {
  return typeof value === 'boolean' || isObject(value)
}

/** The schemas in a list (`allOf`, `prefixItems` …); none where there is no list. */
export function schemasIn(value: unknown): Schema[] {
  return Array.isArray(value) ? value.filter(isSchema) : []
}

/** What `type` and `nullable` leave; all types where nothing is said. */
export function typesOf(schema: JsonObject): readonly JsonType[] {
  const { type, nullable } = schema
  const said = typeof type === 'string' ? [type] : Array.isArray(type) ? type : undefined
  if (said === undefined) return jsonTypes
  return jsonTypes.filter((one) => said.includes(one) || (one === 'null' && nullable === true))
}

export function hasType(value: unknown, type: JsonType): boolean {
  switch (type) {
    case 'null':
      return value === null
    case 'array':
      return Array.isArray(value)
    case 'object':
      return isObject(value)
    case 'integer':
      return Number.isInteger(value)
    default:
      return typeof value === type
  }
}

/** What a `$ref` into the same document points at; undefined for one that leads elsewhere or nowhere. */
export function referred(root: JsonObject, ref: unknown): Schema | undefined {
  if (typeof ref !== 'string' || !/^#(?:\/|$)/.test(ref)) return undefined
  let at: unknown = root
  for (const step of ref.split('/').slice(1)) {
    const key = unescaped(step)
    if (typeof at !== 'object' || at === null || key === undefined || !Object.hasOwn(at, key))
      return undefined
    at = (at as JsonObject)[key]
  }
  return isSchema(at) ? at : undefined
}

function unescaped(step: string): string | undefined {
  try {
    return decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
  } catch {
    return undefined
  }
}
