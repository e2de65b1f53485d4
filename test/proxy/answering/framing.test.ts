import { describe, expect, it } from 'vitest'
import { framingOf, isCutShort } from '../../../src/proxy/answering/framing.ts'

const json = ['content-type', 'application/json; charset=utf-8']

describe('the framing of an answer', () => {
  it.each([
    ['application/x-ndjson', 'ndjson'],
    ['text/event-stream; charset=utf-8', 'sse'],
    ['application/json', 'json'],
    ['text/plain', 'json'],
  ])('of %s is %s', (type, framing) => {
    expect(framingOf(['Date', 'today', 'Content-Type', type])).toBe(framing)
  })

  it('is one frame where nobody says', () => {
    expect(framingOf([])).toBe('json')
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
