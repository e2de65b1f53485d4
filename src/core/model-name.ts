/**
 * A model's name as Ollama compares names: default host `registry.ollama.ai`, namespace `library`, tag `latest`,
 * letter case ignored. `x`, `X:latest`, `library/x` and `registry.ollama.ai/library/x:latest` are one model.
 * The name in a body is never rewritten; the canonical form is only for comparing.
 * Source: Ollama types/model/name.go and the cloud suffix rules of its model source parser.
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

/** Reads a name; undefined when Ollama would call it invalid. */
export function readModelName(text: string): ModelName | undefined {
  let rest = text.trim()
  const scheme = /^https?:\/\//i.exec(rest)
  if (scheme) rest = rest.slice(scheme[0].length)

  // A colon before the last slash belongs to a host's port, so a tag is only looked for behind it.
  const slash = rest.lastIndexOf('/')
  const colon = rest.indexOf(':', slash + 1)
  let tag = colon < 0 ? defaultTag : rest.slice(colon + 1).toLowerCase()
  const path = (colon < 0 ? rest : rest.slice(0, colon)).toLowerCase()

  let cloud = false
  if (tag === 'cloud' || tag.endsWith('-cloud') || tag.endsWith(':cloud')) cloud = true
  if (tag === 'local') tag = defaultTag
  else if (tag.endsWith(':local')) tag = tag.slice(0, -':local'.length)
  const bareTag = cloud && tag.endsWith(':cloud') ? tag.slice(0, -':cloud'.length) : tag

  const parts = path.split('/')
  if (parts.length > 3) return undefined
  const model = parts.at(-1) ?? ''
  const namespace = parts.at(-2) ?? defaultNamespace
  const host = parts.at(-3) ?? defaultHost
  if (!isHost(host) || !isNamespace(namespace) || !isModel(model) || !isTag(bareTag))
    return undefined

  const short =
    host === defaultHost
      ? namespace === defaultNamespace
        ? model
        : `${namespace}/${model}`
      : `${host}/${namespace}/${model}`
  return { canonical: `${short}:${tag}`, cloud }
}

/** The canonical key of a name, or the text itself in lower case when it is no valid name. */
export function canonicalName(text: string): string {
  return readModelName(text)?.canonical ?? text.trim().toLowerCase()
}

const isHost = (text: string) => /^[a-z0-9][a-z0-9_.:-]{0,349}$/.test(text)
const isNamespace = (text: string) => /^[a-z0-9_][a-z0-9_-]{0,79}$/.test(text)
const isModel = (text: string) => /^[a-z0-9_][a-z0-9_.-]{0,79}$/.test(text)
const isTag = (text: string) => /^[a-z0-9_][a-z0-9_.-]{0,79}$/.test(text)

/** Embedding-only models, told by name where nothing better is known. */
export function soundsLikeEmbedding(name: string): boolean {
  return /embed|minilm|bge|(^|[^a-z])e5([^a-z]|$)/.test(name.toLowerCase())
}
