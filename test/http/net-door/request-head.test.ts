import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRequestHead } from '../../../src/http/net-door/request-head.ts'

const plain = [
  'POST /api/chat HTTP/1.1',
  'Host: 127.0.0.1:11435',
  'Content-Type: application/json',
  'Content-Length: 2',
]
const bytesOf = (lines: readonly string[], body = '') =>
  Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1')
const read = (lines: readonly string[], body = '') => readRequestHead(bytesOf(lines, body))

describe('a plain head', () => {
  it('is read', () => {
    const head = read([...plain, 'X-Odd:\t a  b \t', 'Connection: keep-alive', 'Empty:'], '{}')
    expect(head).toMatchObject({
      method: 'POST',
      target: '/api/chat',
      bodyBytes: 2,
      lastOne: false,
      rawHeaders: [
        ...['Host', '127.0.0.1:11435', 'Content-Type', 'application/json', 'Content-Length', '2'],
        ...['X-Odd', 'a  b', 'Connection', 'keep-alive', 'Empty', ''],
      ],
    })
    expect({ ...head?.headers }).toMatchObject({ host: '127.0.0.1:11435', 'x-odd': 'a  b' })
    expect(head?.bytes).toBe(
      bytesOf([...plain, 'X-Odd:\t a  b \t', 'Connection: keep-alive', 'Empty:']).length,
    )
  })

  it('keeps the letters of its names', () => {
    const lines = ['GET /api/tags HTTP/1.1', 'HOST: a', 'accept: b', 'Origin: c', 'ORIGIM: d']
    const head = read([...lines, 'constructor: e'])
    expect(head?.rawHeaders).toEqual([
      ...['HOST', 'a', 'accept', 'b', 'Origin', 'c', 'ORIGIM', 'd', 'constructor', 'e'],
    ])
    expect(Object.keys(head?.headers ?? {})).toEqual([
      ...['host', 'accept', 'origin', 'origim', 'constructor'],
    ])
  })

  it('may be as long as it may be, and no byte longer', () => {
    const room = 16_384 - bytesOf([...plain, 'A: ']).length
    expect(read([...plain, `A: ${'x'.repeat(room)}`], '{}')?.bytes).toBe(16_384)
    expect(read([...plain, `A: ${'x'.repeat(room + 1)}`], '{}')).toBeUndefined()
  })

  it('of a GET needs no length', () => {
    expect(read(['GET /api/tags HTTP/1.1', 'Host: a'])).toMatchObject({ bodyBytes: 0 })
    expect(read(['GET /api/tags HTTP/1.1', 'Host: a', 'Content-Length: x'])).toBeUndefined()
    expect(read(['DELETE /api/tags HTTP/1.1', 'Host: a'])).toBeUndefined()
  })

  it('says when it is the last', () => {
    expect(read([...plain, 'Connection: Close'])?.lastOne).toBe(true)
  })

  it.each([
    ['is not all there', plain.slice(0, 2).join('\r\n')],
    ['has a body without a length', [plain[0], plain[1], 'A: b']],
    ['has two lengths', [...plain, 'Content-Length: 2']],
    ['has a list of lengths', [...plain.slice(0, 3), 'Content-Length: 2, 2']],
    ['has a signed length', [...plain.slice(0, 3), 'Content-Length: +2']],
    ['has a length and an encoding', [...plain, 'Transfer-Encoding: chunked']],
    ['wants to be told first', [...plain, 'Expect: 100-continue']],
    ['wants another protocol', [...plain, 'Upgrade: h2c']],
    ['names fields of the connection', [...plain, 'Connection: close, x-odd']],
    ['speaks of a connection in two places', [...plain, 'Proxy-Connection: close']],
    ['has two hosts', [...plain, 'host: b']],
    ['has two hosts in odd letters', [...plain, 'hOsT: b']],
    ['has two lengths in odd letters', [...plain.slice(0, 2), 'cONTENT-lENGTH: 2', plain[3]]],
    ['has the name of what all objects have twice', [...plain, 'Constructor: b', 'constructor: c']],
    ['has too many fields', [...plain, ...Array.from({ length: 198 }, (_, at) => `A-${at}: b`)]],
    ['has no host', plain.filter((line) => !line.startsWith('Host'))],
    ['has a name twice', [...plain, 'A: b', 'a: c']],
    ['is of an older version', ['POST /api/chat HTTP/1.0', ...plain.slice(1)]],
    ['asks for a whole address', ['POST http://a/api/chat HTTP/1.1', ...plain.slice(1)]],
    ['asks for any', ['OPTIONS * HTTP/1.1', ...plain.slice(1)]],
    ['has two spaces', ['POST  /api/chat HTTP/1.1', ...plain.slice(1)]],
    ['has a space before a colon', [...plain, 'A : b']],
    ['has a folded line', [...plain, 'A: b', ' c']],
    ['has a bare line feed', [...plain, 'A: b\nC: d']],
    ['has a bare carriage return', [...plain, 'A: b\rC: d']],
    ['has a zero byte', [...plain, 'A: b\0']],
    ['has letters beyond ASCII', [...plain, 'A: caf\xe9']],
    ['has a line without a colon', [...plain, 'nonsense']],
    ['has a nameless field', [...plain, ': b']],
    ['is longer than a head may be', [...plain, `A: ${'x'.repeat(16_384)}`]],
  ])('is for somebody else when it %s', (_why, lines) => {
    const given = typeof lines === 'string' ? Buffer.from(lines) : bytesOf(lines as string[], '{}')
    expect(readRequestHead(given)).toBeUndefined()
  })
})

describe('beside the reader of Node', () => {
  const server = createServer()
  let port = 0
  beforeAll(async () => {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    port = (server.address() as AddressInfo).port
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  /** What Node makes of the bytes: the request with its whole body, or undefined when it refuses them. */
  function byNode(bytes: Buffer): Promise<{ request: IncomingMessage; body: string } | undefined> {
    return new Promise((resolve) => {
      const onRequest = async (request: IncomingMessage) => {
        let body = ''
        for await (const chunk of request) body += String(chunk)
        end({ request, body })
      }
      const end = (found: { request: IncomingMessage; body: string } | undefined) => {
        server.off('request', onRequest)
        socket.destroy()
        resolve(found)
      }
      server.once('request', onRequest)
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.once('data', () => end(undefined))
      socket.once('close', () => end(undefined))
      socket.write(bytes)
    })
  }

  const mostly = (usual: string, ...others: string[]) =>
    fc.oneof({ weight: 4, arbitrary: fc.constant(usual) }, fc.constantFrom(...others))
  const fields = fc.constantFrom(
    ...['Accept: */*', 'A: b', 'a:c', 'X-Odd: \t', 'X-Odd:y ', 'Connection: close', 'TE: trailers'],
    ...[
      'Connection: keep-alive',
      'Content-Length: 2',
      'content-length: 02',
      'Transfer-Encoding: x',
    ],
    ...['Cookie: a=b', 'Via: 1.1 a', 'Origin: http://a', ' folded', 'Host: c', '__proto__: d'],
    ...['Content-Length : 2', 'Keep-Alive: 5', 'Expect: x', 'Content-Length:\x0b2', 'B: \xa0c'],
  )
  const head = fc
    .tuple(
      mostly('POST', 'GET', 'DELETE', 'PURGE', 'BREW'),
      mostly('/api/chat', '/', '/v1/messages?beta=true', '/a b', '/%zz', '/{', 'x'),
      mostly('HTTP/1.1', 'HTTP/1.0', 'HTTP/1.2', 'http/1.1'),
      fc.array(fields, { maxLength: 3 }),
    )
    .map(([method, target, version, more]) => [
      `${method} ${target} ${version}`,
      'Host: a',
      ...(method === 'GET' ? [] : ['Content-Length: 2']),
      ...more,
    ])
  /** One byte of it replaced, or one put in. */
  const spoilt = fc
    .tuple(
      head,
      fc.option(fc.nat(), { nil: undefined, freq: 2 }),
      fc.constantFrom(...'\r\n\t \0:,;\x7f\x80"'),
      fc.boolean(),
    )
    .map(([lines, where, sign, replaces]) => {
      const text = bytesOf(lines).toString('latin1')
      if (where === undefined) return Buffer.from(text, 'latin1')
      const at = where % text.length
      return Buffer.from(text.slice(0, at) + sign + text.slice(at + (replaces ? 1 : 0)), 'latin1')
    })

  it('it takes nothing that Node refuses, and nothing in another sense', async () => {
    let taken = 0
    await fc.assert(
      fc.asyncProperty(spoilt, async (bytes) => {
        const ours = readRequestHead(bytes)
        if (!ours) return
        // What follows the head belongs to the body, exactly as many bytes as were said.
        const rest = bytes.subarray(ours.bytes)
        fc.pre(rest.length === 0)
        taken++
        const body = 'y'.repeat(Math.min(ours.bodyBytes, 1_000))
        fc.pre(body.length === ours.bodyBytes)
        const node = await byNode(Buffer.concat([bytes, Buffer.from(body)]))
        expect(node?.request.method).toBe(ours.method)
        expect(node?.request.url).toBe(ours.target)
        expect(node?.request.rawHeaders).toEqual(ours.rawHeaders)
        expect({ ...node?.request.headers }).toEqual({ ...ours.headers })
        expect(node?.body).toBe(body)
      }),
      { numRuns: 2_000, seed: 7 },
    )
    expect(taken).toBeGreaterThan(100)
  }, 60_000)
})
