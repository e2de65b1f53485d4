import { randomBytes } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  memberHeader,
  memberTag,
  sessionKey,
  sign,
  signedHeader,
  verify,
} from '../../src/guard/signing.ts'

/** What an agent called, in order; bodies parsed. */
export interface ProxyCall {
  readonly path: string
  readonly body: Readonly<Record<string, unknown>>
}

/** The proxy's side of joining, as small as it can be: real sockets, real signatures, and answers that the test sets. */
export interface FakeProxy extends AsyncDisposable {
  readonly url: string
  readonly calls: readonly ProxyCall[]
  /** Of the newest session; throws while there is none. */
  tag(): string
  /** What heartbeats are answered with. */
  state: 'pending' | 'accepted' | 'draining'
  /** Forgets its sessions, as a restart does. */
  forget(): void
  /** A signed call to the agent; `again`: the headers of a call that was made before. */
  order(
    agentUrl: string,
    path: string,
    more?: { sequence?: number; key?: Buffer; headers?: Record<string, string>; body?: string },
  ): Promise<{
    status: number
    body: Record<string, unknown>
    isSigned: boolean
    headers: Record<string, string>
    sent: string
  }>
}

export async function startFakeProxy(key: Buffer, heartbeatMs = 100): Promise<FakeProxy> {
  const calls: ProxyCall[] = []
  let session: Buffer | undefined
  let sequence = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const path = request.url ?? ''
      const text = Buffer.concat(chunks).toString('utf8')
      const body = JSON.parse(text) as Record<string, unknown>
      calls.push({ path, body })
      const { status, words, by } = answerTo(path, text, body, request.headers)
      const answer = JSON.stringify(words)
      const nonce = String(request.headers[signedHeader]).split(' ')[2] ?? ''
      const method = `ANSWER ${status}`
      if (by)
        response.setHeader(
          signedHeader,
          sign({ key: by, method, path, body: answer, nowMs: Date.now(), nonce }),
        )
      response.writeHead(status, { 'content-type': 'application/json' }).end(answer)
    })
  })
  function answerTo(
    path: string,
    text: string,
    body: Record<string, unknown>,
    headers: IncomingHttpHeaders,
  ): { status: number; words: object; by?: Buffer } {
    const by = path === '/api/workers' ? key : session
    if (!by) return { status: 404, words: { detail: 'no such worker' } }
    const header = headers[signedHeader] as string | undefined
    const verdict = verify({ key: by, method: 'POST', path, body: text, header, nowMs: Date.now() })
    if (!verdict.ok) return { status: 401, words: { detail: 'forged', fix: 'Mend the token.' } }
    if (path !== '/api/workers') return { status: 200, words: { state: fake.state }, by }
    const nonce = randomBytes(16).toString('hex')
    session = sessionKey(key, String(body['nonce']), nonce)
    sequence = 0
    const { name } = body
    const words = { state: fake.state, name, nonce, heartbeat_ms: heartbeatMs, gone_ms: 10_000 }
    return { status: 200, words, by }
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const fake: FakeProxy = {
    url: `http://127.0.0.1:${port}`,
    calls,
    state: 'accepted',
    tag() {
      if (!session) throw new Error('nobody has joined')
      return memberTag(session)
    },
    forget() {
      session = undefined
    },
    async order(agentUrl, path, more = {}) {
      const by = more.key ?? session
      if (!by) throw new Error('nobody has joined')
      sequence = more.sequence ?? sequence + 1
      const body = more.body ?? JSON.stringify({ sequence })
      const nonce = randomBytes(16).toString('hex')
      const signed = sign({ key: by, method: 'POST', path, body, nowMs: Date.now(), nonce })
      const headers = more.headers ?? { [signedHeader]: signed }
      const answer = await fetch(agentUrl + path, { method: 'POST', headers, body })
      const text = await answer.text()
      const header = answer.headers.get(signedHeader) ?? undefined
      const method = `ANSWER ${answer.status}`
      const verdict = verify({
        key: by,
        method,
        path,
        body: text,
        header,
        nowMs: Date.now(),
        nonce,
      })
      return {
        status: answer.status,
        body: JSON.parse(text) as Record<string, unknown>,
        isSigned: verdict.ok,
        headers,
        sent: body,
      }
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
  return fake
}

export const fromMember = (tag: string) => ({ [memberHeader]: tag })
