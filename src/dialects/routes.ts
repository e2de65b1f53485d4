import type { Family, Framing, Op } from '../core/ask.ts'

export type Method = 'HEAD' | 'GET' | 'POST' | 'DELETE'

/**
 * Who answers: `routed` one backend by model · `merged` made of what all say · `broadcast` every backend concerned ·
 * `account` the one that is signed in · `self` the proxy · `blob` uploads, kept where models are created.
 */
export type Treatment = 'routed' | 'merged' | 'broadcast' | 'account' | 'self' | 'blob'

export interface Route {
  readonly methods: readonly Method[]
  /** As registered, with `:name` for a parameter. */
  readonly path: string
  readonly family: Family
  readonly op: Op
  readonly treatment: Treatment
  /** Takes a seat at a backend while it runs. */
  readonly seat: boolean
  readonly inference: boolean
  /** What the request's body is. */
  readonly body: 'none' | 'json' | 'multipart' | 'raw'
  /** What an absent `stream` means. */
  readonly streams: boolean
  /** How the answer is cut when it streams; `json` where it never does. */
  readonly framing: Framing
  /** The models, or who is signed in, may be others afterwards. */
  readonly changesFleet: boolean
}

export type Found =
  | {
      readonly kind: 'route'
      readonly route: Route
      readonly params: Readonly<Record<string, string>>
    }
  | { readonly kind: 'notFound' }
  | { readonly kind: 'notAllowed'; readonly allow: string }

const plain = {
  family: 'ollama',
  seat: false,
  inference: false,
  body: 'none',
  streams: false,
  framing: 'json',
  changesFleet: false,
} as const

const native = {
  ...plain,
  methods: ['POST'],
  treatment: 'routed',
  seat: true,
  inference: true,
  body: 'json',
} as const

const nativeStream = { ...native, streams: true, framing: 'ndjson' } as const
const openai = { ...native, family: 'openai', framing: 'sse' } as const
const account = { ...plain, methods: ['POST'], op: 'account', treatment: 'account' } as const
const change = {
  ...plain,
  methods: ['POST'],
  treatment: 'broadcast',
  body: 'json',
  changesFleet: true,
} as const
const changeStream = { ...change, streams: true, framing: 'ndjson' } as const

/** Every route of Ollama (server/routes.go, GenerateRoutes), and what the pool does with it. */
export const routes: readonly Route[] = [
  { ...plain, methods: ['HEAD', 'GET'], path: '/', op: 'other', treatment: 'self' },
  { ...plain, methods: ['HEAD', 'GET'], path: '/api/version', op: 'version', treatment: 'merged' },
  { ...plain, methods: ['HEAD', 'GET'], path: '/api/tags', op: 'list', treatment: 'merged' },
  { ...plain, methods: ['GET'], path: '/api/ps', op: 'ps', treatment: 'merged' },
  { ...native, path: '/api/show', op: 'show', seat: false, inference: false },

  { ...nativeStream, path: '/api/generate', op: 'generate' },
  { ...nativeStream, path: '/api/chat', op: 'chat' },
  { ...native, path: '/api/embed', op: 'embed' },
  { ...native, path: '/api/embeddings', op: 'embed' },

  { ...changeStream, path: '/api/pull', op: 'pull' },
  { ...changeStream, path: '/api/push', op: 'push', treatment: 'routed' },
  { ...changeStream, path: '/api/create', op: 'create' },
  { ...change, path: '/api/copy', op: 'copy' },
  { ...change, methods: ['DELETE'], path: '/api/delete', op: 'delete' },
  { ...plain, methods: ['HEAD'], path: '/api/blobs/:digest', op: 'blob', treatment: 'blob' },
  { ...change, path: '/api/blobs/:digest', op: 'blob', treatment: 'blob', body: 'raw' },

  { ...account, methods: ['GET'], path: '/api/status' },
  { ...account, path: '/api/me', body: 'raw' },
  { ...account, path: '/api/signout', body: 'raw', changesFleet: true },
  { ...account, methods: ['DELETE'], path: '/api/user/keys/:encodedKey', changesFleet: true },
  { ...account, path: '/api/experimental/web_search', body: 'raw' },
  { ...account, path: '/api/experimental/web_fetch', body: 'raw' },
  { ...account, methods: ['GET'], path: '/api/experimental/model-recommendations' },

  { ...openai, path: '/v1/chat/completions', op: 'chat' },
  { ...openai, path: '/v1/completions', op: 'generate' },
  { ...openai, path: '/v1/embeddings', op: 'embed', framing: 'json' },
  { ...openai, path: '/v1/responses', op: 'responses' },
  {
    ...openai,
    path: '/v1/audio/transcriptions',
    op: 'transcribe',
    body: 'multipart',
    framing: 'json',
  },
  {
    ...plain,
    family: 'openai',
    methods: ['GET'],
    path: '/v1/models',
    op: 'list',
    treatment: 'merged',
  },
  {
    ...plain,
    family: 'openai',
    methods: ['GET'],
    path: '/v1/models/:model',
    op: 'show',
    treatment: 'routed',
  },
  { ...openai, family: 'anthropic', path: '/v1/messages', op: 'chat' },
]

/** All routes of one path, by method. */
type ByMethod = ReadonlyMap<string, Route>

const exact = new Map<string, ByMethod>()
const byPrefix: { readonly prefix: string; readonly param: string; readonly by: ByMethod }[] = []
for (const path of new Set(routes.map((route) => route.path))) {
  const by = new Map<string, Route>()
  for (const route of routes)
    if (route.path === path) for (const method of route.methods) by.set(method, route)
  const colon = path.indexOf(':')
  if (colon < 0) exact.set(path, by)
  else byPrefix.push({ prefix: path.slice(0, colon), param: path.slice(colon + 1), by })
}

const noParams: Readonly<Record<string, string>> = Object.freeze({})

/**
 * The route of a request. `path` is the target without its query, as it came. Trailing and doubled slashes are read
 * as Ollama's redirects would mend them; everything else must match byte for byte, so no encoding slips past.
 */
export function findRoute(method: string, path: string): Found {
  const by = exact.get(path)
  if (by !== undefined) return chosen(by, method, noParams)
  return findOddRoute(method, withoutSpareSlashes(path))
}

function findOddRoute(method: string, path: string): Found {
  const by = exact.get(path)
  if (by !== undefined) return chosen(by, method, noParams)
  for (const odd of byPrefix) {
    if (!path.startsWith(odd.prefix)) continue
    const value = readParam(path.slice(odd.prefix.length))
    if (value !== undefined) return chosen(odd.by, method, { [odd.param]: value })
  }
  return { kind: 'notFound' }
}

function chosen(by: ByMethod, method: string, params: Readonly<Record<string, string>>): Found {
  const route = by.get(method)
  if (route !== undefined) return { kind: 'route', route, params }
  return { kind: 'notAllowed', allow: [...by.keys()].join(', ') }
}

const ordinary: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])

/**
 * What a newer Ollama may have on a path that is not known here. Only a path that no server reads as another one: no
 * dots that lead elsewhere, no parameters behind a semicolon, nothing hidden in an encoding.
 */
export function mayBeUnknown(method: string, path: string): boolean {
  const [, first, ...segments] = path.split('/')
  return (
    ordinary.has(method) &&
    (first === 'api' || first === 'v1') &&
    segments.length > 0 &&
    segments.every(isPlainSegment)
  )
}

function isPlainSegment(raw: string): boolean {
  const value = readParam(raw)
  return value !== undefined && !value.includes(';') && /^[\w\-.~:@!$&'()*+,=%]+$/.test(raw)
}

/** As Ollama's redirects would mend it. */
export function withoutSpareSlashes(path: string): string {
  let kept = path
  while (kept.includes('//')) kept = kept.replaceAll('//', '/')
  return kept.length > 1 && kept.endsWith('/') ? kept.slice(0, -1) : kept
}

/** One path segment, decoded; undefined when it is none, or hides what only a path may hold. */
function readParam(raw: string): string | undefined {
  if (raw === '' || raw.length > 1_024 || raw.includes('/')) return undefined
  let value: string
  try {
    value = decodeURIComponent(raw)
  } catch {
    return undefined
  }
  if (value === '.' || value === '..' || /[/\\\u0000-\u001f\u007f]/.test(value)) return undefined
  return value
}
