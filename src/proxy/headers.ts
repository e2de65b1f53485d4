/**
 * Fields that belong to one connection and are never passed on (RFC 9110 7.6.1), both ways; besides, everything that
 * the Connection field names.
 */
const hopByHop = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'alt-svc',
])

/** Made anew by us, answered by us, or meant for us. */
const notForBackends = new Set([
  ...hopByHop,
  'host',
  'content-length',
  'expect',
  'origin',
  'forwarded',
  'x-real-ip',
  'via',
  'x-request-id',
  'x-chasqui-admin-token',
  // They name backends of this fleet; an agent or another proxy has none of that label.
  'x-chasqui-labels',
  // Between this proxy and the agents that have joined it.
  'x-chasqui-member',
  // Frames must be read to be let out whole; Ollama itself never compresses.
  'accept-encoding',
  'cookie',
  'access-control-request-method',
  'access-control-request-headers',
])

/** In answers these are ours to say, also when the backend is a proxy like us. */
const ourOwn = new Set(['proxy-status', 'x-request-id', 'x-accel-buffering'])

export interface RequestHeadersFrom {
  /** Name, value, name, value …, as the client sent them. */
  readonly raw: readonly string[]
  readonly requestId: string
  readonly hop: string
  readonly passAuthorization: boolean
  /** The backend's own, for servers behind a login. */
  readonly own: Readonly<Record<string, string>>
  readonly hostOfBackend: string
}

/**
 * The head that a backend gets: the client's, less what is between the client and us. The client's credential is for
 * this proxy and no backend's business unless the operator says so.
 */
export function requestHeaders(from: RequestHeadersFrom): string[] {
  const { raw } = from
  const named = connectionNamed(raw)
  const own = Object.entries(from.own)
  const ownNames = own.length === 0 ? undefined : new Set(own.map(([name]) => name.toLowerCase()))
  const out: string[] = ['Host', from.hostOfBackend]
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index]!
    const lower = name.toLowerCase()
    if (notForBackends.has(lower) || named?.has(lower) || ownNames?.has(lower)) continue
    if (lower.startsWith('x-forwarded-')) continue
    if (!from.passAuthorization && (lower === 'authorization' || lower === 'x-api-key')) continue
    out.push(name, raw[index + 1]!)
  }
  for (const [name, value] of own) out.push(name, value)
  out.push('Via', `1.1 ${from.hop}`, 'X-Request-Id', from.requestId)
  return out
}

/** The head that a client gets of a backend's answer. `length` keeps Content-Length, where the body passes as it is. */
export function responseHeaders(raw: readonly string[], keepLength: boolean): string[] {
  const named = connectionNamed(raw)
  const out: string[] = []
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index]!
    const lower = name.toLowerCase()
    if (hopByHop.has(lower) || named?.has(lower)) continue
    if (lower === 'content-length' && !keepLength) continue
    // Whether a page may read our answers is our decision; the backend never saw the page's origin.
    if (lower.startsWith('access-control-') || ourOwn.has(lower)) continue
    if (lower.startsWith('x-chasqui-')) continue
    out.push(name, raw[index + 1]!)
  }
  return out
}

export function headerOf(raw: readonly string[], wanted: string): string | undefined {
  for (let index = 0; index + 1 < raw.length; index += 2)
    if (raw[index]!.toLowerCase() === wanted) return raw[index + 1]
  return undefined
}

/** What the Connection fields name; a second line of them counts as much as the first (RFC 9110 5.3). */
function connectionNamed(raw: readonly string[]): Set<string> | undefined {
  let named: Set<string> | undefined
  for (let index = 0; index + 1 < raw.length; index += 2) {
    if (raw[index]!.toLowerCase() !== 'connection') continue
    const connection = raw[index + 1]!
    if (connection === 'keep-alive' || connection === 'close') continue
    named ??= new Set()
    for (const name of connection.split(',')) named.add(name.trim().toLowerCase())
  }
  return named
}
