import { describe, expect, it } from 'vitest'
import { requestHeaders, responseHeaders } from '../../src/proxy/headers.ts'

function sentOn(raw: string[], more: Partial<Parameters<typeof requestHeaders>[0]> = {}) {
  const out = requestHeaders({
    raw,
    requestId: 'id-1',
    hop: 'hop',
    passAuthorization: false,
    own: {},
    hostOfBackend: 'gpu:11434',
    ...more,
  })
  return pairs(out)
}

function pairs(flat: readonly string[]): string[] {
  return flat.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${flat[at + 1]}`] : []))
}

const always = ['Host: gpu:11434', 'Via: 1.1 hop', 'X-Request-Id: id-1']

describe('the head that a backend gets', () => {
  it('keeps what is for it, as it was written and in order', () => {
    const raw = [
      'Content-Type',
      'application/json',
      'user-agent',
      'ollama/1',
      'X-Two',
      'a',
      'X-Two',
      'b',
    ]
    expect(sentOn(raw)).toEqual([
      'Host: gpu:11434',
      'Content-Type: application/json',
      'user-agent: ollama/1',
      'X-Two: a',
      'X-Two: b',
      'Via: 1.1 hop',
      'X-Request-Id: id-1',
    ])
  })

  it('has nothing of one connection, nor what a Connection field names, on whatever line', () => {
    const raw = [
      'Keep-Alive',
      'x',
      'TE',
      'trailers',
      'Trailer',
      'x',
      'Upgrade',
      'h2c',
      'Expect',
      '100-continue',
    ]
    raw.push('Transfer-Encoding', 'chunked', 'Content-Length', '5', 'Proxy-Authorization', 'x')
    raw.push(
      'Connection',
      'close, X-Secret',
      'connection',
      ' x-other ',
      'X-SECRET',
      's',
      'X-Other',
      'o',
    )
    expect(sentOn(raw)).toEqual(always)
  })

  it('can not lose by name what this proxy adds', () => {
    const raw = ['Connection', 'host, via, x-request-id, authorization', 'Host', 'evil']
    const own = { Authorization: 'Bearer ours' }
    expect(sentOn(raw, { own })).toEqual([
      'Host: gpu:11434',
      'Authorization: Bearer ours',
      'Via: 1.1 hop',
      'X-Request-Id: id-1',
    ])
  })

  it('carries the credential of the backend, not that of the client', () => {
    const raw = ['Authorization', 'Bearer theirs', 'x-api-key', 'theirs', 'Cookie', 'c']
    expect(sentOn(raw)).toEqual(always)
    expect(sentOn(raw, { own: { authorization: 'Bearer ours' } })).toContain(
      'authorization: Bearer ours',
    )
    const passed = sentOn(raw, { passAuthorization: true, own: { 'X-API-Key': 'ours' } })
    expect(passed).toContain('Authorization: Bearer theirs')
    expect(passed.filter((line) => /^x-api-key/i.test(line))).toEqual(['X-API-Key: ours'])
  })

  it('says nothing of where the client came from, and asks for no compression', () => {
    const raw = [
      'X-Forwarded-For',
      '10.0.0.1',
      'X-Real-IP',
      '10.0.0.1',
      'Forwarded',
      'for=10.0.0.1',
    ]
    raw.push('Origin', 'http://page', 'Accept-Encoding', 'gzip')
    expect(sentOn(raw)).toEqual(always)
  })
})

describe('the head that a client gets', () => {
  it('keeps what the backend said of its answer', () => {
    const raw = ['Content-Type', 'application/json', 'Content-Length', '12', 'Date', 'today']
    expect(pairs(responseHeaders(raw, true))).toEqual([
      'Content-Type: application/json',
      'Content-Length: 12',
      'Date: today',
    ])
    expect(pairs(responseHeaders(raw, false))).not.toContain('Content-Length: 12')
  })

  it('has nothing of the connection to the backend, and nothing that is ours to say', () => {
    const raw = [
      'Connection',
      'x-hidden',
      'X-Hidden',
      'h',
      'Transfer-Encoding',
      'chunked',
      'Upgrade',
      'h2c',
    ]
    raw.push('Proxy-Authenticate', 'x', 'Keep-Alive', 'x', 'Access-Control-Allow-Origin', '*')
    raw.push('X-Request-Id', 'other', 'X-Chasqui-Backend', 'other', 'Proxy-Status', 'other')
    expect(responseHeaders(raw, true)).toEqual([])
  })
})
