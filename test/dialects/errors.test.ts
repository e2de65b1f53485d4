import { describe, expect, it } from 'vitest'
import { errorAnswer, errorFrame, modelNotFoundText } from '../../src/dialects/errors.ts'
import { findRoute } from '../../src/dialects/routes.ts'

const parsed = (bytes: Buffer) => JSON.parse(bytes.toString())

describe('an error before the answer', () => {
  it('has the shape of its family', () => {
    expect(errorAnswer('ollama', 404, "model '<x>' not found").body.toString()).toBe(
      String.raw`{"error":"model '\u003cx\u003e' not found"}`,
    )
    expect(parsed(errorAnswer('openai', 400, 'm').body)).toEqual({
      error: { message: 'm', type: 'invalid_request_error', param: null, code: null },
    })
    expect(
      parsed(errorAnswer('openai', 503, 'm', { code: 'queue_full' }).body).error,
    ).toMatchObject({ type: 'api_error', code: 'queue_full' })
    expect(parsed(errorAnswer('anthropic', 503, 'm').body)).toEqual({
      type: 'error',
      error: { type: 'overloaded_error', message: 'm' },
      request_id: expect.stringMatching(/^req_[0-9a-f]{24}$/),
    })
    expect(
      parsed(errorAnswer('own', 503, 'm', { code: 'queue_full', requestId: 'r1' }).body),
    ).toMatchObject({ status: 503, detail: 'm', code: 'queue_full', instance: 'r1' })
  })
})

describe('an error inside the answer', () => {
  const frame = (...args: Parameters<typeof errorFrame>) => errorFrame(...args).toString()

  it('is one whole frame on which the clients of the family raise', () => {
    expect(frame('ollama', 'ndjson', 'm', undefined, 'chat')).toBe('{"error":"m"}\n')
    expect(frame('openai', 'sse', 'm', 'answer_cut', 'chat')).toBe(
      'data: {"error":{"message":"m","type":"api_error","param":null,"code":"answer_cut"}}\n\n',
    )
    expect(frame('openai', 'sse', 'm', undefined, 'responses')).toMatch(
      /^event: error\ndata: \{.*"type":"error".*\}\n\n$/,
    )
    expect(frame('anthropic', 'sse', 'm', undefined, 'chat')).toBe(
      'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"m"}}\n\n',
    )
  })
})

describe('a model that nobody has', () => {
  const text = (path: string, model: string) => {
    const found = findRoute('POST', path)
    return found.kind === 'route' ? modelNotFoundText(found.route, model) : ''
  }

  it('is told in the words of the route', () => {
    expect(text('/api/chat', 'X')).toBe("model 'X' not found")
    expect(text('/v1/completions', 'X')).toBe("model 'X' not found")
    expect(text('/api/show', 'library/X')).toBe("model 'X:latest' not found")
    expect(text('/api/embed', 'X')).toBe('model "X" not found, try pulling it first')
    expect(text('/v1/embeddings', 'X')).toBe('model "X" not found, try pulling it first')
    expect(text('/api/copy', 'X')).toBe('model "X" not found')
  })
})
