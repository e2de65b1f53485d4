import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { zstdCompressSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { TraceEntry } from '../../backends/simulator/trace.ts'
import { type Herd, type Remote, startHerd } from '../help/herd.ts'
import { chunked, headersNamed, sendRaw } from '../help/raw-client.ts'
import { until } from '../help/until.ts'

let herd: Herd
let backend: Remote

let stub: { url: string; asked: string[]; close(): void }

beforeAll(async () => {
  stub = await startStub()
  herd = await startHerd({
    simulators: [['--models', 'llama3.2,all-minilm', '--set', 'traceBodyBytes=4194304']],
    args: ['--backend', `${stub.url},name=stub`, '--backend', `${stub.url}/below,name=below`],
  })
  backend = herd.remotes[0]!
}, 60_000)
afterAll(async () => {
  await herd[Symbol.asyncDispose]()
  stub.close()
})
beforeEach(async () => {
  await backend.faults()
  await backend.clearTrace()
})

/** A body that every JSON library would write otherwise. */
const odd = Buffer.from(
  '\n\t{ "options" : {"seed": 9007199254740993, "temperature":1.0E-2,"num_predict":  12},\r\n' +
    ' "prompt":"caf\\u00e9 \\ud83d\\ude00 \u00fc\u{1f999} <b>&amp;</b> \\/",\n' +
    ' "model":"nobody", "model" : "llama3.2" , "unknown":[1,2,{"a":null}],"stream":true } \n',
)

const plainHead = (route: string, length: number, ...more: string[]) => [
  `POST ${route} HTTP/1.1`,
  `Host: ${new URL(herd.url).host}`,
  `Content-Length: ${length}`,
  ...more,
]

test('a body reaches the backend byte for byte: big numbers, key order, spaces, twins, escapes', async () => {
  const answer = await sendRaw(herd.url, {
    head: plainHead('/api/generate', odd.length),
    body: odd,
  })
  expect(answer.status).toBe(200)
  const entry = await served('/api/generate')
  expect(entry.bodyText).toBe(odd.toString('utf8'))
  expect(entry.bodySha256).toBe(sha256(odd))
  expect(sent(entry, 'content-length')).toEqual([String(odd.length)])
})

test('a chunked body arrives the same, with its length', async () => {
  const answer = await sendRaw(herd.url, {
    head: [
      'POST /api/generate HTTP/1.1',
      `Host: ${new URL(herd.url).host}`,
      'Transfer-Encoding: chunked',
    ],
    body: chunked(odd, 7),
  })
  expect(answer.status).toBe(200)
  const entry = await served('/api/generate')
  expect(entry.bodySha256).toBe(sha256(odd))
  expect(sent(entry, 'transfer-encoding')).toEqual([])
})

test('a body too large for memory arrives the same', async () => {
  const image = Buffer.alloc(1_500_000, 7).toString('base64')
  const big = Buffer.from(
    `{"images":["${image}"],"prompt":"look","stream":false,"model":"llama3.2"}`,
  )
  const answer = await sendRaw(herd.url, {
    head: plainHead('/api/generate', big.length),
    body: big,
  })
  // The model sees no images; that the backend says so means that it has read all of it.
  expect(answer.status).toBe(400)
  expect((await served('/api/generate')).bodySha256).toBe(sha256(big))
})

test('who asks with Expect: 100-continue is told to go on, and the backend hears nothing of it', async () => {
  const answer = await sendRaw(herd.url, {
    head: plainHead('/api/generate', odd.length, 'Expect: 100-continue'),
    body: odd,
    waitForContinue: true,
  })
  expect(answer.interim).toEqual(['HTTP/1.1 100 Continue'])
  expect(answer.status).toBe(200)
  const entry = await served('/api/generate')
  expect(entry.bodySha256).toBe(sha256(odd))
  expect(sent(entry, 'expect')).toEqual([])
})

test('who asks first with too large a body hears 413 and need not send it', async () => {
  const answer = await sendRaw(herd.url, {
    head: plainHead('/api/generate', 300 * 2 ** 20, 'Expect: 100-continue'),
    body: odd,
    waitForContinue: true,
  })
  expect(answer.interim).toEqual([])
  expect(answer.status).toBe(413)
  expect(JSON.parse(answer.body.toString())).toEqual({ error: expect.stringMatching(/larger/) })
})

test.each([1_000, 4_000_000])(
  'a zstd body of the /v1 routes passes unchanged (%i bytes)',
  async (size) => {
    // Noise, so that it stays large when it is packed.
    const noise = Array.from({ length: size / 64 }, (_, at) => sha256(String(at))).join('')
    const request = { model: 'llama3.2', messages: [{ role: 'user', content: noise }] }
    const packed = zstdCompressSync(Buffer.from(JSON.stringify(request)))
    const answer = await sendRaw(herd.url, {
      head: plainHead('/v1/chat/completions', packed.length, 'Content-Encoding: zstd'),
      body: packed,
    })
    expect(answer.body.toString()).toContain('chat.completion')
    const entry = await served('/v1/chat/completions')
    expect(entry.bodySha256).toBe(sha256(packed))
    expect(sent(entry, 'content-encoding')).toEqual(['zstd'])
  },
)

test('a body that is not what its encoding says is refused, and so is one that grows beyond all bounds', async () => {
  const route = '/v1/chat/completions'
  const torn = zstdCompressSync(Buffer.alloc(100_000, 'x')).subarray(0, 20)
  const bomb = zstdCompressSync(Buffer.alloc(30 * 2 ** 20, ' '))
  for (const [body, status] of [
    [Buffer.from('{"model":"llama3.2"}'), 400],
    [torn, 400],
    [bomb, 413],
  ] as const) {
    const head = plainHead(route, body.length, 'Content-Encoding: zstd')
    const answer = await sendRaw(herd.url, { head, body })
    expect(answer.status).toBe(status)
    expect(JSON.parse(answer.body.toString())).toHaveProperty('error.message')
  }
  expect((await backend.trace()).filter((entry) => entry.route === route)).toEqual([])
})

test('the bytes of an answer are those of a direct call, but for clocks', async () => {
  const asks: [string, string][] = [
    ['/api/generate', '{"model":"llama3.2","prompt":"hi"}'],
    ['/api/generate', '{"model":"llama3.2","prompt":"hi","stream":false}'],
    [
      '/api/chat',
      '{"model":"llama3.2","messages":[{"role":"user","content":"hi"}],"logprobs":true}',
    ],
    ['/api/embed', '{"model":"all-minilm","input":["a","b"]}'],
    ['/api/embeddings', '{"model":"all-minilm","prompt":"a"}'],
    ['/api/show', '{"model":"llama3.2"}'],
    ['/v1/chat/completions', '{"model":"llama3.2","messages":[{"role":"user","content":"hi"}]}'],
    ['/v1/completions', '{"model":"llama3.2","prompt":"hi","stream":true}'],
    ['/v1/embeddings', '{"model":"all-minilm","input":"a"}'],
    ['/v1/responses', '{"model":"llama3.2","input":"hi","stream":true}'],
    [
      '/v1/messages',
      '{"model":"llama3.2","max_tokens":50,"messages":[{"role":"user","content":"hi"}],"stream":true}',
    ],
    ['/api/generate', '{"model":"llama3.2","prompt":"hi","raw":true,"template":"x"}'],
    ['/api/generate', '{"model":"llama3.2","prompt":"hi","options":{"num_ctx":"many"}}'],
    ['/api/chat', '{"model":""}'],
    ['/v1/messages', '{"model":"llama3.2","messages":[]}'],
  ]
  for (const [route, text] of asks) {
    const body = Buffer.from(text)
    const head = plainHead(route, body.length)
    const direct = await sendRaw(backend.url, { head, body })
    const through = await sendRaw(herd.url, { head, body })
    expect({ text, status: through.status, type: headersNamed(through, 'content-type') }).toEqual({
      text,
      status: direct.status,
      type: headersNamed(direct, 'content-type'),
    })
    expect(clockless(through.body)).toBe(clockless(direct.body))
  }
})

test('an answer written in pieces that cut characters comes out whole and the same', async () => {
  const body = Buffer.from('{"model":"llama3.2","prompt":"Say something in Quechua \u{1f999}"}')
  const head = plainHead('/api/generate', body.length)
  const direct = await sendRaw(backend.url, { head, body })
  await backend.faults({ kind: 'split-writes' })
  const through = await sendRaw(herd.url, { head, body })
  expect(through.whole).toBe(true)
  expect(clockless(through.body)).toBe(clockless(direct.body))
  expect(through.body.toString('utf8')).not.toContain('\ufffd')
})

test('the query string is kept, and the path is the one that was judged', async () => {
  const body = Buffer.from('{"model":"stubbed","prompt":"hi","stream":false}')
  const asked = '/api//generate/?ts=1712345678&x=%20y&x='
  const answer = await sendRaw(herd.url, { head: plainHead(asked, body.length), body })
  expect(answer.status).toBe(200)
  expect(stub.asked.filter((line) => line.startsWith('POST')).at(-1)).toBe(
    'POST /api/generate?ts=1712345678&x=%20y&x=',
  )
})

test('the straight way to a backend that lives below a path keeps that path, and the query', async () => {
  const answer = await sendRaw(herd.url, {
    head: ['GET /backends/below/api/some/thing?b=2&a=1 HTTP/1.1', 'Host: localhost'],
  })
  expect(answer.status).toBe(200)
  expect(stub.asked).toContain('GET /below/api/some/thing?b=2&a=1')
})

test('what a backend says between itself and us is not passed on', async () => {
  const body = Buffer.from('{"model":"stubbed","prompt":"hi","stream":false}')
  const answer = await sendRaw(herd.url, { head: plainHead('/api/generate', body.length), body })
  expect(answer.body.toString()).toBe(stubbedAnswer)
  expect(headersNamed(answer, 'x-kept')).toEqual(['one', 'two'])
  expect(headersNamed(answer, 'date')).toEqual(['Thu, 01 Jan 2026 00:00:00 GMT'])
  for (const name of [
    'keep-alive',
    'x-private',
    'x-private-too',
    'proxy-authenticate',
    'alt-svc',
    'trailer',
    'access-control-allow-origin',
  ])
    expect(headersNamed(answer, name).join(), name).not.toMatch(/stub/)
})

test('a backend is called by its own name, and hears nothing of who calls us', async () => {
  const body = Buffer.from('{"model":"llama3.2","prompt":"hi","stream":false}')
  const answer = await sendRaw(herd.url, {
    head: plainHead(
      '/api/generate',
      body.length,
      'Origin: http://localhost:3000',
      'Authorization: Bearer a-secret-of-the-client',
      'X-Api-Key: another-one',
      'Cookie: session=1',
      'X-Forwarded-For: 203.0.113.7',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Port: 443',
      'X-Forwarded-User: ana',
      'X-Real-IP: 203.0.113.7',
      'Forwarded: for=203.0.113.7',
      'Connection: keep-alive, X-Only-For-You',
      'Connection: X-This-Too',
      'X-Only-For-You: 1',
      'X-This-Too: 1',
      'Keep-Alive: timeout=5',
      'TE: trailers',
      'Proxy-Authorization: Basic eA==',
      'User-Agent: GitHubCopilotChat/1.0',
      'X-Kept: yes',
      'x-kept: twice',
    ),
    body,
  })
  expect(answer.status).toBe(200)
  expect(headersNamed(answer, 'access-control-allow-origin')).toEqual(['http://localhost:3000'])
  const entry = await served('/api/generate')
  expect(sent(entry, 'host')).toEqual([new URL(backend.url).host])
  expect(sent(entry, 'user-agent')).toEqual(['GitHubCopilotChat/1.0'])
  expect(sent(entry, 'x-kept')).toEqual(['yes', 'twice'])
  const names = entry.headers.map(([name]) => name.toLowerCase())
  for (const stopped of [
    'origin',
    'authorization',
    'x-api-key',
    'cookie',
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-forwarded-port',
    'x-forwarded-user',
    'x-real-ip',
    'forwarded',
    'x-only-for-you',
    'x-this-too',
    'keep-alive',
    'te',
    'proxy-authorization',
  ])
    expect(names).not.toContain(stopped)
})

test('what belongs to the connection of a backend stays there', async () => {
  const answer = await sendRaw(herd.url, {
    head: ['POST /api/show HTTP/1.1', 'Host: localhost', 'Content-Length: 20'],
    body: Buffer.from('{"model":"llama3.2"}'),
  })
  expect(answer.status).toBe(200)
  for (const name of ['date', 'content-type', 'x-request-id', 'content-length'])
    expect(headersNamed(answer, name), name).toHaveLength(1)
  expect(headersNamed(answer, 'x-chasqui-backend')).toEqual(['a'])
  expect(headersNamed(answer, 'x-chasqui-attempts')).toEqual(['1'])
  expect(headersNamed(answer, 'proxy-status')[0]).toMatch(/a/)
  expect(headersNamed(answer, 'transfer-encoding')).toEqual([])
})

test('two requests sent at once on one connection are both answered, in order', async () => {
  const models = ['llama3.2', 'all-minilm']
  const both = models.map((model) => {
    const body = `{"model":"${model}"}`
    return `${plainHead('/api/show', body.length).join('\r\n')}\r\n\r\n${body}`
  })
  const socket = connect(Number(new URL(herd.url).port), '127.0.0.1')
  let received = ''
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
  })
  socket.write(both.join(''))
  const families = () =>
    [...received.matchAll(/"capabilities":\[([^\]]*)\]/g)].map(([, text]) => text)
  await until(() => families().length === 2)
  socket.destroy()
  expect(families()[0]).toContain('completion')
  expect(families()[1]).toContain('embedding')
})

const stubbedAnswer = '{"response":"hello","done":true,  "odd":9007199254740993}'

/** A server that keeps no manners: the simulator never sends such a head. */
async function startStub() {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    request.resume()
    const lists: Record<string, string> = {
      '/api/tags': '{"models":[{"name":"stubbed:latest","model":"stubbed:latest"}]}',
      '/api/ps': '{"models":[{"name":"stubbed:latest","model":"stubbed:latest"}]}',
      '/api/version': '{"version":"0.33.0"}',
    }
    const list = lists[request.url?.replace(/^\/below/, '') ?? '']
    if (list !== undefined) {
      response.end(list)
      return
    }
    const head = [
      ['Content-Type', 'application/json; charset=utf-8'],
      ['Content-Length', String(stubbedAnswer.length)],
      ['Date', 'Thu, 01 Jan 2026 00:00:00 GMT'],
      ['Connection', 'keep-alive, X-Private'],
      ['Connection', 'x-private-too'],
      ['X-Private', 'stub'],
      ['X-Private-Too', 'stub'],
      ['Keep-Alive', 'timeout=9, stub'],
      ['Proxy-Authenticate', 'Basic realm="stub"'],
      ['Alt-Svc', 'h3="stub:443"'],
      ['Access-Control-Allow-Origin', 'https://stub.example'],
      ['X-Kept', 'one'],
      ['X-Kept', 'two'],
    ]
    response.writeHead(200, head.flat()).end(stubbedAnswer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return { url: `http://127.0.0.1:${port}`, asked, close }
}

/** The one request of this route that the backend got from a client. */
async function served(route: string): Promise<TraceEntry> {
  const entries = (await backend.trace()).filter(
    (entry) => entry.route === route && sent(entry, 'x-request-id').length > 0,
  )
  expect(entries).toHaveLength(1)
  return entries[0]!
}

function sent(entry: TraceEntry, wanted: string): string[] {
  return entry.headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value)
}

function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The text with every clock and every thrown id set to one value. */
function clockless(body: Buffer): string {
  return body
    .toString('utf8')
    .replace(/"(created_at|modified_at|expires_at)":"[^"]*"/g, '"$1":"-"')
    .replace(/"(\w+_duration|created|created_at|completed_at)":\d+/g, '"$1":0')
    .replace(/"(chatcmpl|cmpl|resp|msg|rs|fc|req)[-_][0-9a-f_]+"/g, '"$1"')
}
