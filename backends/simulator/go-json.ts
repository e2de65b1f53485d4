import { Refusal } from './refusal.ts'

/**
 * JSON as Go reads and writes it. Go decodes only the first value of a body, matches struct fields in any letter case
 * with the last one winning, and complains in words of its own; clients and proxies have come to rely on all three.
 */
export type Json = null | boolean | number | string | Json[] | JsonObject
export interface JsonObject {
  [key: string]: Json
}

/** Go goes to 10,000; the call stack of Node does not, and no request is that deep. */
const depthMax = 1_000

/** The first JSON value of the text; anything behind it is left alone. */
export function parseFirst(text: string): Json {
  let at = 0

  const skip = () => {
    for (;;) {
      const code = text.charCodeAt(at)
      if (code === 32 || code === 10 || code === 13 || code === 9) at++
      else return
    }
  }
  const wrong = (where: string): Refusal => {
    if (at >= text.length) return new Refusal(400, 'unexpected EOF')
    const char = String.fromCodePoint(text.codePointAt(at) ?? 0)
    const shown = char === "'" ? "'\\''" : char === '"' ? `'"'` : `'${printable(char)}'`
    return new Refusal(400, `invalid character ${shown} ${where}`)
  }

  const readString = (): string => {
    const start = at
    let end = start + 1
    for (;;) {
      const quote = text.indexOf('"', end)
      if (quote < 0) {
        at = text.length
        throw wrong('in string literal')
      }
      let slashes = 0
      while (text[quote - 1 - slashes] === '\\') slashes++
      end = quote + 1
      if (slashes % 2 === 0) break
    }
    const inner = text.slice(start + 1, end - 1)
    const control = /[\u0000-\u001f]/.exec(inner)
    if (control) {
      at = start + 1 + control.index
      throw wrong('in string literal')
    }
    at = end
    if (!inner.includes('\\')) return inner
    try {
      return JSON.parse(text.slice(start, end)) as string
    } catch {
      const bad = /\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})/.exec(inner)
      at = start + 2 + (bad?.index ?? 0)
      throw wrong('in string escape code')
    }
  }

  const readLiteral = (word: string, value: Json): Json => {
    for (const char of word) {
      if (text[at] !== char) throw wrong(`in literal ${word} (expecting '${char}')`)
      at++
    }
    return value
  }

  const readValue = (depth: number): Json => {
    skip()
    if (depth > depthMax) throw new Refusal(400, 'exceeded max depth')
    const char = text[at]
    if (char === '{') return readObject(depth)
    if (char === '[') return readArray(depth)
    if (char === '"') return readString()
    if (char === 't') return readLiteral('true', true)
    if (char === 'f') return readLiteral('false', false)
    if (char === 'n') return readLiteral('null', null)
    const number = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/.exec(text.slice(at, at + 64))
    if (!number) {
      if (char === '-') {
        at++
        throw wrong('in numeric literal')
      }
      throw wrong('looking for beginning of value')
    }
    at += number[0].length
    return Number(number[0])
  }

  const readObject = (depth: number): JsonObject => {
    const object: JsonObject = Object.create(null)
    at++
    skip()
    if (text[at] === '}') {
      at++
      return object
    }
    for (;;) {
      skip()
      if (text[at] !== '"') throw wrong('looking for beginning of object key string')
      const key = readString()
      skip()
      if (text[at] !== ':') throw wrong('after object key')
      at++
      const value = readValue(depth + 1)
      // Put in again, so that the order of keys is the order in which they were last written.
      delete object[key]
      object[key] = value
      skip()
      if (text[at] === '}') break
      if (text[at] !== ',') throw wrong('after object key:value pair')
      at++
    }
    at++
    return object
  }

  const readArray = (depth: number): Json[] => {
    const array: Json[] = []
    at++
    skip()
    if (text[at] === ']') {
      at++
      return array
    }
    for (;;) {
      array.push(readValue(depth + 1))
      skip()
      if (text[at] === ']') break
      if (text[at] !== ',') throw wrong('after array element')
      at++
    }
    at++
    return array
  }

  skip()
  if (at >= text.length) throw new Refusal(400, 'EOF')
  return readValue(0)
}

function printable(char: string): string {
  const code = char.codePointAt(0) ?? 0
  if (char === '\n') return '\\n'
  if (char === '\r') return '\\r'
  if (char === '\t') return '\\t'
  if (code < 32) return `\\x${code.toString(16).padStart(2, '0')}`
  return char
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function kindOf(value: Json): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'boolean') return 'bool'
  return typeof value
}

/** A JSON object read as a Go struct: fields in any letter case, null is as good as absent. */
export class Fields {
  readonly raw: JsonObject
  readonly #struct: string
  readonly #byLower = new Map<string, Json>()

  constructor(raw: JsonObject, struct: string) {
    this.raw = raw
    this.#struct = struct
    for (const key of Object.keys(raw)) {
      const value = raw[key]
      if (value !== undefined && value !== null) this.#byLower.set(key.toLowerCase(), value)
    }
  }

  has(name: string): boolean {
    return this.#byLower.has(name.toLowerCase())
  }
  get(name: string): Json | undefined {
    return this.#byLower.get(name.toLowerCase())
  }
  string(name: string): string | undefined {
    const value = this.get(name)
    if (value === undefined || typeof value === 'string') return value
    throw this.#mismatch(name, value, 'string')
  }
  boolean(name: string): boolean | undefined {
    const value = this.get(name)
    if (value === undefined || typeof value === 'boolean') return value
    throw this.#mismatch(name, value, 'bool')
  }
  number(name: string, type = 'float64'): number | undefined {
    const value = this.get(name)
    if (value === undefined || typeof value === 'number') return value
    throw this.#mismatch(name, value, type)
  }
  integer(name: string): number | undefined {
    const value = this.number(name, 'int')
    if (value === undefined || Number.isInteger(value)) return value
    throw new Refusal(
      400,
      `json: cannot unmarshal number ${value} into Go struct field ${this.#struct}.${name} of type int`,
    )
  }
  object(name: string, type = 'map[string]interface {}'): JsonObject | undefined {
    const value = this.get(name)
    if (value === undefined || isObject(value)) return value
    throw this.#mismatch(name, value, type)
  }
  array(name: string, type: string): Json[] | undefined {
    const value = this.get(name)
    if (value === undefined || Array.isArray(value)) return value
    throw this.#mismatch(name, value, type)
  }
  strings(name: string): string[] | undefined {
    const values = this.array(name, '[]string')
    return values?.map((value) => {
      if (typeof value === 'string') return value
      throw this.#mismatch(name, value, 'string')
    })
  }
  /** The objects of an array field, each as a struct. */
  structs(name: string, struct: string): Fields[] | undefined {
    return this.array(name, `[]${struct}`)?.map((value) => {
      // Go names the whole way to a field that is wrong.
      if (isObject(value)) return new Fields(value, `${this.#struct}.${name}`)
      throw this.#mismatch(name, value, struct)
    })
  }

  #mismatch(name: string, value: Json, type: string): Refusal {
    return new Refusal(
      400,
      `json: cannot unmarshal ${kindOf(value)} into Go struct field ${this.#struct}.${name} of type ${type}`,
    )
  }
}

/** A body as a struct. `whenEmpty` is what the route says about a body without a value. */
export function readStruct(body: Buffer, struct: string, whenEmpty: string): Fields {
  const text = body.toString('utf8')
  if (text.trim() === '') throw new Refusal(400, whenEmpty)
  const value = parseFirst(text)
  if (value === null) return new Fields({}, struct)
  if (!isObject(value)) {
    throw new Refusal(
      400,
      `json: cannot unmarshal ${kindOf(value)} into Go value of type api.${struct}`,
    )
  }
  return new Fields(value, struct)
}

const escapes: Record<string, string> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
}

/** Go's encoder keeps its output safe inside HTML; a byte-wise comparison would notice if we did not. */
export function toGoJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (char) => escapes[char] ?? char)
}

/** Go writes maps with their keys in order, unlike structs. */
export function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(entries.map(([key, item]) => [key, sortedKeys(item)]))
}
