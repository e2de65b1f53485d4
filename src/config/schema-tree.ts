import { z } from 'zod'
import { headerNamePattern } from './backend-schema.ts'
import { configSchema } from './schema.ts'

export type Path = readonly (string | number)[]

/** How the text of an environment variable becomes a value. */
export type LeafKind = 'text' | 'number' | 'boolean' | 'list'

/** `backends[0].url`: a path as a person reads it. */
export function pathText(path: Path): string {
  return path
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${part}`))
    .join('')
    .replace(/^\./, '')
}

/** The keys that exist at a path; undefined where the operator chooses them, as in a map of headers. */
export function keysAt(path: Path): readonly string[] | undefined {
  const schema = schemaAt(path)
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : undefined
}

/** True for what must never be printed, and for everything below it. */
export function isSecret(path: Path): boolean {
  const [first, second, third] = path
  if (first === 'admin_token' || (first === 'join' && second === 'token')) return true
  return first === 'backends' && third === 'headers'
}

/**
 * False for a key below `path` that may have a secret in it, as when the space behind its colon is missing. Ours have no
 * digits.
 */
export function isPrintableKey(path: Path, key: string): boolean {
  if (isSecret(path)) return headerNamePattern.test(key)
  const known = keysAt(path)
  return known === undefined || known.includes(key) || /^[a-z_.-]{1,40}$/i.test(key)
}

export function leafKindAt(path: Path): LeafKind {
  const schema = schemaAt(path)
  return schema === undefined ? 'text' : kindOf(schema)
}

/** Every key that holds one value or a list of words: path → kind. Not the backends, nor maps of free keys. */
export function leaves(): { readonly path: readonly string[]; readonly kind: LeafKind }[] {
  return leavesBelow(configSchema, [])
}

function leavesBelow(
  schema: z.core.$ZodType,
  path: readonly string[],
): { path: readonly string[]; kind: LeafKind }[] {
  const inner = unwrapped(schema)
  if (inner instanceof z.ZodObject)
    return Object.entries(inner.shape).flatMap(([key, below]) => leavesBelow(below, [...path, key]))
  return inner instanceof z.ZodArray || inner instanceof z.ZodRecord
    ? []
    : [{ path, kind: kindOf(inner) }]
}

function schemaAt(path: Path): z.core.$ZodType | undefined {
  let schema: z.core.$ZodType | undefined = configSchema
  for (const part of path) {
    if (schema instanceof z.ZodObject)
      schema = Object.hasOwn(schema.shape, part) ? schema.shape[part] : undefined
    else if (schema instanceof z.ZodArray) schema = schema.element
    else return undefined
    if (schema === undefined) return undefined
    schema = unwrapped(schema)
  }
  return schema
}

function unwrapped(schema: z.core.$ZodType): z.core.$ZodType {
  if (schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional)
    return unwrapped(schema.unwrap())
  return schema
}

function kindOf(schema: z.core.$ZodType): LeafKind {
  if (schema instanceof z.ZodNumber || schema instanceof z.ZodLiteral) return 'number'
  if (schema instanceof z.ZodBoolean) return 'boolean'
  if (!(schema instanceof z.ZodUnion)) return 'text'
  // A union is a list of words that may be one word, or the slots: a number that may be a map.
  return schema.options.some((option) => option instanceof z.ZodArray) ? 'list' : 'number'
}
