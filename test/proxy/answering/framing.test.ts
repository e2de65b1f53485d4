import { describe, expect, it } from 'vitest'
import { isCutShort, readHead } from '../../../src/proxy/answering/framing.ts'

const json = ['content-type', 'application/json; charset=utf-8']

describe('the framing of an answer', () => {
  it.each([
    ['application/x-ndjson', 'ndjson'],
    ['text/event-stream; charset=utf-8', 'sse'],
    ['application/json', 'json'],
    ['text/plain', 'json'],
  ])('of %s is %s', (type, framing) => {
    expect(readHead(200, ['Date', 'today', 'Content-Type', type]).framing).toBe(framing)
  })

  it('is one frame where nobody says', () => {
    expect(readHead(200, []).framing).toBe('json')
  })

  it('is one frame where a coding hides what is in it', () => {
    for (const [name, value] of [
      ['Content-Encoding', 'gzip'],
      ['content-encoding', ' GZIP '],
      ['CONTENT-ENCODING', 'gzip'],
    ] as const) {
      const head = readHead(200, [name, value, 'Content-Type', 'application/x-ndjson'])
      expect(head).toMatchObject({ framing: 'json', coding: 'gzip' })
    }
    for (const value of ['', 'identity', 'Identity']) {
      const head = readHead(200, ['Content-Type', 'text/event-stream', 'Content-Encoding', value])
      expect(head).toMatchObject({ framing: 'sse', coding: undefined })
    }
    const twice = ['Content-Encoding', 'identity', 'Content-Encoding', 'br']
    expect(readHead(200, twice).coding).toBe('br')
  })
})

describe('a body that should be one JSON value', () => {
  const chat = { op: 'chat', repeatable: true } as const
  const cut = (text: string) => isCutShort(chat, json, Buffer.from(text))

  it('is cut short where no bracket closes it, or there is nothing of it', () => {
    for (const text of ['', '{"a":"half', '{"a":{}, ', '[1,2']) expect(cut(text)).toBe(true)
  })

  it('is whole behind its last bracket, with white space or without', () => {
    for (const text of ['{}', '[1]', '{}\n', '[1] \r\n']) expect(cut(text)).toBe(false)
  })

  it('is looked at nowhere else', () => {
    const half = Buffer.from('{"half')
    expect(isCutShort({ op: 'chat', repeatable: false }, json, half)).toBe(false)
    expect(isCutShort({ op: 'show', repeatable: true }, json, half)).toBe(false)
    expect(isCutShort(chat, ['Content-Type', 'text/plain'], half)).toBe(false)
    expect(isCutShort(chat, [], half)).toBe(false)
  })
})
