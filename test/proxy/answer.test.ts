import { describe, expect, it } from 'vitest'
import type { Ask } from '../../src/core/ask.ts'
import { Failure } from '../../src/core/failure.ts'
import { Answer } from '../../src/proxy/answer.ts'
import { readHead } from '../../src/proxy/answering/framing.ts'
import { KeptBudget } from '../../src/proxy/kept.ts'
import { NotWanted } from '../../src/proxy/queue.ts'
import { exchangeFor, recordingClient } from './help.ts'

const ndjson = ['Content-Type', 'application/x-ndjson']
const sse = ['Content-Type', 'text/event-stream']
const json = ['Content-Type', 'application/json; charset=utf-8']

function answerFor(ask: Partial<Ask> = {}, continues = false) {
  const client = recordingClient()
  const exchange = exchangeFor(client, { ask })
  const answer = new Answer(
    exchange,
    {
      family: ask.family ?? 'ollama',
      op: ask.op ?? 'chat',
      modelUnknownText: () => 'none has it',
      continues,
      continuationWish: undefined,
      explains: false,
      headers: ['X-Style', 'yes'],
      now: () => 0,
    },
    new KeptBudget(),
  )
  return { client, exchange, answer }
}

const line = (content: string, more = {}) =>
  `${JSON.stringify({ message: { content }, done: false, ...more })}\n`
const last = line('', { done: true })

describe('an answer', () => {
  it('holds its head until there is a whole frame, and forgets a backend that failed before', () => {
    const { client, answer, exchange } = answerFor()
    answer.begin(readHead(200, ndjson))
    answer.data(Buffer.from(line('from the first').slice(0, 20)))
    expect(client.started).toBe(false)
    exchange.attempts.push({ backend: 'a', outcome: { kind: 'unreachable', text: '' } })
    exchange.backend = 'b'
    answer.begin(readHead(200, ndjson))
    answer.data(Buffer.from(line('from the second')))
    answer.data(Buffer.from(last))
    expect(answer.ended()).toEqual({ kind: 'answered', status: 200 })
    expect(client.text()).toBe(line('from the second') + last)
    expect(client.headers).toMatchObject({
      'x-chasqui-backend': 'b',
      'x-chasqui-attempts': '2',
      'x-style': 'yes',
      'x-accel-buffering': 'no',
    })
  })

  it('lets out whole frames only, each as soon as it is there', () => {
    const { client, answer } = answerFor()
    const text = line('one') + line('zwölf') + last
    answer.begin(readHead(200, ndjson))
    for (const byte of Buffer.from(text)) {
      answer.data(Buffer.from([byte]))
      expect(client.text() === '' || client.text().endsWith('\n')).toBe(true)
    }
    answer.ended()
    expect(client.text()).toBe(text)
  })

  it('ends a stream that broke off with one error line after the last whole frame', () => {
    const { client, answer } = answerFor()
    answer.begin(readHead(200, ndjson))
    answer.data(Buffer.from(`${line('one')}{"message":{"con`))
    answer.finish({ kind: 'brokeOff', afterFirstByte: true, reusedSocket: false, text: '' })
    const said = client.text().split('\n')
    expect(`${said[0]}\n`).toBe(line('one'))
    expect(JSON.parse(said[1]!)).toHaveProperty('error')
    expect(said).toHaveLength(3)
    expect(client.how).toBe('ended')
  })

  it('cuts the transfer where no error can be said: in a piece of JSON, or of a frame too long', () => {
    for (const headers of [json, ndjson]) {
      const { client, answer } = answerFor()
      answer.begin(readHead(200, headers))
      answer.data(Buffer.alloc(1_100_000, 'x'))
      expect(client.started).toBe(true)
      answer.finish({ kind: 'brokeOff', afterFirstByte: true, reusedSocket: false, text: '' })
      expect(client.how).toBe('cut')
    }
  })

  it('takes an error inside the stream as it is, and as a failure of the backend', () => {
    const { client, answer } = answerFor()
    answer.begin(readHead(200, ndjson))
    const text = `${line('one')}{"error":"model runner has unexpectedly stopped"}\n`
    answer.data(Buffer.from(text))
    expect(answer.ended()).toMatchObject({ kind: 'refused', why: 'crashed' })
    answer.finish({ kind: 'refused', status: 500, why: 'crashed', text: '' })
    expect(client.text()).toBe(text)
    expect(answer.result.ending).toBe('upstream_error')
  })

  it('knows a stream without its last line, in every family', () => {
    for (const [family, op, headers, text] of [
      ['ollama', 'chat', ndjson, line('one')],
      ['openai', 'chat', sse, 'data: {"choices":[]}\n\n'],
      ['anthropic', 'chat', sse, 'event: ping\ndata: {}\n\n'],
    ] as const) {
      const { answer, client } = answerFor({ family, op })
      answer.begin(readHead(200, headers))
      answer.data(Buffer.from(text))
      const outcome = answer.ended()
      expect(outcome).toMatchObject({ kind: 'brokeOff', clean: true })
      answer.finish(outcome)
      expect(client.text().startsWith(text)).toBe(true)
      expect(client.text().slice(text.length)).toContain('error')
    }
  })

  it('does not take half a JSON value for a whole one', () => {
    for (const [text, kind] of [
      ['{"message":{"content":"half', 'brokeOff'],
      ['', 'brokeOff'],
      ['{"message":{}}', 'answered'],
      ['{"message":{}}\n', 'answered'],
    ]) {
      const { answer } = answerFor({ framing: 'json' })
      answer.begin(readHead(200, json))
      if (text !== '') answer.data(Buffer.from(text!))
      expect(answer.ended().kind).toBe(kind)
    }
  })

  it('tells a refusal of our own load in the language of the client', () => {
    const { client, answer } = answerFor({ family: 'anthropic' })
    const body = Buffer.from('{"error":"no memory left"}')
    answer.keepLoadRefusal({ status: 500, rawHeaders: json, body }, 'a')
    answer.finish({ kind: 'refused', status: 500, why: 'outOfMemory', text: '' })
    expect(client.status).toBe(500)
    expect(JSON.parse(client.text())).toMatchObject({
      type: 'error',
      error: { type: 'api_error', message: 'no memory left' },
    })
  })

  it('passes the Retry-After of a busy backend on, and gives one where it said none', () => {
    for (const [given, expected] of [
      [['Retry-After', '7'], '7'],
      [[], '2'],
    ] as const) {
      const { client, answer } = answerFor()
      const rawHeaders = [...json, ...given]
      answer.keepRefusal({ status: 503, rawHeaders, body: Buffer.from('{}') }, 'a')
      answer.finish({ kind: 'refused', status: 503, why: 'busy', text: '' })
      expect(client.headers['retry-after']).toBe(expected)
    }
  })

  it('ends once, whoever ends it first', () => {
    const { client, answer, exchange } = answerFor()
    answer.begin(readHead(200, ndjson))
    answer.data(Buffer.from(last))
    answer.ended()
    answer.failed(new Failure('internal', 'late'))
    exchange.expire()
    answer.failed(new NotWanted())
    answer.finish({ kind: 'clientLeft' })
    expect(client.text()).toBe(last)
    expect(client.how).toBe('ended')
    expect(answer.result).toMatchObject({ ending: 'ok', status: 200 })
  })

  it('tells a passed deadline apart from a client that left', () => {
    const late = answerFor()
    late.exchange.expire()
    late.answer.failed(new NotWanted())
    expect(late.client.status).toBe(504)
    const gone = answerFor()
    gone.client.leave()
    gone.answer.failed(new NotWanted())
    expect(gone.client.how).toBe('cut')
    expect(gone.answer.result).toMatchObject({ ending: 'client_closed', status: 499 })
  })
})

describe('an error line inside a stream that could go on elsewhere', () => {
  const error = (text: string) => `${JSON.stringify({ error: text })}\n`
  const crash = error('an error was encountered while running the model: unexpected EOF')
  const broke = { kind: 'brokeOff', afterFirstByte: true, reusedSocket: false, text: '' } as const

  it('is held where it tells of a dead runner, and the answer before it is there to go on with', () => {
    const { client, answer } = answerFor({}, true)
    answer.begin(readHead(200, ndjson))
    answer.data(Buffer.from(line('one') + crash))
    expect(client.text()).toBe(line('one'))
    expect(answer.ended()).toMatchObject({ kind: 'brokeOff' })
    expect(answer.given?.toString()).toBe(line('one'))
  })

  // A final error was forgotten when the connection was lost behind it, and another backend was asked to go on.
  it('is final in any other case, also where the connection is lost behind it', () => {
    const { client, answer } = answerFor({}, true)
    answer.begin(readHead(200, ndjson))
    answer.data(Buffer.from(line('one')))
    answer.data(Buffer.from(error('the model says no')))
    expect(answer.given).toBeUndefined()
    answer.finish(broke)
    expect(client.text()).toBe(line('one') + error('the model says no'))
    expect(answer.result.ending).toBe('upstream_error')
  })

  // A backend that never ended its error line filled the memory with it.
  it('is let out as it comes beyond what any sentence has', () => {
    const { client, answer } = answerFor({}, true)
    answer.begin(readHead(200, ndjson))
    answer.data(Buffer.from(line('one')))
    const babble = Array.from({ length: 50 }, (_, index) => error(`${index} `.repeat(2_000)))
    for (const each of babble) answer.data(Buffer.from(each))
    expect(client.text()).toBe(line('one') + babble.join(''))
    expect(answer.keeps).toBe(false)
  })
})
