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

/** Whether a field passes; some do when they are wanted. */
type Fate = 'never' | 'wanted' | 'always'

/** On the way to a backend; the credentials of a client may be wanted. */
function fateToBackend(lower: string): Fate {
  if (notForBackends.has(lower) || lower.startsWith('x-forwarded-')) return 'never'
  return lower === 'authorization' || lower === 'x-api-key' ? 'wanted' : 'always'
}

/** On the way to a client; the length of the body may be wanted. */
function fateToClient(lower: string): Fate {
  if (hopByHop.has(lower) || ourOwn.has(lower) || lower.startsWith('x-chasqui-')) return 'never'
  // Whether a page may read our answers is our decision; the backend never saw the page's origin.
  if (lower.startsWith('access-control-')) return 'never'
  return lower === 'content-length' ? 'wanted' : 'always'
}

/** Names that come all the time, as nearly everybody writes them. */
const usual = ['Host', 'User-Agent', 'Accept', 'Accept-Encoding', 'Accept-Language']
  .concat(['Authorization', 'Content-Type', 'Content-Length', 'Connection', 'Origin'])
  .concat(['Sec-Fetch-Mode', 'Date', 'Server', 'Transfer-Encoding', 'Keep-Alive'])
  // The clients that OpenAI and Anthropic give out tell all this of themselves.
  .concat(['X-Api-Key', 'Anthropic-Version'])
  .concat(['X-Stainless-Lang', 'X-Stainless-Package-Version', 'X-Stainless-OS'])
  .concat(['X-Stainless-Arch', 'X-Stainless-Runtime', 'X-Stainless-Runtime-Version'])
  .concat(['X-Stainless-Async', 'X-Stainless-Retry-Count', 'X-Stainless-Read-Timeout'])
  .concat(['X-Stainless-Timeout'])
  .flatMap((name) => [name, name.toLowerCase()])

/** What becomes of these is known: no name is lowered, and nothing else looked up. */
const usualToBackend = usualFates(fateToBackend)
const usualToClient = usualFates(fateToClient)

function usualFates(fateOf: (lower: string) => Fate): ReadonlyMap<string, Fate> {
  return new Map(usual.map((name) => [name, fateOf(name.toLowerCase())]))
}

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
    const fate = usualToBackend.get(name) ?? fateToBackend(name.toLowerCase())
    if (fate === 'never' || (fate === 'wanted' && !from.passAuthorization)) continue
    if (isIn(named, name) || isIn(ownNames, name)) continue
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
    const fate = usualToClient.get(name) ?? fateToClient(name.toLowerCase())
    if (fate === 'never' || (fate === 'wanted' && !keepLength)) continue
    if (isIn(named, name)) continue
    out.push(name, raw[index + 1]!)
  }
  return out
}

/** `wanted` in small letters, of ASCII only as all names are: another length is another name. */
export function headerOf(raw: readonly string[], wanted: string): string | undefined {
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index]!
    if (name.length === wanted.length && name.toLowerCase() === wanted) return raw[index + 1]
  }
  return undefined
}

const isIn = (names: ReadonlySet<string> | undefined, name: string) =>
  names?.has(name.toLowerCase())

/** What the Connection fields name; a second line of them counts as much as the first (RFC 9110 5.3). */
function connectionNamed(raw: readonly string[]): Set<string> | undefined {
  let named: Set<string> | undefined
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const field = raw[index]!
    if (field.length !== 10 || field.toLowerCase() !== 'connection') continue
    const connection = raw[index + 1]!
    if (connection === 'keep-alive' || connection === 'close') continue
    named ??= new Set()
    for (const name of connection.split(',')) named.add(name.trim().toLowerCase())
  }
  return named
}
