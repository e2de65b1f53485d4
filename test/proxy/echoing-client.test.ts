import { describe, expect, it } from 'vitest'
import type { ClientSide } from '../../src/proxy/client-side.ts'
import { EchoingClient } from '../../src/proxy/echoing-client.ts'

function listening() {
  const heard = { status: 0, headers: [] as readonly string[], text: '', ended: false }
  const client: ClientSide = {
    left: false,
    started: false,
    bytesOut: 0,
    onLeft() {},
    onDrain() {},
    head(status, headers) {
      heard.status = status
      heard.headers = headers
    },
    write(bytes) {
      heard.text += Buffer.from(bytes).toString()
      return true
    },
    end(bytes) {
      heard.text += Buffer.from(bytes ?? []).toString()
      heard.ended = true
    },
    answer(status, headers, body) {
      this.head(status, headers)
      this.end(body)
    },
    answerEarly() {},
    cut() {},
  }
  const echoing = new EchoingClient(client, { key: 'model', said: 'qwen3:14b', asked: 'mini' })
  return { heard, echoing }
}

function through(...pieces: string[]): string {
  const { heard, echoing } = listening()
  echoing.head(200, [])
  for (const piece of pieces) echoing.write(Buffer.from(piece))
  echoing.end()
  return heard.text
}

describe('a client that used an alias', () => {
  it('hears it in every line, and only where the field of the answer stands', () => {
    const line = '{"model":"qwen3:14b","message":{"content":"hi"}}\n'
    expect(through(line + line, line)).toBe(line.replace('qwen3:14b', 'mini').repeat(3))
    expect(through('{"model" : "qwen3:14b"}')).toBe('{"model" : "mini"}')
  })

  it('hears the words of the model as they are', () => {
    const content = '{"model":"qwen3:14b","content":"\\"model\\":\\"qwen3:14b\\" \\"model\\""}\n'
    expect(through(content)).toBe(content.replace('qwen3:14b', 'mini'))
    const call = '{"model":"qwen3:14b","arguments":{"model":"qwen3:14b"}}\n'
    expect(through(call)).toBe('{"model":"mini","arguments":{"model":"qwen3:14b"}}\n')
    const other = '{"model":"qwen3:32b","a":["model"]}\n'
    expect(through(other)).toBe(other)
  })

  it('hears it in events too', () => {
    const event = 'event: message_start\ndata: {"type":"x","message":{"model":"qwen3:14b"}}\n\n'
    expect(through(event)).toBe(event.replace('qwen3:14b', 'mini'))
  })

  it('gets a whole answer with the length that it has now', () => {
    const { heard, echoing } = listening()
    const body = Buffer.from('{"model":"qwen3:14b","done":true}')
    echoing.head(200, ['Content-Type', 'application/json', 'Content-Length', String(body.length)])
    echoing.end(body)
    expect(heard.text).toBe('{"model":"mini","done":true}')
    expect(heard.headers.at(-1)).toBe(String(heard.text.length))
  })

  it('gets an answer of a given length that comes in pieces as it is', () => {
    const { heard, echoing } = listening()
    echoing.head(200, ['Content-Length', '40'])
    echoing.write(Buffer.from('{"data":[],'))
    echoing.end(Buffer.from('"model":"qwen3:14b"}'))
    expect(heard).toMatchObject({ headers: ['Content-Length', '40'] })
    expect(heard.text).toContain('qwen3:14b')
  })

  it('gets nothing before there is something to get, and an empty end', () => {
    const { heard, echoing } = listening()
    echoing.head(204, [])
    expect(heard.status).toBe(0)
    echoing.end()
    expect(heard).toMatchObject({ status: 204, text: '', ended: true })
  })
})
