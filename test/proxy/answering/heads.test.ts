import { describe, expect, it } from 'vitest'
import { Failure } from '../../../src/core/failure.ts'
import { readModelName } from '../../../src/core/model-name.ts'
import { Heads } from '../../../src/proxy/answering/heads.ts'
import { exchangeFor, recordingClient } from '../help.ts'

const ndjson = ['Content-Type', 'application/x-ndjson', 'Content-Length', '9', 'Via', 'x']
const stream = {
  status: 200,
  rawHeaders: ndjson,
  framing: 'ndjson',
  coding: undefined,
} as const

function headsFor() {
  const exchange = exchangeFor(recordingClient())
  exchange.backend = 'a'
  return { exchange, heads: new Heads(exchange, ['X-Surface', 'yes']) }
}

function fieldsOf(raw: readonly string[]): Record<string, string> {
  const pairs = raw.flatMap((name, at) => (at % 2 === 0 ? [[name, raw[at + 1]!] as const] : []))
  return Object.fromEntries(pairs)
}

describe('the head of an answer', () => {
  it('has what the backend said, and then what is ours, in one order', () => {
    const { heads } = headsFor()
    expect(heads.ofAnswer(stream)).toEqual([
      ...['Content-Type', 'application/x-ndjson'],
      ...['Via', 'x'],
      ...['X-Accel-Buffering', 'no'],
      ...['X-Request-Id', 'id'],
      ...['Proxy-Status', 'chasqui;next-hop="a";received-status=200'],
      ...['Server-Timing', 'queue;dur=0.0, load;dur=0.0'],
      ...['X-Surface', 'yes'],
      ...['X-Chasqui-Backend', 'a'],
      ...['X-Chasqui-Attempts', '1'],
    ])
  })

  it('keeps the length of a whole answer only', () => {
    const { heads } = headsFor()
    expect(fieldsOf(heads.ofAnswer(stream))).not.toHaveProperty('Content-Length')
    const whole = fieldsOf(heads.ofAnswer({ ...stream, framing: 'json' }))
    expect(whole['Content-Length']).toBe('9')
    expect(whole).not.toHaveProperty('X-Accel-Buffering')
  })

  it('counts the attempt that answers, which is on no list yet', () => {
    const { exchange, heads } = headsFor()
    exchange.attempts.push({ backend: 'b', outcome: { kind: 'unreachable', text: '' } })
    expect(fieldsOf(heads.ofAnswer(stream))['X-Chasqui-Attempts']).toBe('2')
    const failed = { status: 503, contentType: 'x', body: Buffer.alloc(0) }
    const { 'X-Chasqui-Attempts': attempts } = fieldsOf(
      heads.ofFailure(new Failure('all_away', ''), failed),
    )
    expect(attempts).toBe('1')
  })

  it('says what was waited for', () => {
    const { exchange, heads } = headsFor()
    exchange.waitMs = 12.34
    heads.loadMs = 5
    expect(fieldsOf(heads.ofAnswer(stream))['Server-Timing']).toBe('queue;dur=12.3, load;dur=5.0')
  })

  it.each([
    ['alias', 'n is other:7b'],
    ['rule', 'by a rule other:7b answers for n'],
    ['fallback', 'nobody can serve n, other:7b stands in'],
  ] as const)('says which model stands for which: %s', (why, details) => {
    const name = readModelName('other:7b')!
    const exchange = exchangeFor(recordingClient(), { ask: { name, modelText: 'other:7b' } })
    exchange.substitute = { asked: 'n', why }
    const said = fieldsOf(new Heads(exchange, []).ofAnswer(stream))
    expect(said['Proxy-Status']).toBe(`chasqui;received-status=200;details="${details}"`)
    expect(said['X-Chasqui-Model']).toBe('other:7b')
  })
})

describe('the head of a refusal', () => {
  const body = Buffer.from('{}')
  const refusal = { status: 503, rawHeaders: ['Content-Length', '9'], body, backend: 'b' }

  it('names the backend that refused, and has the length of what is kept of it', () => {
    const said = fieldsOf(headsFor().heads.ofRefusal(refusal))
    expect(said['Content-Length']).toBe('2')
    expect(said['Proxy-Status']).toBe('chasqui;next-hop="b";received-status=503')
  })

  it('says when to come again, where the backend is busy and did not say so', () => {
    const refused = (status: number, given: string[] = []) =>
      fieldsOf(headsFor().heads.ofRefusal({ ...refusal, status, rawHeaders: given }))
    expect(refused(503)['Retry-After']).toBe('2')
    expect(refused(429)['Retry-After']).toBe('2')
    expect(refused(500)).not.toHaveProperty('Retry-After')
    const own = refused(503, ['retry-after', '7'])
    expect([own['retry-after'], own['Retry-After']]).toEqual(['7', undefined])
  })
})

describe('the head of a failure', () => {
  const answer = { status: 503, contentType: 'text/x', body: Buffer.from('body') }

  it('has the type and the length of what is told, and no backend where none was asked', () => {
    const { exchange, heads } = headsFor()
    exchange.backend = ''
    const said = heads.ofFailure(new Failure('queue_full', '', { retryAfterS: 3 }), answer)
    expect(fieldsOf(said)).toMatchObject({
      'Content-Type': 'text/x',
      'Content-Length': '4',
      'Proxy-Status': 'chasqui;error=connection_limit_reached',
      'Retry-After': '3',
    })
    expect(said).not.toContain('X-Chasqui-Backend')
  })
})
