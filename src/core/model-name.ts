import { matchesAny } from './wildcard.ts'

/**
 * A model's name as Ollama compares names: default host `registry.ollama.ai`, namespace `library`, tag `latest`,
 * letter case ignored. `x`, `X:latest`, `library/x` and `registry.ollama.ai/library/x:latest` are one model.
 * The name in a body is never rewritten; the canonical form is only for comparing.
 * Sources: Ollama types/model/name.go (parts) and internal/modelref (the suffixes of local and cloud).
 */
export interface ModelName {
  /** The form to compare and to use as a key: short when the defaults hold, lower case, always with a tag. */
  readonly canonical: string
  /** True for `:cloud` or `-cloud` names: served by a remote account, no seat and no load here. */
  readonly cloud: boolean
}

const defaultHost = 'registry.ollama.ai'
const defaultNamespace = 'library'
const defaultTag = 'latest'
/** As nearly all are written: a model of the library in lower case, perhaps with a tag. */
const plainName = /^[a-z0-9_][a-z0-9_.-]{0,79}(?::[a-z0-9_][a-z0-9_.-]{0,79})?$/

/** Reads a name; undefined when Ollama would call it invalid. */
export function readModelName(text: string): ModelName | undefined {
  if (plainName.test(text)) {
    const colon = text.indexOf(':')
    if (colon < 0) return { canonical: `${text}:${defaultTag}`, cloud: false }
    if (!text.endsWith('cloud') && !text.endsWith('local')) return { canonical: text, cloud: false }
  }
  const { base, source } = cutSource(text.trim())
  if (source !== undefined && cutSource(base).source !== undefined) return undefined
  const parts = splitName(base)
  if (parts === undefined) return undefined
  const path = shortPath(parts).toLowerCase()
  const tag = parts.tag.toLowerCase()
  if (source !== 'cloud') return { canonical: `${path}:${tag}`, cloud: false }
  // `x:8b:cloud` and `x:8b-cloud` are the same; the second is the one that lists show.
  return { canonical: `${path}:${tag === defaultTag ? 'cloud' : `${tag}-cloud`}`, cloud: true }
}

/** The canonical key of a name, or the text itself in lower case when it is no valid name. */
export function canonicalName(text: string): string {
  return readModelName(text)?.canonical ?? text.trim().toLowerCase()
}

/** The short form with its tag, letter case kept: how Ollama shows a name. Undefined when it is invalid. */
export function shortName(text: string): string | undefined {
  const parts = splitName(cutSource(text.trim()).base)
  return parts === undefined ? undefined : `${shortPath(parts)}:${parts.tag}`
}

/** True for names such as `x:local:cloud`, which Ollama refuses with words of their own. */
export function hasTwoSources(text: string): boolean {
  const { base, source } = cutSource(text.trim())
  return source !== undefined && cutSource(base).source !== undefined
}

interface NameParts {
  readonly host: string
  readonly namespace: string
  readonly model: string
  readonly tag: string
}

/** Takes a `:cloud`, `-cloud` or `:local` off the end of a name. */
function cutSource(text: string): { base: string; source: 'cloud' | 'local' | undefined } {
  const colon = text.lastIndexOf(':')
  if (colon < 0) return { base: text, source: undefined }
  const suffix = text.slice(colon + 1).trim()
  const word = suffix.toLowerCase()
  if (word === 'cloud' || word === 'local') return { base: text.slice(0, colon), source: word }
  if (word.endsWith('-cloud') && !word.includes('/'))
    return {
      base: text.slice(0, colon + 1) + suffix.slice(0, -'-cloud'.length),
      source: 'cloud',
    }
  return { base: text, source: undefined }
}

function splitName(text: string): NameParts | undefined {
  // A colon before the last slash belongs to a host's port, so a tag is only looked for behind it.
  const colon = text.indexOf(':', text.lastIndexOf('/') + 1)
  const tag = colon < 0 ? defaultTag : text.slice(colon + 1)
  let path = colon < 0 ? text : text.slice(0, colon)
  // A scheme is legal before a host, and a host only stands before a namespace.
  const scheme = path.indexOf('://')
  if (scheme >= 0) {
    path = path.slice(scheme + '://'.length)
    if (path.split('/').length !== 3) return undefined
  }
  const parts = path.split('/')
  if (parts.length > 3) return undefined
  const model = parts.at(-1) ?? ''
  const namespace = parts.at(-2) ?? defaultNamespace
  const host = parts.at(-3) ?? defaultHost
  if (!isHost(host) || !isNamespace(namespace) || !isModel(model) || !isTag(tag)) return undefined
  return { host, namespace, model, tag }
}

function shortPath({ host, namespace, model }: NameParts): string {
  if (host.toLowerCase() !== defaultHost) return `${host}/${namespace}/${model}`
  return namespace.toLowerCase() === defaultNamespace ? model : `${namespace}/${model}`
}

// No `u` flag: with it, the Kelvin sign and the long s would pass for letters of ASCII.
const isHost = (text: string) => /^[a-z0-9_][a-z0-9_.:-]{0,349}$/i.test(text)
const isNamespace = (text: string) => /^[a-z0-9_][a-z0-9_-]{0,79}$/i.test(text)
const isModel = (text: string) => /^[a-z0-9_][a-z0-9_.-]{0,79}$/i.test(text)
const isTag = isModel

/** Whether a canonical name fits one of some patterns; `llama3` means `llama3:latest` here as well. */
export function matchesModel(canonical: string, patterns: readonly string[]): boolean {
  if (matchesAny(canonical, patterns)) return true
  const end = `:${defaultTag}`
  return canonical.endsWith(end) && matchesAny(canonical.slice(0, -end.length), patterns)
}

/** Embedding-only models, told by name where nothing better is known. */
export function soundsLikeEmbedding(name: string): boolean {
  return /embed|minilm|bge|(^|[^a-z])e5([^a-z]|$)/.test(name.toLowerCase())
}
