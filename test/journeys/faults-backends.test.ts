import { Agent, request } from 'node:http'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type RecordedProxy, startRecordedProxy } from '../differential/recorded-proxy.ts'
import { whole } from '../differential/recording-backend.ts'
import { type WholeAnswer, wholeCall } from '../help/open-call.ts'
import { headersNamed, sendRaw } from '../help/raw-client.ts'
import { until } from '../help/until.ts'

// Backends that lie in HTTP itself, seen by clients: fault catalogue 55, 56, 57, 59. How each lie is read is told by
// test/suites/wire.suite.ts.

const messages = [{ role: 'user', content: 'hello' }]
const families = [
  { path: '/api/chat', shape: { error: expect.any(String) } },
  {
    path: '/v1/chat/completions',
    shape: {
      error: {
        message: expect.any(String),
        type: 'api_error',
        param: null,
        code: 'upstream_failed',
      },
    },
  },
  {
    path: '/v1/messages',
    shape: {
      type: 'error',
      error: { type: 'api_error', message: expect.any(String) },
      request_id: expect.stringMatching(/^req_/),
    },
  },
] as const

/** What is small goes by our own wire; what is kept in a file, by that of the library. */
const wires = [
  { wire: 'our own wire', padding: '' },
  { wire: "the library's wire", padding: 'x'.repeat(3_000) },
] as const
const inFiles = 'limits: { body_in_memory_max: 1KiB }'

const ask = (proxy: RecordedProxy, path: string, padding: string): Promise<WholeAnswer> =>
  wholeCall(proxy.app.url + path, {
    headers: { 'accept-encoding': 'gzip' },
    body: { model: 'llama3.2', stream: false, max_tokens: 20, messages, padding },
  })

const honest = (text: string, more = '') =>
  `HTTP/1.1 200 OK\r\n${more}Content-Type: application/json\r\nContent-Length: ${text.length}\r\n\r\n${text}`
const good = JSON.stringify({ model: 'llama3.2', done: true, message: { content: 'yes' } })

const lies: readonly (readonly [lie: string, bytes: string])[] = [
  ['junk', 'SSH-2.0-OpenSSH_9.6\r\n\r\n'],
  ['a bad status line', `HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\n{}`],
  ['a status of two digits', `HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}`],
  ['line feeds alone', `HTTP/1.1 200 OK\nContent-Length: 2\n\n{}`],
  ['40 KB of head', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(40_000)}\r\nContent-Length: 2\r\n\r\n{}`],
  [
    'a length and an encoding',
    `HTTP/1.1 200 OK\r\nContent-Length: ${good.length}\r\nTransfer-Encoding: chunked\r\n\r\n${good.length.toString(16)}\r\n${good}\r\n0\r\n\r\n`,
  ],
  ['two lengths', honest(good, 'Content-Length: 3\r\n')],
  ['one length twice', honest(good, `Content-Length: ${good.length}\r\n`)],
  ['a list of lengths', `HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}`],
  ['a space before a colon', `HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}`],
  ['a folded line', `HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\n{}`],
  [
    'an uninvited 101',
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n',
  ],
  [
    'a chunk size of C',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n',
  ],
  [
    'another encoding',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n',
  ],
]

describe.each(wires)('over $wire, a backend that sends', ({ padding }) => {
  it.each(lies)(
    '%s is answered for with 502, counted, and asked again on a new connection only',
    async (_lie, bytes) => {
      let lying = true
      await using proxy = await startRecordedProxy({
        answer: () => (lying ? bytes : honest(good)),
        config: `${inFiles}\nbreaker: { failures: 100 }`,
      })
      for (const { path, shape } of families) {
        const answer = await ask(proxy, path, padding)
        expect([path, answer.status, answer.ended]).toEqual([path, 502, 'clean'])
        expect(JSON.parse(answer.text)).toEqual(shape)
        expect(proxy.app.pool.endpoint('a')?.lastError).toBeDefined()
      }
      lying = false
      expect((await ask(proxy, '/api/chat', padding)).text).toBe(good)
      const used = proxy.backend.received.map(({ connection }) => connection)
      expect(new Set(used).size).toBe(used.length)
      expect(used.length).toBeGreaterThanOrEqual(4)
    },
  )
})

describe.each(wires)('over $wire, a backend that packs its answers', ({ padding }) => {
  it('though nobody asked for it is answered for with 502, which says what to do', async () => {
    const packed = gzipSync(good).toString('latin1')
    await using proxy = await startRecordedProxy({
      answer: () => honest(packed, 'Content-Encoding: gzip\r\n'),
      config: `${inFiles}\nbreaker: { failures: 100 }`,
    })
    for (const { path, shape } of families) {
      const answer = await ask(proxy, path, padding)
      expect([path, answer.status, answer.ended]).toEqual([path, 502, 'clean'])
      expect(answer.text).toMatch(/packed with gzip.*switch compression off/)
      expect(JSON.parse(answer.text)).toEqual(shape)
    }
    const asked = proxy.backend.received.flatMap(({ fields }) => fields.map(([name]) => name))
    expect(asked.map((name) => name.toLowerCase())).not.toContain('accept-encoding')
  })
})

describe('a backend whose answers are no HTTP', () => {
  it('rests after a few of them, like any that fails, and is asked all the same where it is the only one', async () => {
    await using proxy = await startRecordedProxy({
      answer: () => 'HTTP/1.1 abc\r\n\r\n',
      config: 'breaker: { failures: 3 }',
    })
    const model = proxy.app.pool.endpoints[0]!.model('llama3.2:latest')!
    for (const admitting of [true, true, false, false]) {
      expect((await ask(proxy, '/api/chat', '')).status).toBe(502)
      expect(model.admitting).toBe(admitting)
    }
    expect(proxy.backend.received).toHaveLength(4)
  })
})

/**
 * What nobody asked for, written behind an answer: with it, a moment later, or when the connection is idle, and always
 * before the next request is sent. Later than that nothing in HTTP/1.1 could tell it from the answer to that one.
 */
function stolen(index: number, write: (bytes: string) => void): string {
  const bytes = honest('{"model":"llama3.2","done":true,"message":{"content":"STOLEN"}}')
  const moment = index % 5
  if (moment === 0) {
    write('')
    return bytes
  }
  if (moment === 1) process.nextTick(write, bytes)
  else if (moment === 2) setImmediate(write, bytes)
  else if (moment === 3) setTimeout(write, 2, bytes)
  else setTimeout(write, 2, 'HTTP/1.1 200 OK\r\n')
  return ''
}

describe.each(wires)('over $wire, a backend that answers twice', ({ padding }) => {
  it('never has its second answer taken for that of the next client, in a thousand tries', async () => {
    let [answered, written] = [0, 0]
    await using proxy = await startRecordedProxy({
      answer({ body }, later) {
        const content = /client-\d+/.exec(body.toString())?.[0]
        const write = (bytes: string) => {
          if (bytes !== '') later(bytes)
          written++
        }
        return (
          honest(JSON.stringify({ done: true, message: { content } })) + stolen(answered++, write)
        )
      },
      config: inFiles,
    })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const wrong: string[] = []
    for (let client = 0; client < 1_000; client++) {
      const content = `client-${client}`
      const body = {
        model: 'llama3.2',
        stream: false,
        messages: [{ role: 'user', content }],
        padding,
      }
      const text = await said(agent, `${proxy.app.url}/api/chat`, JSON.stringify(body))
      if (!text.includes(`"${content}"`)) wrong.push(text)
      while (written <= client) await new Promise(setImmediate)
    }
    agent.destroy()
    expect(wrong).toEqual([])
    expect(answered).toBe(1_000)
  }, 60_000)
})

/** On a connection that is kept, since the next request should come as soon as it can. */
function said(agent: Agent, url: string, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(url, { method: 'POST', agent, headers: { 'content-type': 'text/plain' } })
    call.on('error', reject).on('response', (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      answer.on('error', reject).on('end', () => resolve(text))
    })
    call.end(body)
  })
}

describe('what a backend says to us alone', () => {
  const between = [
    'Connection: X-Private, keep-alive',
    'connection: x-private-too',
    'X-Private: secret',
    'X-Private-Too: secret',
    'Keep-Alive: timeout=9, secret',
    'Proxy-Authenticate: Basic realm="secret"',
    'Proxy-Authorization: secret',
    'Proxy-Connection: secret',
    'Proxy-Status: secret',
    'Upgrade: secret/2',
    'TE: secret',
    'Trailer: secret',
    'Alt-Svc: secret=":443"',
  ].join('\r\n')
  const text = `${good}\n`
  const chunked = `Transfer-Encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\nX-Private: secret\r\n\r\n`

  it.each([
    [
      'a whole answer',
      false,
      `HTTP/1.1 200 OK\r\n${between}\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
    ],
    [
      'a stream with trailers',
      true,
      `HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n${between}\r\n${chunked}`,
    ],
    [
      'a refusal',
      false,
      `HTTP/1.1 400 Bad Request\r\n${between}\r\nContent-Length: ${text.length}\r\n\r\n${text}`,
    ],
    [
      'an answer behind a hint',
      false,
      `HTTP/1.1 103 Early Hints\r\n${between}\r\n\r\n${honest(text)}`,
    ],
  ])('reaches no client, by no door: in %s', async (_what, stream, bytes) => {
    await using proxy = await startRecordedProxy({ answer: () => bytes })
    const body = Buffer.from(JSON.stringify({ model: 'llama3.2', stream, messages }))
    for (const more of [[], ['X-Twice: a', 'X-Twice: b']]) {
      const head = ['POST /api/chat HTTP/1.1', 'Host: localhost', `Content-Length: ${body.length}`]
      const answer = await sendRaw(proxy.app.url, { head: [...head, ...more], body })
      expect(answer.body.toString()).toBe(text)
      expect(JSON.stringify(answer.headers)).not.toContain('secret')
      for (const name of ['upgrade', 'trailer', 'te', 'proxy-connection', 'alt-svc'])
        expect(headersNamed(answer, name)).toEqual([])
      expect(answer.interim).toEqual([])
    }
    await until(() => proxy.app.pool.endpoints.every(({ inFlight }) => inFlight === 0))
    expect(proxy.backend.faults).toEqual([])
  })
})

describe('an honest backend', () => {
  it('is asked again on the connection that it has', async () => {
    await using proxy = await startRecordedProxy({
      answer: () => whole(JSON.parse(good) as object),
    })
    for (let index = 0; index < 5; index++)
      expect((await ask(proxy, '/api/chat', '')).status).toBe(200)
    const used = proxy.backend.received.map(({ connection }) => connection)
    expect(new Set(used).size).toBeLessThan(5)
  })
})
