import { describe, expect, it } from 'vitest'
import { answerHead } from '../../../src/http/net-door/answer-head.ts'

const stays = { keepAliveS: 5, date: 'today' }

describe('the head of an answer to a client', () => {
  it('has what was given, and then what the connection needs', () => {
    expect(answerHead(200, ['Content-Type', 'a/b', 'content-length', '3'], stays)).toEqual({
      text: 'HTTP/1.1 200 OK\r\nContent-Type: a/b\r\ncontent-length: 3\r\nDate: today\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n',
      framing: 'length',
    })
    expect(answerHead(599, ['DATE', 'then'], { ...stays, keepAliveS: undefined })).toEqual({
      text: 'HTTP/1.1 599 unknown\r\nDATE: then\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n',
      framing: 'chunked',
    })
    expect(answerHead(204, [], stays).framing).toBe('none')
  })

  it('refuses what would be something else on the wire', () => {
    for (let code = 0; code < 0x180; code++) {
      const sign = String.fromCharCode(code)
      const isSent = /[\t\x20-\x7e\x80-\xff]/.test(sign)
      const write = () => answerHead(200, ['A', `x${sign}`], stays).text
      if (isSent) expect(write()).toContain(`A: x${sign}\r\n`)
      else expect(write).toThrow('a header that can not be sent: A')
    }
  })
})
