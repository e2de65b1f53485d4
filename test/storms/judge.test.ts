import { describe, expect, it } from 'vitest'
import { AnswerReader, type Received } from './answers.ts'
import { rightText } from './asking.ts'
import { judge } from './judge.ts'
import type { Errand } from './script.ts'

const errand: Errand = {
  id: 's1-1',
  way: '/api/chat',
  model: 'steady',
  stream: true,
  texts: ['tell of 7 things'],
  padChars: 0,
  temperature: 0,
  tokens: 6,
  flaw: undefined,
  sends: 'at once',
  reads: 'at once',
  leave: undefined,
  closes: false,
  stays: false,
}
const right = rightText(errand)
const [one, other] = [right.slice(0, 9), right.slice(9)]

const line = (content: string, done = false) =>
  `${JSON.stringify({ message: { role: 'assistant', content }, done })}\n`
const whole = line(one) + line(other) + line('', true)
const failed = `${JSON.stringify({ error: 'it was cut' })}\n`
const answer = (body: string, more: Partial<Received> = {}): Received => ({
  status: 200,
  headers: new Map([['x-request-id', 's1-1']]),
  body: Buffer.from(body),
  ending: 'whole',
  ...more,
})
const stormy = { isCalm: false, hasLeft: false }
const verdictOf = (received: Received, asked = errand, weather = stormy) =>
  judge(asked, received, weather).verdict

describe('a good end', () => {
  it.each([
    ['complete', answer(whole)],
    ['error', answer(line(one) + failed)],
    ['error', answer(failed)],
    ['broken', answer(line(one), { ending: 'cut' })],
    // Half a frame is no frame.
    ['broken', answer(line(one) + line('something else').slice(0, 30), { ending: 'cut' })],
    ['refused', answer('{"error":"no"}', { status: 503 })],
  ])('is %s', (verdict, received) => {
    expect(verdictOf(received)).toBe(verdict)
  })

  it('is an error behind the reason of an end, of those who have a last word behind that', () => {
    const asked: Errand = { ...errand, way: '/v1/chat/completions' }
    const chunk = (delta: object, finish_reason: string | null) =>
      `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`
    const text = chunk({ content: right }, null) + chunk({}, 'length')
    const error = `data: ${JSON.stringify({ error: { message: 'it was cut' } })}\n\n`
    const last = 'data: [DONE]\n\n'
    expect(verdictOf(answer(text + last), asked)).toBe('complete')
    expect(verdictOf(answer(text + error), asked)).toBe('error')
    expect(verdictOf(answer(text + last + error), asked)).toBe('complaint')
    expect(verdictOf(answer(text + error + last), asked)).toBe('complaint')
    expect(verdictOf(answer(chunk({ content: right }, null)), asked)).toBe('complaint')
  })

  it('in calm weather is a whole answer only', () => {
    const calm = { isCalm: true, hasLeft: false }
    expect(verdictOf(answer(whole), errand, calm)).toBe('complete')
    expect(verdictOf(answer(line(one) + failed), errand, calm)).toBe('complaint')
    expect(verdictOf(answer('{"error":"no"}', { status: 503 }), errand, calm)).toBe('complaint')
  })
})

describe('a complaint', () => {
  it.each([
    ['a clean end without a last line', answer(line(one) + line(other))],
    ['an answer of nothing', answer('')],
    ['a doubled piece', answer(line(one) + line(one) + line(other) + line('', true))],
    ['a lost piece', answer(line(other) + line('', true))],
    ['a foreign character', answer(line(one) + line(`x${other}`) + line('', true))],
    ['a last line too early', answer(line(one) + line('', true))],
    ['two last lines', answer(whole + line('', true))],
    ['two errors', answer(line(one) + failed + failed)],
    ['an error behind the end', answer(whole + failed)],
    ['an end behind the error', answer(line(one) + failed + line('', true))],
    ['a line that is none', answer(`${line(one)}{"mess\n`)],
    ['foreign text before the break', answer(line('x'), { ending: 'cut' })],
    ['no answer at all', answer('', { ending: 'none', headers: new Map() })],
    [
      'the answer to somebody else',
      answer(whole, { headers: new Map([['x-request-id', 's1-2']]) }),
    ],
    ['a refusal in another shape', answer('busy', { status: 503 })],
  ])('is made of %s', (_what, received) => {
    expect(verdictOf(received)).toBe('complaint')
  })

  it('is made of a whole answer with other text, and of one that is half an object', () => {
    const asked = { ...errand, stream: false }
    expect(verdictOf(answer(line(right, true)), asked)).toBe('complete')
    expect(verdictOf(answer(line(one, true)), asked)).toBe('complaint')
    expect(verdictOf(answer(line(right, true).slice(0, -9)), asked)).toBe('complaint')
  })

  it('is made of the numbers of another text', () => {
    const asked: Errand = { ...errand, way: '/api/embed', model: 'all-minilm', stream: false }
    const zeros = JSON.stringify({ embeddings: [Array.from({ length: 24 }, () => 0)] })
    expect(verdictOf(answer(zeros), asked)).toBe('complaint')
  })
})

describe('the reader of answers', () => {
  const read = (...pieces: string[]) => {
    const answers: Received[] = []
    const reader = new AnswerReader((each) => answers.push(each))
    for (const piece of pieces) reader.push(Buffer.from(piece, 'latin1'))
    return { answers, rest: reader.rest() }
  }
  const length = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'
  const chunks = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n'

  it('reads answers in any pieces, one behind the other', () => {
    const { answers } = read(...(length + chunks + length))
    expect(answers.map(({ body, ending }) => `${body} ${ending}`)).toEqual(
      Array.from({ length: 3 }, () => '{} whole'),
    )
  })

  it('tells what is cut from what is whole', () => {
    expect(read(length.slice(0, -1)).rest.ending).toBe('cut')
    expect(read(chunks.slice(0, -2)).rest.ending).toBe('cut')
    expect(read(chunks.slice(0, -2)).answers).toEqual([])
    expect(read('HTTP/1.1 200').rest.ending).toBe('none')
  })

  it('takes nothing else for an answer', () => {
    expect(() => read('{}\r\n\r\n')).toThrow('no status line')
    expect(() => read(chunks.replace('2\r\n{}', '1\r\n{}'))).toThrow('longer than it says')
    expect(() => read(length.replace('Length: 2', 'Length: 2\r\nContent-Length: 3'))).toThrow(
      'two of',
    )
  })
})
