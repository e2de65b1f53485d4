import { Failure, type FailureCode } from '../../src/core/failure.ts'
import type { LoadReport } from '../../src/core/load-report.ts'
import { errorAnswer } from '../../src/dialects/errors.ts'
import { isLoopback } from '../../src/guard/address.ts'
import { sign, signedHeader, skewMsMaxDefault, verify } from '../../src/guard/signing.ts'
import type { Arrived } from '../../src/http/arrived.ts'
import type { Beside } from '../../src/http/beside.ts'
import { Replays } from '../../src/members/replays.ts'
import type { ClientSide } from '../../src/proxy/client-side.ts'
import { headerOf } from '../../src/proxy/headers.ts'
import { type HeadLoad, LoadTellingClient } from './load-header.ts'
import type { Standing } from './standing.ts'

/** What is behind the agent's own paths. */
export interface AgentDoors {
  readonly standing: Standing
  readonly nowMs: () => number
  readonly wallMs: () => number
  /** `via`: how the question came here. */
  readonly lookAtOllama: (
    via: string | undefined,
  ) => Promise<{ readonly ollama: 'ok' | 'loop' | 'away'; readonly models: number }>
  readonly report: () => Promise<LoadReport>
  readonly headLoad: () => HeadLoad
  /** Undefined: the Ollama is not ours to restart. */
  readonly restart: (() => void) | undefined
  readonly drain: () => void
  readonly resume: () => void
  readonly status: () => object
}

/** What the proxy says is short. */
const bodyBytesMax = 65_536

interface Call {
  readonly request: Arrived
  readonly client: ClientSide
  readonly path: string
  readonly body: Buffer
}

/** What an agent has beside Ollama's API: the calls of the proxy that it joins, all signed, and its report. */
export class AgentSurface implements Beside {
  readonly #doors: AgentDoors
  readonly #replays = new Replays(2 * skewMsMaxDefault)

  constructor(doors: AgentDoors) {
    this.#doors = doors
  }

  clientOf({ rawHeaders }: Arrived, client: ClientSide): ClientSide {
    const { standing, headLoad } = this.#doors
    if (!standing.isFromProxy(rawHeaders)) return client
    return new LoadTellingClient(client, headLoad)
  }

  isFromProxy({ rawHeaders }: Arrived): boolean {
    return this.#doors.standing.isFromProxy(rawHeaders)
  }

  status(): object {
    return this.#doors.status()
  }

  handle(request: Arrived, client: ClientSide, path: string): boolean {
    if (!path.startsWith('/agent/')) return false
    this.#handle(request, client, path).catch((error: unknown) => {
      if (!client.left) sendFailure(client, asFailure(error))
    })
    return true
  }

  async #handle(request: Arrived, client: ClientSide, path: string): Promise<void> {
    const call = { request, client, path, body: await bodyOf(request) }
    const { method } = request
    if (method === 'GET' && path === '/agent/load') return await this.#load(call)
    if (method !== 'POST' || !ordersAndHello.has(path))
      throw new Failure('not_found', `there is no ${method} ${path}`)
    if (path === '/agent/hello') return await this.#hello(call)
    this.#order(call)
  }

  /** Whoever runs this machine may see it, and the proxy. */
  async #load(call: Call): Promise<void> {
    const { peerAddress } = call.request
    const isHere = peerAddress !== undefined && isLoopback(peerAddress)
    if (!isHere) this.#believed(call, [this.#doors.standing.session, this.#doors.standing.key])
    sendJson(call.client, 200, JSON.stringify(await this.#doors.report()))
  }

  async #hello(call: Call): Promise<void> {
    const { standing, lookAtOllama } = this.#doors
    const { key, nonce } = this.#believed(call, [standing.key])
    const { hop } = objectIn(call.body)
    const via = [call.request.headers.via, typeof hop === 'string' ? `1.1 ${hop}` : undefined]
    const seen = await lookAtOllama(
      via.filter((each) => each !== undefined).join(', ') || undefined,
    )
    const { name, instance, nonce: ours } = standing
    this.#answer(call, { key, nonce }, 200, { name, instance, nonce: ours, ...seen })
  }

  #order(call: Call): void {
    const { standing, restart, drain, resume } = this.#doors
    const signature = this.#believed(call, [standing.session])
    const { sequence } = objectIn(call.body)
    if (typeof sequence !== 'number' || !standing.isNext(sequence))
      throw new Failure('join_forged', 'this call was made before')
    if (call.path === '/agent/restart') {
      if (!restart) return this.#answer(call, signature, 409, { code: 'not_managed' })
      restart()
      return this.#answer(call, signature, 202, { state: 'restarting' })
    }
    const isDrain = call.path === '/agent/drain'
    if (isDrain) drain()
    else resume()
    this.#answer(call, signature, 200, { state: isDrain ? 'draining' : 'accepted' })
  }

  /** Signed with one of these keys, now, and for the first time; throws otherwise. */
  #believed(
    { request, body }: Call,
    keys: readonly (Buffer | undefined)[],
  ): { readonly key: Buffer; readonly nonce: string } {
    const { nowMs, wallMs } = this.#doors
    for (const key of keys) {
      if (!key) continue
      const verdict = verify({
        key,
        method: request.method,
        path: request.target,
        body,
        header: headerOf(request.rawHeaders, signedHeader),
        nowMs: wallMs(),
      })
      if (!verdict.ok) continue
      if (this.#replays.see(verdict.nonce, nowMs()) !== 'new')
        throw new Failure('join_forged', 'this call was made before')
      return { key, nonce: verdict.nonce }
    }
    throw new Failure('join_forged', 'the call is not signed with the token that was agreed on')
  }

  #answer(
    { client, request }: Call,
    { key, nonce }: { readonly key: Buffer; readonly nonce: string },
    status: number,
    words: object,
  ): void {
    const body = JSON.stringify(words)
    const method = `ANSWER ${status}`
    const signed = sign({
      key,
      method,
      path: request.target,
      body,
      nowMs: this.#doors.wallMs(),
      nonce,
    })
    sendJson(client, status, body, ['X-Chasqui-Signed', signed])
  }
}

const ordersAndHello: ReadonlySet<string> = new Set([
  '/agent/hello',
  '/agent/restart',
  '/agent/drain',
  '/agent/resume',
])

async function bodyOf({ body }: Arrived): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  await body.each((chunk) => {
    size += chunk.length
    if (size > bodyBytesMax)
      throw new Failure('body_too_large', `the body is larger than ${bodyBytesMax} bytes`)
    chunks.push(chunk)
    return undefined
  })
  return Buffer.concat(chunks)
}

function objectIn(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function sendJson(
  client: ClientSide,
  status: number,
  text: string,
  more: readonly string[] = [],
): void {
  const body = Buffer.from(text)
  const length = String(body.length)
  client.answer(
    status,
    ['Content-Type', 'application/json', 'Content-Length', length, ...more],
    body,
  )
}

function sendFailure(client: ClientSide, { code, status, message }: Failure): void {
  const { contentType, body } = errorAnswer('own', status, message, { code: code as FailureCode })
  const length = String(body.length)
  client.answerEarly(status, ['Content-Type', contentType, 'Content-Length', length], body)
}

function asFailure(error: unknown): Failure {
  if (error instanceof Failure) return error
  return new Failure('internal', 'something went wrong inside the agent', { cause: error })
}
