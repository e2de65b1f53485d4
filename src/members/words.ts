import { namePattern } from '../config/backend-schema.ts'

/** What an agent says of itself when it joins. */
export interface JoinWords {
  readonly name: string
  readonly port: number
  readonly url: string | undefined
  readonly instance: string
  readonly nonce: string
  readonly labels: readonly string[]
  readonly version: string
  readonly managed: boolean
}

const labelsMax = 32

/** The body of a join, every part of it bounded; or what is wrong with it, in words. */
export function readJoin(body: Buffer): JoinWords | string {
  const said = jsonObject(body)
  if (!said) return 'the body must be one JSON object'
  const { name, port, url, instance, nonce, labels = [], version = '', managed = false } = said
  if (!matches(name, namePattern))
    return 'name must have up to 64 signs of a-z, 0-9, - _ and .; it starts with a letter or digit'
  if (typeof port !== 'number' || !Number.isInteger(port) || port < 1 || port > 65_535)
    return 'port must be a number from 1 to 65535'
  if (url !== undefined && url !== null && !matches(url, /^\S{1,300}$/))
    return 'url must be a URL such as http://192.168.1.20:11436'
  if (!matches(instance, /^[\w.-]{1,64}$/)) return 'instance must have up to 64 letters and digits'
  if (!matches(nonce, noncePattern)) return 'nonce must be 16 bytes in hex'
  if (!Array.isArray(labels) || labels.length > labelsMax || !labels.every(isLabel))
    return `labels must be at most ${labelsMax} words of up to 64 signs`
  if (!matches(version, /^[\x20-\x7e]{0,64}$/)) return 'version must have up to 64 signs'
  if (typeof managed !== 'boolean') return 'managed must be true or false'
  return { name, port, url: url ?? undefined, instance, nonce, labels, version, managed }
}

/** What an agent answers to a call back. */
export interface HelloWords {
  readonly name: string
  readonly instance: string
  readonly nonce: string
  readonly ollama: string
}

export function readHello(body: Buffer): HelloWords | undefined {
  const { name, instance, nonce, ollama } = jsonObject(body) ?? {}
  const isWhole =
    typeof name === 'string' &&
    typeof instance === 'string' &&
    matches(nonce, noncePattern) &&
    typeof ollama === 'string'
  return isWhole ? { name, instance, nonce, ollama } : undefined
}

/** The number by which calls of one session are told apart, and what came with it. */
export function readSequence(
  body: Buffer,
): { readonly sequence: number; readonly load: unknown } | undefined {
  const { sequence, load } = jsonObject(body) ?? {}
  const isNumber = typeof sequence === 'number' && Number.isSafeInteger(sequence) && sequence > 0
  return isNumber ? { sequence, load } : undefined
}

const noncePattern = /^[0-9a-f]{32}$/

const matches = (value: unknown, pattern: RegExp): value is string =>
  typeof value === 'string' && pattern.test(value)

const isLabel = (value: unknown): value is string => matches(value, /^[\x21-\x7e]{1,64}$/)

function jsonObject(body: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
