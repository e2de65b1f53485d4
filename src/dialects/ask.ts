import type { Ask, Capability, Framing } from '../core/ask.ts'
import { hasTwoSources, type ModelName, readModelName } from '../core/model-name.ts'
import { goDurationNs } from './go-duration.ts'
import { goQuoted } from './go-text.ts'
import type { Route } from './routes.ts'
import {
  type BodyFacts,
  type BodyFault,
  isEmptyAt,
  rawOf,
  type ScanResult,
  textOf,
} from './scan.ts'

export interface Refused {
  readonly ok: false
  readonly status: number
  readonly message: string
}

export type ReadAsk = { readonly ok: true; readonly ask: Ask } | Refused

const invalidName = 'invalid model name'
const modelRequired = 'model is required'

/** The Go types into which Ollama decodes each body; its error texts name them. */
const goTypes = new Map([
  ['/api/generate', 'api.GenerateRequest'],
  ['/api/chat', 'api.ChatRequest'],
  ['/api/embed', 'api.EmbedRequest'],
  ['/api/embeddings', 'api.EmbeddingRequest'],
  ['/api/show', 'api.ShowRequest'],
  ['/api/pull', 'api.PullRequest'],
  ['/api/push', 'api.PushRequest'],
  ['/api/create', 'api.CreateRequest'],
  ['/api/copy', 'api.CopyRequest'],
  ['/api/delete', 'api.DeleteRequest'],
  ['/v1/chat/completions', 'openai.ChatCompletionRequest'],
  ['/v1/completions', 'openai.CompletionRequest'],
  ['/v1/embeddings', 'openai.EmbedRequest'],
  ['/v1/responses', 'openai.ResponsesRequest'],
  ['/v1/messages', 'anthropic.MessagesRequest'],
])

/**
 * What a request asks for, or the refusal that Ollama itself would give: only where the proxy cannot route without
 * knowing better, or need not bother a backend. Everything else in a body is the backend's to judge.
 * Sources: Ollama server/routes.go (the handlers' beginnings), middleware/openai.go, middleware/anthropic.go.
 */
export function readAsk(route: Route, scan: ScanResult): ReadAsk {
  if (!scan.ok) return refuse(400, faultText(route, scan))
  const wrongType = mistypedText(route, scan)
  if (wrongType !== undefined) return refuse(400, wrongType)
  const hollow = hollowText(route, scan)
  if (hollow !== undefined) return refuse(400, hollow)

  const modelText = modelTextOf(route, scan)
  const name = readModelName(modelText)
  if (name === undefined || modelText === '') return refuseName(route, modelText)
  if (route.op === 'copy') {
    const destination = textOf(scan, 'destination')
    if (readModelName(destination) === undefined)
      return refuse(400, `destination ${goQuoted(destination)} is invalid`)
  }
  return { ok: true, ask: makeAsk(route, scan, modelText, name) }
}

/** The same for the routes that name a model in their path and have no body. */
export function askForName(route: Route, modelText: string): ReadAsk {
  return readAsk(route, {
    ok: true,
    values: new Map([
      [
        'model',
        {
          kind: 'string',
          empty: modelText === '',
          text: JSON.stringify(modelText),
          tooLong: false,
          thenNull: false,
          from: 0,
          to: 0,
        },
      ],
    ]),
    mistyped: new Map(),
    textBytes: 0,
    media: false,
    audio: false,
  })
}

/** The context length that a request insists on, in tokens. */
export function numCtx(ask: Ask): number | undefined {
  const tokens = Number(ask.runner['num_ctx'] ?? Number.NaN)
  return Number.isFinite(tokens) && tokens >= 1 ? Math.trunc(tokens) : undefined
}

function makeAsk(route: Route, facts: BodyFacts, modelText: string, name: ModelName): Ask {
  const purpose = purposeOf(route, facts)
  return {
    family: route.family,
    op: route.op,
    modelText,
    name,
    modelAt: placeOfModel(route, facts),
    purpose,
    // Ollama answers a load or an unload with one object whatever `stream` says.
    framing: purpose === 'infer' ? framingOf(route, facts) : 'json',
    needs: needsOf(route, facts, purpose),
    runner: runnerOf(route, facts),
    keepAlive: rawOf(facts, 'keep_alive'),
    textBytes: facts.textBytes,
    outTokensMax: purpose === 'infer' ? outTokensMaxOf(route, facts) : undefined,
    prefix: purpose === 'infer' ? facts.prefix : undefined,
    repeatable: route.inference || route.op === 'show',
  }
}

// --- refusals ---

const refuse = (status: number, message: string): Refused => ({ ok: false, status, message })

function faultText(route: Route, fault: BodyFault): string {
  if (fault.problem === 'empty') return route.family === 'ollama' ? 'missing request body' : 'EOF'
  if (fault.problem === 'syntax') return fault.text
  return `json: cannot unmarshal ${fault.text} into Go value of type ${goTypes.get(route.path) ?? 'object'}`
}

function mistypedText(route: Route, facts: BodyFacts): string | undefined {
  if (facts.mistyped.size === 0) return undefined
  const type = goTypes.get(route.path)
  const struct = type?.slice(type.indexOf('.') + 1) ?? 'Request'
  for (const key of namingKeys(route)) {
    const kind = facts.mistyped.get(key)
    if (kind !== undefined)
      return `json: cannot unmarshal ${kind} into Go struct field ${struct}.${key} of type string`
  }
  return undefined
}

function namingKeys(
  route: Route,
): readonly ('model' | 'name' | 'source' | 'destination' | 'from')[] {
  if (route.op === 'copy') return ['source', 'destination']
  if (route.op === 'create') return ['model', 'name', 'from']
  return takesLegacyName(route) ? ['model', 'name'] : ['model']
}

const takesLegacyName = (route: Route) =>
  route.family === 'ollama' &&
  (route.op === 'show' ||
    route.op === 'pull' ||
    route.op === 'push' ||
    route.op === 'create' ||
    route.op === 'delete')

function modelTextOf(route: Route, facts: BodyFacts): string {
  if (route.op === 'copy') return textOf(facts, 'source')
  const model = textOf(facts, 'model')
  return model === '' && takesLegacyName(route) ? textOf(facts, 'name') : model
}

/** Undefined: it stands in the path, or in a form. */
function placeOfModel(route: Route, facts: BodyFacts): Ask['modelAt'] {
  const isNamed = textOf(facts, 'model') === '' && takesLegacyName(route)
  const value = facts.values.get(isNamed ? 'name' : 'model')
  return value === undefined || value.to === 0 ? undefined : { from: value.from, to: value.to }
}

/** Requests that the compatibility layers refuse before they look for a model. */
function hollowText(route: Route, facts: BodyFacts): string | undefined {
  switch (route.path) {
    case '/v1/chat/completions':
      return isEmptyAt(facts, 'messages') ? "[] is too short - 'messages'" : undefined
    case '/v1/embeddings':
      // An empty text is an input; no text at all, or a list of none, is not.
      return facts.values.get('input')?.kind !== 'string' && isEmptyAt(facts, 'input')
        ? 'invalid input'
        : undefined
    case '/v1/messages':
      if (textOf(facts, 'model') === '') return modelRequired
      if (!(Number(facts.values.get('max_tokens')?.text ?? 0) > 0))
        return 'max_tokens is required and must be positive'
      return isEmptyAt(facts, 'messages') ? 'messages is required' : undefined
    default:
      return undefined
  }
}

/** No name, or none that Ollama takes: every handler has its own words for it. */
function refuseName(route: Route, modelText: string): Refused {
  const parsesSource = !['push', 'create', 'copy'].includes(route.op)
  if (parsesSource && hasTwoSources(modelText))
    return refuse(400, `use either :local or :cloud, not both: ${goQuoted(modelText.trim())}`)
  const missing = modelText.trim() === ''
  switch (route.op) {
    case 'generate':
      return missing ? refuse(404, `model '${modelText}' not found`) : refuse(400, invalidName)
    case 'embed':
      if (!missing) return refuse(400, invalidName)
      return route.path === '/api/embeddings'
        ? refuse(400, modelRequired)
        : refuse(404, `model '${modelText}' not found`)
    case 'pull':
    case 'create':
      return refuse(400, invalidName)
    case 'copy':
      return refuse(400, `source ${goQuoted(modelText)} is invalid`)
    case 'delete':
      return refuse(400, missing ? modelRequired : `name ${goQuoted(modelText)} is invalid`)
    default:
      return refuse(400, missing ? modelRequired : invalidName)
  }
}

// --- what it is for ---

function purposeOf(route: Route, facts: BodyFacts): Ask['purpose'] {
  if (route.family !== 'ollama' || !route.inference || !isBare(route, facts)) return 'infer'
  // Embedding routes only ever load; with a keep_alive of zero the runner leaves when it is idle.
  return route.op !== 'embed' && isZeroDuration(rawOf(facts, 'keep_alive')) ? 'unload' : 'load'
}

/** Ollama's empty requests: whatever else they carry (a suffix, images) is not looked at. */
function isBare(route: Route, facts: BodyFacts): boolean {
  switch (route.op) {
    case 'generate':
      return isEmptyString(facts, 'prompt')
    case 'chat':
      return isEmptyAt(facts, 'messages') && facts.values.get('messages')?.kind !== 'object'
    case 'embed':
      return route.path === '/api/embeddings'
        ? isEmptyString(facts, 'prompt')
        : isEmptyAt(facts, 'input') && facts.values.get('input')?.kind !== 'object'
    default:
      return false
  }
}

function isEmptyString(facts: BodyFacts, key: 'prompt' | 'suffix'): boolean {
  const value = facts.values.get(key)
  return value === undefined || value.kind === 'null' || (value.kind === 'string' && value.empty)
}

/** Zero in any of the ways a `keep_alive` can say it; a negative one means forever. Source: Ollama api/types.go. */
function isZeroDuration(raw: string | undefined): boolean {
  if (raw === undefined) return false
  let value: unknown
  try {
    value = JSON.parse(raw)
  } catch {
    return false
  }
  if (typeof value === 'number') return value >= 0 && Math.trunc(value * 1e9) === 0
  return typeof value === 'string' && goDurationNs(value) === 0
}

function framingOf(route: Route, facts: BodyFacts): Framing {
  const value = facts.values.get('stream')
  // A flag keeps its value through a null, a pointer to one loses it: /v1 has the first kind, but for responses.
  const isPointer = route.family === 'ollama' || route.op === 'responses'
  const said = value?.thenNull === true && isPointer ? undefined : value?.text
  const streams = said === undefined ? route.streams : said === 'true'
  return streams ? route.framing : 'json'
}

function needsOf(route: Route, facts: BodyFacts, purpose: Ask['purpose']): readonly Capability[] {
  if (!route.inference || purpose === 'unload') return []
  switch (route.op) {
    // A model that generates can embed as well, so nothing is asked of it.
    case 'embed':
      return []
    case 'transcribe':
      return ['audio']
    case 'generate':
      if (purpose === 'load') return ['completion']
      return listed({
        completion: true,
        insert: !isEmptyString(facts, 'suffix'),
        vision: facts.media,
        thinking: wantsThinking(route, facts),
      })
    default:
      if (purpose === 'load') return ['completion']
      return listed({
        completion: true,
        tools: facts.values.get('tools')?.kind === 'array' && !isEmptyAt(facts, 'tools'),
        vision: facts.media && !facts.audio,
        audio: facts.audio,
        thinking: wantsThinking(route, facts),
      })
  }
}

function listed(wants: Partial<Record<Capability, boolean>>): Capability[] {
  return (Object.keys(wants) as Capability[]).filter((capability) => wants[capability])
}

/** Only when it is asked for: an absent `think` is true for a model that can and nothing for one that cannot. */
function wantsThinking(route: Route, facts: BodyFacts): boolean {
  const think = rawOf(facts, 'think')
  return route.family === 'ollama' && think !== undefined && think !== 'false' && think !== '""'
}

/** Changing one of these makes Ollama start a new runner. Source: Ollama server/sched.go, needsReload. */
const runnerOptions = [
  'num_ctx',
  'num_batch',
  'num_gpu',
  'main_gpu',
  'use_mmap',
  'num_thread',
  'draft_num_predict',
] as const

const noOptions: Readonly<Record<string, string>> = Object.freeze({})

/** Ollama takes whole numbers as numbers with any fraction cut off, and one of these options as a boolean. */
function isOf(option: string, value: unknown): boolean {
  return typeof value === (option === 'use_mmap' ? 'boolean' : 'number')
}

function runnerOf(route: Route, facts: BodyFacts): Readonly<Record<string, string>> {
  if (route.family !== 'ollama' || !route.inference) return noOptions
  const runner: Record<string, string> = {}
  const options = parsedObject(rawOf(facts, 'options'))
  for (const option of runnerOptions) {
    const value = options?.[option]
    // Written anew: 4096, 4096.0 and 4.096e3 are one context.
    // Of a wrong type the server refuses it, and touches no runner: so nothing may be unloaded for it here.
    if (isOf(option, value)) runner[option] = JSON.stringify(value)
  }
  const shift = route.op === 'embed' ? undefined : rawOf(facts, 'shift')
  if (shift === 'true' || shift === 'false') runner['shift'] = shift
  return Object.keys(runner).length === 0 ? noOptions : runner
}

/** What the request itself says of the length of its answer; negative numbers mean no limit. */
function outTokensMaxOf(route: Route, facts: BodyFacts): number | undefined {
  if (!route.inference || route.op === 'embed') return undefined
  const options = rawOf(facts, 'options')
  // Parsed only where it is in there: most options say nothing of it.
  const said =
    route.family === 'ollama'
      ? options?.includes('num_predict')
        ? parsedObject(options)?.['num_predict']
        : undefined
      : Number(rawOf(facts, 'max_tokens') ?? Number.NaN)
  return typeof said === 'number' && said >= 1 ? Math.trunc(said) : undefined
}

function parsedObject(raw: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (raw === undefined) return undefined
  try {
    const value: unknown = JSON.parse(raw)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}
