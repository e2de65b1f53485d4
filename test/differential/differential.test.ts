import { describe, expect, it } from 'vitest'
import { type Conversation, readAnswers } from './conversation.ts'
import { runDifferential } from './differential.ts'
import { echoOf, judge } from './judge.ts'
import type { Received } from './recording-backend.ts'
import { readStream } from './strict-reader.ts'

const head = (more = '', line = 'POST /api/generate?r=1 HTTP/1.1') =>
  `${line}\r\nHost: localhost\r\n${more}\r\n`
const sized = (body: string) => head(`Content-Length: ${body.length}\r\n`) + body

describe('what a backend sees of a stream of requests', () => {
  it('is what was sent, or the client hears of an error: five thousand made-up streams', async () => {
    const report = await runDifferential({ runs: 5_000, seed: 20_261_121 })
    expect(report.faults.join('\n\n')).toBe('')
    expect(report.runs).toBe(5_000)
    // It would hold of a proxy that refuses everything, too.
    expect(report.forwarded).toBeGreaterThan(2_000)
    expect(report.streamsRefused).toBeGreaterThan(2_000)
  }, 120_000)
})

describe('the strict reading', () => {
  it('finds each request with its body, framed by length or in chunks', () => {
    const inChunks = head('Transfer-Encoding: chunked\r\n')
    const text = `${sized('ab')}\r\n${inChunks}1;x\r\na\r\n2\r\nbc\r\n0\r\nX-T: 1\r\n\r\n${head('')}`
    expect(readStream(text)).toMatchObject({
      requests: [{ body: 'ab' }, { body: 'abc' }, { body: '' }],
      end: 'clean',
    })
    expect(readStream(text.slice(0, -1)).end).toBe('cut')
    expect(readStream(`${head('Connection: close\r\n')}${sized('ab')}`)).toMatchObject({
      requests: [{ body: '' }],
      end: 'over',
    })
  })

  it.each([
    ['two framings', head('Content-Length: 1\r\nTransfer-Encoding: chunked\r\n')],
    ['two lengths', head('Content-Length: 0\r\nContent-Length: 0\r\n')],
    ['a list of lengths', head('Content-Length: 0, 0\r\n')],
    ['another coding', head('Transfer-Encoding: gzip, chunked\r\n')],
    ['chunks in HTTP/1.0', head('Transfer-Encoding: chunked\r\n', 'POST / HTTP/1.0')],
    ['two hosts', head('Host: other\r\n')],
    ['no host', 'GET / HTTP/1.1\r\n\r\n'],
    ['a folded line', head('X: a\r\n b\r\n')],
    ['a space before a colon', head('Content-Length : 0\r\n')],
    ['a bare carriage return', head('X: a\rb\r\n')],
    ['a bare line feed', head('X: a\nb\r\n')],
    ['a fragment', head('', 'GET /#a HTTP/1.1')],
    ['a tunnel', head('', 'CONNECT localhost:80 HTTP/1.1')],
    ['a version to come', head('', 'GET / HTTP/2.0')],
    ['a signed chunk size', `${head('Transfer-Encoding: chunked\r\n')}+0\r\n\r\n`],
    [
      'a chunk longer than it says',
      `${head('Transfer-Encoding: chunked\r\n')}1\r\nab\r\n0\r\n\r\n`,
    ],
  ])('breaks off at %s', (_what, text) => {
    expect(readStream(text)).toMatchObject({ requests: [], end: 'broken' })
  })
})

describe('the judge', () => {
  const received = (target: string, body: string): Received => ({
    method: 'POST',
    target,
    fields: [],
    body: Buffer.from(body),
    raw: Buffer.alloc(0),
    connection: 0,
    place: 0,
  })
  const target = '/api/generate?r=1'
  const good = { status: 200, body: echoOf(target, '{}'), isLast: false }
  const conversation = (more: Partial<Conversation>): Conversation => ({
    sent: sized('{}'),
    answers: [good],
    rest: '',
    closed: false,
    stuck: false,
    ...more,
  })
  const seen = [received(target, '{}')]

  it('finds nothing wrong where there is nothing', () => {
    expect(judge(conversation({}), seen)).toEqual([])
  })

  it.each([
    ['a request out of the body of another', {}, [...seen, received('/api/generate?r=h', '{}')]],
    ['a request seen twice', {}, [...seen, ...seen]],
    ['a body that is not the one that was sent', {}, [received(target, '{} ')]],
    ['a path that is on no list', {}, [...seen, received('/debug/pprof', '')]],
    ['an answer without a request', { answers: [good, good] }, seen],
    ["another's answer", { answers: [{ ...good, body: echoOf(target, 'x') }] }, seen],
    ['a good answer that no backend gave', {}, []],
    ['an error to a request that was sent on', { answers: [{ ...good, status: 400 }] }, seen],
    ['a request behind the last', { sent: sized('{}').repeat(2) }, [...seen, ...seen]],
    ['a connection that is closed without a word', { answers: [], closed: true }, []],
    ['a connection on which nothing happens any more', { stuck: true }, seen],
    ['half an answer', { rest: 'HTTP/1.1 2' }, seen],
  ])('notices %s', (what, more, got) => {
    const isLast = what === 'a request behind the last'
    const told = isLast ? { answers: [{ ...good, isLast }, good] } : {}
    expect(judge(conversation({ ...more, ...told }), got)).not.toEqual([])
  })

  it('reads no answer into the body of another', () => {
    const text = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n'
    expect(readAnswers(text, ['POST'])).toEqual({
      answers: [{ status: 200, body: 'HTTP', isLast: false }],
      rest: '/1.1 100 Continue\r\n\r\n',
    })
  })
})
