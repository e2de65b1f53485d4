import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { startSimulator } from '../../backends/simulator/server.ts'
import {
  joinKey,
  memberTag,
  sessionKey,
  sign,
  signedHeader,
  verify,
} from '../../src/guard/signing.ts'

export const token = 'a-token-of-enough-signs'

export const nonce = () => randomBytes(16).toString('hex')

interface Heard {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

export interface FakeAgentOptions {
  readonly name?: string
  /** What it signs with. */
  readonly token?: string
  readonly labels?: readonly string[]
  readonly managed?: boolean
  readonly ollama?: 'ok' | 'loop' | 'away'
  readonly port?: number
  /** Goes into the body of a join, over what it says by itself. */
  readonly says?: object
  /** In place of the answer to a call back. */
  readonly hello?: (said: Record<string, unknown>) => Record<string, unknown>
  /** Of every forwarded answer. */
  readonly loadHead?: string
}

/** An agent by the letter of the protocol, in front of a simulated server; what it does is the test's to say. */
export async function startFakeAgent(options: FakeAgentOptions = {}) {
  const { name = 'walnut', labels = [], managed = false } = options
  const key = joinKey(options.token ?? token)
  const instance = nonce()
  const simulator = await startSimulator({})
  const heard: Heard[] = []
  let session: Buffer | undefined
  let sequence = 0

  const server = createServer((request, response) => {
    const answer = async (body: string) => {
      const { method = '', url: path = '', headers } = request
      heard.push({ method, path, headers, body })
      if (!path.startsWith('/agent/')) {
        const got = await fetch(simulator.url + path, {
          method,
          ...(body === '' ? {} : { body }),
        })
        response.statusCode = got.status
        if (options.loadHead) response.setHeader('X-Chasqui-Load', options.loadHead)
        response.end(Buffer.from(await got.arrayBuffer()))
        return
      }
      const used = path === '/agent/hello' ? key : (session ?? key)
      const header = headers[signedHeader] as string | undefined
      const verdict = verify({ key: used, method, path, body, header, nowMs: Date.now() })
      if (!verdict.ok) return void response.writeHead(401).end('{}')
      let words: Record<string, unknown> = { state: 'done' }
      let status = 200
      if (path === '/agent/hello') {
        const own = nonce()
        const proxyNonce = (JSON.parse(body) as { nonce: string }).nonce
        session = sessionKey(key, own, proxyNonce)
        words = { name, instance, nonce: own, ollama: options.ollama ?? 'ok', models: 1 }
        words = options.hello?.(words) ?? words
      } else if (path === '/agent/restart') status = managed ? 202 : 409
      const text = JSON.stringify(words)
      const signed = { key: used, method: `ANSWER ${status}`, path, body: text, nowMs: Date.now() }
      response
        .writeHead(status, { [signedHeader]: sign({ ...signed, nonce: verdict.nonce }) })
        .end(text)
    }
    bodyOf(request)
      .then(answer)
      .catch(() => response.destroy())
  })
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  const call = async (
    proxyUrl: string,
    path: string,
    body: string,
    signer: Buffer,
    more: { nonce?: string; nowMs?: number; header?: string } = {},
  ) => {
    const nowMs = more.nowMs ?? Date.now()
    const signed = sign({
      key: signer,
      method: 'POST',
      path,
      body,
      nowMs,
      nonce: more.nonce ?? nonce(),
    })
    const answer = await fetch(proxyUrl + path, {
      method: 'POST',
      headers: { [signedHeader]: more.header ?? signed, 'content-type': 'application/json' },
      body,
    })
    const text = await answer.text()
    const json = JSON.parse(text) as Record<string, unknown>
    return {
      status: answer.status,
      json,
      text,
      headers: answer.headers,
      header: more.header ?? signed,
    }
  }
  const words = () =>
    JSON.stringify({
      name,
      port,
      instance,
      nonce: nonce(),
      labels,
      version: '1.2.3',
      managed,
      ...options.says,
    })

  return {
    name,
    port,
    instance,
    simulator,
    heard,
    get tag() {
      return session && memberTag(session)
    },
    get session() {
      return session
    },
    words,
    call,
    join: (proxyUrl: string, more: Parameters<typeof call>[4] = {}) =>
      call(proxyUrl, '/api/workers', words(), key, more),
    heartbeat: (proxyUrl: string, load: object = {}) =>
      call(
        proxyUrl,
        `/api/workers/${name}/heartbeat`,
        JSON.stringify({ sequence: ++sequence, load: { ...report, ...load } }),
        session ?? key,
      ),
    leave: (proxyUrl: string) =>
      call(
        proxyUrl,
        `/api/workers/${name}/leave`,
        JSON.stringify({ sequence: ++sequence }),
        session ?? key,
      ),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await simulator.close()
    },
  }
}

export type FakeAgent = Awaited<ReturnType<typeof startFakeAgent>>

/** A report of an idle machine. */
export const report = {
  at_ms: 1,
  free_slots: 2,
  queue: 0,
  active: 0,
  hidden: null,
  slots: {},
  resident: [],
  running: [],
  cpu: { cores: 8, load1: 0.5, use: 0.1 },
  memory: { total_bytes: 64e9, free_bytes: 32e9 },
  disk: null,
  models_dir: null,
  gpus: [],
  absent: {},
  capabilities: {},
  drained: false,
  managed: false,
  ollama_version: '0.33.0',
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
