import { describe, expect, it } from 'vitest'
import { type Got, judge } from '../../bench/faults/judge.ts'
import { questionOf, readBody } from '../../bench/faults/questions.ts'
import { readAnswer } from '../../bench/faults/raw-stream.ts'

const wanted = 'The road is long, and the messenger runs.'
const whole: Got = {
  ...{ status: 200, transfer: 'whole', text: wanted, ends: 1, errors: [], longestGapMs: 0 },
}
const half = wanted.slice(0, 20)

describe('what became of an answer', () => {
  it.each<[string, Partial<Got>, ReturnType<typeof judge>]>([
    ['the same text with one end', {}, { fate: 'identical', wrongChars: 0 }],
    ['a status', { status: 503, text: '', ends: 0 }, { fate: 'honest', wrongChars: 0 }],
    [
      'an error behind a beginning',
      { text: half, ends: 0, errors: ['gone'] },
      { fate: 'honest', wrongChars: 0 },
    ],
    ['a cut', { text: half, ends: 0, transfer: 'cut' }, { fate: 'broken', wrongChars: 0 }],
    [
      'nothing at all',
      { status: 0, text: '', ends: 0, transfer: 'cut' },
      { fate: 'broken', wrongChars: 0 },
    ],
    ['no end yet', { text: half, ends: 0, transfer: 'hung' }, { fate: 'hung', wrongChars: 0 }],
    [
      'a clean end without the last line',
      { text: half, ends: 0 },
      { fate: 'silent', wrongChars: 0 },
    ],
    ['an end that is told too early', { text: half }, { fate: 'silent', wrongChars: 0 }],
    ['two ends', { ends: 2 }, { fate: 'silent', wrongChars: 0 }],
    [
      'a doubled word',
      { text: wanted.replace('long', 'long long') },
      { fate: 'silent', wrongChars: 5 },
    ],
    ['a lost space', { text: wanted.replace(' and', 'and') }, { fate: 'silent', wrongChars: 1 }],
    [
      'a doubled word before an honest error',
      { text: `${half}${half.slice(-3)}`, ends: 0, errors: ['gone'] },
      { fate: 'honest', wrongChars: expect.toSatisfy((count: number) => count > 0) as number },
    ],
  ])('%s', (_what, got, verdict) => {
    expect(judge({ ...whole, ...got }, wanted)).toEqual(verdict)
  })
})

describe('a stream as its client reads it', () => {
  const pathOf = (index: number) => questionOf(index, { row: 'row', topic: 'rain', tokens: 8 }).path

  it('of each family says its text, its end and its error', () => {
    const bodies = [
      '{"message":{"content":"a"}}\n{"message":{"content":"b"},"done":true}\n{"error":"x"}\n{"mes',
      'data: {"choices":[{"delta":{"content":"ab"}}]}\n\ndata: [DONE]\n\ndata: {"error":"x"}\n\ndata: {"ch',
      '{"response":"ab"}\n{"response":"","done":true}\n{"error":"x"}\n',
      'event: m\ndata: {"delta":{"text":"ab"}}\n\nevent: e\ndata: {"type":"message_stop"}\n\ndata: {"type":"error","error":"x"}\n\n',
    ]
    for (const [index, body] of bodies.entries())
      expect({ index, ...readBody(pathOf(index), body) }).toMatchObject({
        ...{ index, text: 'ab', ends: 1 },
        errors: [expect.stringContaining('x')],
      })
  })

  it('is whole only when its framing says so', () => {
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
    const read = (text: string) => readAnswer(Buffer.from(text))
    expect(read(`${head}3\r\nabc\r\n0\r\n\r\n`)).toEqual({ status: 200, body: 'abc', whole: true })
    expect(read(`${head}3\r\nabc\r\n4\r\nde`)).toEqual({ status: 200, body: 'abcde', whole: false })
    expect(read('HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy').whole).toBe(true)
    expect(read('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbu').whole).toBe(false)
    // Nobody can tell such an end from a cut.
    expect(read('HTTP/1.1 200 OK\r\n\r\nabc').whole).toBe(false)
    expect(read('HTTP/1.1 20').status).toBe(0)
  })
})
