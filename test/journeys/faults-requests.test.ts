import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { closeGently } from '../../src/http/linger.ts'
import { type RecordedProxy, startRecordedProxy } from '../differential/recorded-proxy.ts'
import { fieldsNamed, type Received, whole } from '../differential/recording-backend.ts'
import { sendRaw } from '../help/raw-client.ts'
import { type Talk, talkTo } from '../help/talk.ts'
import { until } from '../help/until.ts'

// Requests that two servers could read in two ways, and requests for what nobody may ask: fault catalogue 50, 53, 63,
// 64, 65, 67. Everything is judged by the bytes that a backend gets.

const body = '{"model":"llama3.2","prompt":"hello","stream":false}'
const post = 'POST /api/generate HTTP/1.1\r\n'
const host = 'Host: localhost\r\n'
const length = `Content-Length: ${body.length}\r\n`
const coded = 'Transfer-Encoding: chunked\r\n'
const size = body.length.toString(16)
const inChunks = `${size}\r\n${body}\r\n0\r\n\r\n`
const plain = `${post}${host}${length}\r\n${body}`
/** Stands behind what must be refused: who reads on behind that may read this. */
const behind = plain.replace('/api/generate', '/api/generate?behind')

const answer = () => whole({ model: 'llama3.2', response: 'yes', done: true })

const open: Talk[] = []
const talks = (port: number): Talk => {
  const talk = talkTo(port)
  open.push(talk)
  return talk
}
afterEach(() => {
  for (const { socket } of open.splice(0)) socket.destroy()
})

let proxy: RecordedProxy
beforeAll(async () => {
  proxy = await startRecordedProxy({ answer })
})
afterAll(() => proxy[Symbol.asyncDispose]())
afterEach(() => {
  expect(proxy.backend.faults).toEqual([])
  proxy.backend.received.length = 0
})

/** Sent on a connection of its own; what came back when there was a whole answer, or the end. */
async function answerTo(text: string, port = proxy.app.port): Promise<Talk> {
  const talk = talks(port)
  talk.send(text)
  await until(() => talk.closed || talk.heard().length > 0)
  return talk
}

/** One request has been seen, with one meaning. */
function theOne(): Received {
  const { received } = proxy.backend
  expect(received).toHaveLength(1)
  const [one] = received as [Received]
  expect(fieldsNamed(one, 'content-length')).toEqual([String(one.body.length)])
  expect(fieldsNamed(one, 'transfer-encoding')).toEqual([])
  expect(fieldsNamed(one, 'host')).toEqual([new URL(proxy.backend.url).host])
  return one
}

describe('a request that could be read in two ways', () => {
  const heads: readonly (readonly [what: string, text: string])[] = [
    ['a length and an encoding', `${post}${host}${length}${coded}\r\n${inChunks}`],
    ['an encoding and a length', `${post}${host}${coded}${length}\r\n${inChunks}`],
    ['one length twice', `${post}${host}${length}${length}\r\n${body}`],
    ['two lengths', `${post}${host}${length}Content-Length: 3\r\n\r\n${body}`],
    ['a list of lengths', `${post}${host}Content-Length: 4, 4\r\n\r\n${body}`],
    ['a signed length', `${post}${host}Content-Length: +4\r\n\r\n${body}`],
    ['a negative length', `${post}${host}Content-Length: -1\r\n\r\n${body}`],
    ['a length beyond all numbers', `${post}${host}Content-Length: ${'9'.repeat(30)}\r\n\r\n`],
    ['an encoding of another name', `${post}${host}Transfer-Encoding: xchunked\r\n\r\n${inChunks}`],
    ['chunks that are not last', `${post}${host}Transfer-Encoding: chunked, identity\r\n\r\n`],
    ['two encodings', `${post}${host}${coded}${coded}\r\n${inChunks}`],
    ['packed chunks', `${post}${host}Transfer-Encoding: gzip, chunked\r\n\r\n${inChunks}`],
    ['the same on two lines', `${post}${host}Transfer-Encoding: gzip\r\n${coded}\r\n${inChunks}`],
    [
      'a hole in a list of encodings',
      `${post}${host}Transfer-Encoding: ,chunked\r\n\r\n${inChunks}`,
    ],
    ['no encoding where one is named', `${post}${host}Transfer-Encoding:\r\n${length}\r\n${body}`],
    ['a space before a colon', `${post}${host}Content-Length : ${body.length}\r\n\r\n${body}`],
    ['a folded line', `${post}${host}${length}X: a\r\n b\r\n\r\n${body}`],
    ['a space before the first field', `${post} ${host}${length}\r\n${body}`],
    ['bare line feeds', plain.replaceAll('\r', '')],
    ['a bare carriage return', `${post}${host}${length}X: a\rb\r\n\r\n${body}`],
    ['a zero byte', `${post}${host}${length}X: a\0b\r\n\r\n${body}`],
    ['no host', `${post}${length}\r\n${body}`],
    ['two hosts', `${post}${host}Host: evil.example\r\n${length}\r\n${body}`],
    ['one host twice', `${post}${host}${host}${length}\r\n${body}`],
    ['a line feed behind a chunk size', `${post}${host}${coded}\r\n${size}\n${body}\r\n0\r\n\r\n`],
    [
      'a line feed behind the last chunk',
      `${post}${host}${coded}\r\n${size}\r\n${body}\r\n0\n\r\n`,
    ],
    ['a chunk size of C', `${post}${host}${coded}\r\n0x${size}\r\n${body}\r\n0\r\n\r\n`],
    ['a chunk size beyond all numbers', `${post}${host}${coded}\r\n${'f'.repeat(17)}\r\n${body}`],
    ['a fat chunk extension', `${post}${host}${coded}\r\n${size};${'x'.repeat(20_000)}\r\n${body}`],
    ['20 KB of head', `${post}${host}${length}X: ${'x'.repeat(20_000)}\r\n\r\n${body}`],
    ['chunks in HTTP/1.0', plain.replace(length, coded).replace('1.1', '1.0')],
    ['a version to come', plain.replace('HTTP/1.1', 'HTTP/2.0')],
    ['a version long gone', plain.replace('HTTP/1.1', 'HTTP/0.9')],
    ['2,500 fields', `${post}${host}${length}${'a:b\r\n'.repeat(2_500)}\r\n${body}`],
    ['a fragment', plain.replace('/api/generate', '/api/generate?x#y')],
    ['a user in its address', plain.replace('/api/', 'http://me@localhost/api/')],
    ['a target without a slash', plain.replace('/api/generate', 'api/generate')],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ]
  it.each(heads)('is refused, and its connection closed: %s', async (_what, text) => {
    const talk = await answerTo(text + behind)
    const [first] = talk.heard()
    expect([400, 413, 431, 501]).toContain(first?.status)
    await until(() => talk.closed)
    expect(talk.heard()).toHaveLength(1)
    expect(first?.headers.get('connection')).toBe('close')
    expect(proxy.backend.received).toEqual([])
  })

  it('takes nobody along who asked before it on the same connection', async () => {
    const talk = talks(proxy.app.port)
    talk.send(`${plain}${post}${host}${length}${coded}\r\n${inChunks}${behind}`)
    await until(() => talk.closed)
    expect(talk.heard().map(({ status }) => status)).toEqual([200, 400])
    expect(theOne().target).toBe('/api/generate')
  })
})

describe('a request that only looks odd', () => {
  it.each([
    ['in chunks', `${post}${host}${coded}\r\n${inChunks}`],
    ['with a coding in capitals', `${post}${host}Transfer-Encoding: CHUNKED\r\n\r\n${inChunks}`],
    ['of HTTP/1.0', plain.replace('1.1', '1.0')],
    ['with a whole address', plain.replace('/api/', 'http://localhost/api/')],
    ['behind empty lines', `\r\n\r\n${plain}`],
    [
      'that wants another protocol',
      plain.replace(host, `${host}Upgrade: h2c\r\nConnection: upgrade\r\n`),
    ],
    [
      'that names its framing as hop-by-hop',
      plain.replace(host, `${host}Connection: content-length, host\r\n`),
    ],
    ['with spare slashes', plain.replace('/api/generate', '//api///generate/')],
  ])('reaches the backend as one plain one: %s', async (_what, text) => {
    const talk = await answerTo(text)
    expect(talk.heard()[0]?.status).toBe(200)
    const one = theOne()
    expect([one.method, one.target, one.body.toString()]).toEqual(['POST', '/api/generate', body])
    for (const name of ['upgrade', 'connection', 'expect'])
      expect(fieldsNamed(one, name)).toEqual([])
  })
})

describe('the host of a request', () => {
  const asked = (target: string, named: string) =>
    plain.replace('/api/', `${target}/api/`).replace('Host: localhost', `Host: ${named}`)

  it('is that of a whole address, whatever the Host field says', async () => {
    expect((await answerTo(asked('http://localhost', 'evil.example'))).heard()[0]?.status).toBe(200)
    theOne()
    proxy.backend.received.length = 0
    expect((await answerTo(asked('http://evil.example', 'localhost'))).heard()[0]?.status).toBe(403)
    expect(proxy.backend.received).toEqual([])
  })

  it('holds on our own paths as well', async () => {
    const alive = (target: string) => `GET ${target}/livez HTTP/1.1\r\nHost: evil.example\r\n\r\n`
    expect((await answerTo(alive('http://localhost'))).heard()[0]?.status).toBe(200)
    expect((await answerTo(alive(''))).heard()[0]?.status).toBe(403)
  })
})

describe('a Connection field', () => {
  it('takes nothing away that the proxy itself adds', async () => {
    await using proxied = await startRecordedProxy({
      answer,
      own: { Authorization: 'Bearer of-the-backend' },
    })
    const named =
      'Connection: close, authorization, x-forwarded-for, host, via, x-request-id, content-length\r\n'
    const theirs = 'Authorization: Bearer of-the-client\r\nX-Forwarded-For: 203.0.113.7\r\n'
    const text = `${post}${host}${named}${theirs}${length}\r\n${body}`
    expect((await answerTo(text, proxied.app.port)).heard()[0]?.status).toBe(200)
    const [one] = proxied.backend.received as [Received]
    expect(fieldsNamed(one, 'authorization')).toEqual(['Bearer of-the-backend'])
    expect(fieldsNamed(one, 'host')).toEqual([new URL(proxied.backend.url).host])
    expect(fieldsNamed(one, 'via')).toHaveLength(1)
    expect(fieldsNamed(one, 'x-request-id')).toHaveLength(1)
    expect(fieldsNamed(one, 'content-length')).toEqual([String(body.length)])
    expect(fieldsNamed(one, 'x-forwarded-for')).toEqual([])
    expect(proxied.backend.faults).toEqual([])
  })

  it('hides nothing from those who decide who may do what', async () => {
    await using proxied = await startRecordedProxy({ answer, config: 'admin_token: the-token' })
    const drain = (more: string) =>
      `POST /api/workers/a/drain HTTP/1.1\r\n${host}${more}Content-Length: 0\r\n\r\n`
    const statusOf = async (more: string) =>
      (await answerTo(drain(more), proxied.app.port)).heard()[0]?.status
    const far = 'X-Forwarded-For: 203.0.113.7\r\n'
    // Who comes by a proxy of this machine stays one from outside.
    expect(await statusOf(`Connection: close, x-forwarded-for\r\n${far}`)).toBe(403)
    const token = 'Authorization: Bearer the-token\r\n'
    expect(await statusOf(`Connection: close, authorization\r\n${far}${token}`)).toBe(200)
  })
})

describe('what nobody may ask', () => {
  const targets: readonly (readonly [method: string, target: string])[] = [
    ['GET', '/api/../debug/pprof'],
    ['POST', '/api/../debug/pprof'],
    ['POST', '/api/%2e%2e/debug/pprof'],
    ['POST', '/api/%2E%2E/api/generate'],
    ['POST', '/api/./generate'],
    ['POST', '/api//../api/generate'],
    ['POST', '/api/generate/..'],
    ['POST', '/api/generate/%2e%2e'],
    ['POST', '/api/generate;x=1'],
    ['POST', '/api;/generate'],
    ['POST', '/api/generate%00'],
    ['POST', '/api/generate\0'],
    ['POST', '/api/generate%0d%0aX:%20y'],
    ['POST', '/api%2fgenerate'],
    ['POST', '/api\\generate'],
    ['POST', '/api/..\\debug'],
    ['POST', '/API/generate'],
    ['GET', '/v1/models/..%2f..%2fdebug'],
    ['GET', '/v1/models/%2e%2e'],
    ['GET', '/debug/pprof'],
    ['GET', '//debug/pprof'],
    ['post', '/api/generate'],
    ['Post', '/api/generate'],
    ['PUT', '/api/generate'],
    ['TRACE', '/api/generate'],
    ['CONNECT', '/api/generate'],
    ['CONNECT', 'localhost:11434'],
    ['TRACE', '/api/new'],
    ['CONNECT', '/api/new'],
    ['OPTIONS', '/api/new'],
    ['OPTIONS', '*'],
  ]
  it.each([
    ['known paths only', ''],
    ['unknown ones, too', 'forward_unknown: true'],
  ])('never reaches a backend: %s are passed on', async (_what, config) => {
    await using proxied = await startRecordedProxy({ answer, config })
    for (const [method, target] of targets) {
      const text = `${method} ${target} HTTP/1.1\r\n${host}${length}\r\n${body}`
      const talk = await answerTo(text, proxied.app.port)
      const status = talk.heard()[0]?.status ?? 0
      expect([method, target, status >= 400 && status < 502]).toEqual([method, target, true])
    }
    expect(proxied.backend.received.map(({ target }) => target)).toEqual([])
  })

  it('is told from a new path of Ollama, which is passed on as it came', async () => {
    await using proxied = await startRecordedProxy({ answer, config: 'forward_unknown: true' })
    for (const target of ['/api/new-thing', '/v1/files/a.b_c~d/%41?x=../y']) {
      const text = `POST ${target} HTTP/1.1\r\n${host}${length}\r\n${body}`
      expect((await answerTo(text, proxied.app.port)).heard()[0]?.status).toBe(200)
      expect(proxied.backend.received.at(-1)?.target).toBe(target)
    }
  })

  it('is not asked of a backend by the straight way of its operator either', async () => {
    for (const rest of ['/../debug/pprof', '/%2e%2e/debug/pprof', '/api/../../b/api/tags']) {
      const talk = await answerTo(`GET /backends/a${rest} HTTP/1.1\r\n${host}\r\n`)
      const reached = proxy.backend.received.map(({ target }) => target)
      expect([rest, reached.filter((target) => target.includes('..'))]).toEqual([rest, []])
      expect(talk.heard()[0]?.status).toBeGreaterThan(0)
      proxy.backend.received.length = 0
    }
  })
})

describe('a connection that carries more than one request', () => {
  // What came between the end of an answer and the reading of what had been sent ahead was read first: the tail of a
  // request before its head. The connection hung, and a made-up tail would have been a request of its own.
  it('is read in the order in which it was written, whenever that arrives', async () => {
    const next = `${post}${host}${coded}\r\n${inChunks}`
    for (let round = 0; round < 40; round++) {
      const talk = talks(proxy.app.port)
      const text = plain + next
      // The end of the first request comes with most of the second, and the rest in the turns of its answer.
      const cuts = [0, plain.length - 2, text.length - 5, text.length]
      for (let index = 0; index + 1 < cuts.length; index++) {
        talk.send(text.slice(cuts[index], cuts[index + 1]))
        await new Promise((resolve) => setTimeout(resolve, index === 0 ? 5 : round / 10))
      }
      await until(() => talk.heard().length === 2)
      expect(talk.heard().map(({ status }) => status)).toEqual([200, 200])
      talk.socket.destroy()
    }
    expect(proxy.backend.received).toHaveLength(80)
  }, 30_000)

  // What stood behind such a request in one piece was lost without a word, and what came then was read as a request.
  it('ends with one that wants another protocol', async () => {
    const upgrade = plain.replace(host, `${host}Connection: upgrade\r\nUpgrade: h2c\r\n`)
    const talk = await answerTo(upgrade + behind)
    await until(() => talk.closed)
    expect(talk.heard().map(({ status, headers }) => [status, headers.get('connection')])).toEqual([
      [200, 'close'],
    ])
    expect(theOne().target).toBe('/api/generate')
  })

  it('brings its last answer to a client that goes on sending', async () => {
    const last = plain.replace(host, `${host}Connection: close\r\n`)
    for (const more of ['', 'X-Twice: a\r\nX-Twice: b\r\n']) {
      const talk = await answerTo(last.replace(host, host + more) + behind)
      await until(() => talk.closed)
      expect(talk.heard().map(({ status }) => status)).toEqual([200])
    }
    expect(proxy.backend.received.map(({ target }) => target)).toEqual([
      '/api/generate',
      '/api/generate',
    ])
  })
})

describe('a connection after its last answer', () => {
  it('gives a slow reader all of it, and closes soon behind the last byte', async () => {
    const bytes = 20 * 1_048_576
    const closedMs = Promise.withResolvers<number>()
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {}).on('close', () => closedMs.resolve(performance.now()))
      socket.resume().write(Buffer.alloc(bytes, 'x'))
      closeGently(socket)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    // It never ends its own side.
    const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    await once(client, 'connect')
    await new Promise((resolve) => setTimeout(resolve, 1_300))
    let read = 0
    client.on('data', (piece) => {
      read += piece.length
    })
    await once(client, 'end')
    const endedMs = performance.now()
    expect(read).toBe(bytes)
    expect((await closedMs.promise) - endedMs).toBeLessThan(3_000)
    client.destroy()
    server.close()
  })
})

describe('a request that is too large in its head', () => {
  const paths = ['/api/generate', '/livez', '/backends/a/api/tags', '/nowhere']
  it.each([
    ['64 KB in a field', `X: ${'x'.repeat(65_536)}\r\n`, '', 431],
    ['2,000 fields', 'a: b\r\n'.repeat(2_000), '', 431],
    ['201 fields', Array.from({ length: 199 }, (_, at) => `a${at}: b\r\n`).join(''), '', 431],
    ['10 KB of a target', '', `?x=${'x'.repeat(10_000)}`, 414],
  ])(
    'is refused, its connection closed, and the next one served: %s',
    async (_w, more, query, status) => {
      for (const path of paths) {
        const text = `POST ${path}${query} HTTP/1.1\r\n${host}${length}${more}\r\n${body}`
        const talk = await answerTo(text + behind)
        await until(() => talk.closed)
        expect([path, talk.heard().map((heard) => heard.status)]).toEqual([path, [status]])
        expect(talk.heard()[0]?.headers.get('connection')).toBe('close')
      }
      expect(proxy.backend.received).toEqual([])
      expect((await answerTo(plain)).heard()[0]?.status).toBe(200)
      theOne()
    },
  )

  it('is not one with 200 fields and 8,000 bytes of a target', async () => {
    const fields = Array.from({ length: 198 }, (_, at) => `a${at}: b\r\n`).join('')
    const target = `/api/generate?x=${'x'.repeat(7_984)}`
    const text = `POST ${target} HTTP/1.1\r\n${host}${length}${fields}\r\n${body}`
    expect((await answerTo(text)).heard()[0]?.status).toBe(200)
    expect(theOne().target).toBe(target)
  })
})

describe('a client that asks before it sends', () => {
  it('sends 20 MB after 100 Continue, and is answered', async () => {
    const large = Buffer.from(body.replace('hello', 'x'.repeat(20 * 1_048_576)))
    const head = ['POST /api/generate HTTP/1.1', 'Host: localhost', 'Expect: 100-continue']
    const got = await sendRaw(proxy.app.url, {
      head: [...head, `Content-Length: ${large.length}`],
      body: large,
      waitForContinue: true,
    })
    expect([got.interim, got.status]).toEqual([['HTTP/1.1 100 Continue'], 200])
    expect(theOne().body.equals(large)).toBe(true)
  })

  it('is told when it expects something else', async () => {
    const talk = await answerTo(plain.replace(host, `${host}Expect: wonders\r\n`))
    expect(talk.heard()[0]?.status).toBe(417)
    expect(proxy.backend.received).toEqual([])
  })

  // The 100 for a request that was sent ahead came to stand inside that request's own refusal, so that the client read
  // a cut sentence, and the rest of it as the next answer.
  it('behind another one hears 100 after the answer to that, or not at all', async () => {
    const expecting = `${post}${host}Expect: 100-continue\r\n`
    const short = `${expecting}Content-Length: ${body.length - 1}\r\n\r\n${body.slice(0, -1)}`
    const talk = talks(proxy.app.port)
    talk.send(plain + short)
    await until(() => talk.heard().length === 2)
    const [, refused] = talk.heard()
    expect(refused?.status).toBe(400)
    expect(JSON.parse(refused?.body ?? '')).toHaveProperty('error')

    const patient = talks(proxy.app.port)
    patient.send(`${plain}${expecting}${length}\r\n`)
    await until(() => patient.raw().includes('100 Continue'))
    expect(patient.raw().indexOf('200 OK')).toBeLessThan(patient.raw().indexOf('100 Continue'))
    patient.send(body)
    await until(() => patient.heard().length === 2)
    expect(patient.heard().map(({ status }) => status)).toEqual([200, 200])
  })
})
