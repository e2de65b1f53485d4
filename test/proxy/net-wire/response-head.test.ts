import { describe, expect, it } from 'vitest'
import { NotHttp, readResponseHead } from '../../../src/proxy/net-wire/response-head.ts'

const read = (lines: readonly string[], bodiless = false) =>
  readResponseHead(lines.join('\r\n'), bodiless)

describe('the head of an answer', () => {
  it('is read, with its names as they were written', () => {
    const lines = ['Content-Type:application/json', 'date: \t now \t', 'CONTENT-LENGTH: 012', 'X:']
    expect(read(['HTTP/1.1 200 OK', ...lines])).toEqual({
      status: 200,
      rawHeaders: [
        ...['Content-Type', 'application/json', 'date', 'now', 'CONTENT-LENGTH', '012', 'X', ''],
      ],
      framing: 'length',
      length: 12,
      keepAlive: true,
    })
  })

  it.each([
    ['HTTP/1.1 404', [], 404, 'close', false],
    ['HTTP/1.0 200 ', ['Content-Length: 1'], 200, 'length', false],
    ['HTTP/1.1 200 \xe0 la\tcarte', ['transfer-encoding: Chunked'], 200, 'chunked', true],
    ['HTTP/1.1 200 OK', ['Content-Length: 0', 'Connection: Keep-Alive'], 200, 'none', true],
    ['HTTP/1.1 200 OK', ['Content-Length: 1', 'Connection: x, Close'], 200, 'length', false],
    ['HTTP/1.1 200 OK', ['Content-Length: 1', 'Connection: enclosed'], 200, 'length', true],
    ['HTTP/1.1 204 No Content', [], 204, 'none', true],
  ] as const)('%s, %j', (first, more, status, framing, keepAlive) => {
    expect(read([first, ...more])).toMatchObject({ status, framing, keepAlive })
  })

  it('promises no body to a HEAD', () => {
    expect(read(['HTTP/1.1 200 OK', 'Content-Length: 9'], true)).toMatchObject({ framing: 'none' })
  })

  it('may say in its values what is not ASCII', () => {
    const value = '\xa0caf\xe9'
    expect(read(['HTTP/1.1 200 OK', `A: ${value} `]).rawHeaders).toEqual(['A', value])
  })

  it.each([
    ['bad status line', 'HTTP/2 200'],
    ['bad status line', 'HTTP/1.2 200 OK'],
    ['bad status line', 'HTTP/1.1 099 OK'],
    ['bad status line', 'HTTP/1.1 20'],
    ['bad status line', 'HTTP/1.1 2000'],
    ['bad status line', 'HTTP/1.1 200\tOK'],
    ['bad status line', 'HTTP/1.1 200 O\rK'],
    ['bad status line', ''],
    ['bad header name', 'HTTP/1.1 200 OK', ''],
    ['bad header name', 'HTTP/1.1 200 OK', 'A: b', ' folded'],
    ['bad header name', 'HTTP/1.1 200 OK', 'A : b'],
    ['bad header name', 'HTTP/1.1 200 OK', ': b'],
    ['bad header name', 'HTTP/1.1 200 OK', 'nonsense'],
    ['bad header name', 'HTTP/1.1 200 OK', 'caf\xe9: b'],
    ['bad header value', 'HTTP/1.1 200 OK', 'A: b\nC: d'],
    ['bad header value', 'HTTP/1.1 200 OK', 'A: b\rC: d'],
    ['bad header value', 'HTTP/1.1 200 OK', 'A: b\0c'],
    // Trimmed away before it was looked for, a line end at the edge of a value once passed.
    ['bad header value', 'HTTP/1.1 200 OK', 'A: b\n'],
    ['bad header value', 'HTTP/1.1 200 OK', 'A: \rb'],
    ['bad header value', 'HTTP/1.1 200 OK', 'A: \x7f'],
    ['bad length', 'HTTP/1.1 200 OK', 'Content-Length: 1', 'content-length: 1'],
    ['bad length', 'HTTP/1.1 200 OK', 'Content-Length:'],
    ['bad length', 'HTTP/1.1 200 OK', 'Content-Length: +1'],
    ['bad length', 'HTTP/1.1 200 OK', `Content-Length: ${'1'.repeat(16)}`],
    ['bad encoding', 'HTTP/1.1 200 OK', 'Transfer-Encoding: gzip, chunked'],
    ['bad encoding', 'HTTP/1.1 200 OK', ...Array(2).fill('Transfer-Encoding: chunked')],
    [
      'a length and an encoding',
      'HTTP/1.1 200 OK',
      'Content-Length: 1',
      'TRANSFER-ENCODING: chunked',
    ],
  ])('is none with %s: %j', (why, ...lines) => {
    expect(() => read(lines)).toThrow(NotHttp)
    expect(() => read(lines)).toThrow(why)
  })
})
