import { describe, expect, it } from 'vitest'
import { askForName, numCtx, readAsk } from '../../src/dialects/ask.ts'
import { MultipartScanner } from '../../src/dialects/multipart.ts'
import { findRoute } from '../../src/dialects/routes.ts'
import { scanBody } from '../../src/dialects/scan.ts'

function routeOf(path: string) {
  for (const method of ['POST', 'DELETE', 'GET']) {
    const found = findRoute(method, path)
    if (found.kind === 'route') return found.route
  }
  throw new Error(path)
}

function read(path: string, body: unknown) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return readAsk(routeOf(path), scanBody(Buffer.from(text)))
}

function ask(path: string, body: unknown) {
  const result = read(path, body)
  if (!result.ok) throw new Error(result.message)
  return result.ask
}

const refusal = (path: string, body: unknown) => {
  const result = read(path, body)
  return result.ok ? undefined : `${result.status} ${result.message}`
}

describe('refusals in the words of Ollama', () => {
  it.each([
    ['/api/chat', '', '400 missing request body'],
    ['/v1/chat/completions', '', '400 EOF'],
    ['/v1/messages', ' ', '400 EOF'],
    ['/api/chat', '{"model"', '400 unexpected EOF'],
    ['/api/chat', '[]', '400 json: cannot unmarshal array into Go value of type api.ChatRequest'],
    [
      '/v1/completions',
      { model: 1 },
      '400 json: cannot unmarshal number into Go struct field CompletionRequest.model of type string',
    ],
    ['/api/generate', { prompt: 'x' }, "404 model '' not found"],
    ['/api/embed', {}, "404 model '' not found"],
    ['/api/embeddings', {}, '400 model is required'],
    ['/api/chat', {}, '400 model is required'],
    ['/api/show', {}, '400 model is required'],
    ['/api/push', {}, '400 model is required'],
    ['/api/pull', {}, '400 invalid model name'],
    ['/api/create', {}, '400 invalid model name'],
    ['/api/delete', {}, '400 model is required'],
    ['/api/delete', { model: 'a b' }, '400 name "a b" is invalid'],
    ['/api/copy', { destination: 'b' }, '400 source "" is invalid'],
    ['/api/copy', { source: 'a', destination: 'é' }, '400 destination "é" is invalid'],
    ['/api/chat', { model: 'a/b/c/d' }, '400 invalid model name'],
    [
      '/api/chat',
      { model: 'a:cloud:local' },
      '400 use either :local or :cloud, not both: "a:cloud:local"',
    ],
    ['/v1/chat/completions', { model: 'a' }, "400 [] is too short - 'messages'"],
    ['/v1/chat/completions', { messages: [1] }, '400 model is required'],
    ['/v1/completions', { prompt: 'a' }, "404 model '' not found"],
    ['/v1/embeddings', { model: 'a' }, '400 invalid input'],
    ['/v1/embeddings', { model: 'a', input: [] }, '400 invalid input'],
    ['/v1/messages', { max_tokens: 1, messages: [1] }, '400 model is required'],
    ['/v1/messages', { model: 'a' }, '400 max_tokens is required and must be positive'],
    ['/v1/messages', { model: 'a', max_tokens: 1 }, '400 messages is required'],
  ])('%s %j', (path, body, expected) => {
    expect(refusal(path, body)).toBe(expected)
  })
})

describe('empty requests', () => {
  const purpose = (path: string, body: object) => ask(path, { model: 'a', ...body }).purpose

  it('load when nothing is asked', () => {
    expect(purpose('/api/generate', {})).toBe('load')
    expect(purpose('/api/generate', { prompt: '', suffix: 'x', images: ['A'] })).toBe('load')
    expect(purpose('/api/chat', { messages: [] })).toBe('load')
    expect(purpose('/api/embed', { input: '' })).toBe('load')
    expect(purpose('/api/embed', { input: [], keep_alive: 0 })).toBe('load')
    expect(purpose('/api/embeddings', { prompt: '' })).toBe('load')
  })

  it.each([0, 0.0, '0', '0s', '0m0s', '-0', '+0s', '0.0h', 1e-12])(
    'unload with a keep_alive of %j',
    (keepAlive) => {
      expect(purpose('/api/generate', { keep_alive: keepAlive })).toBe('unload')
      expect(purpose('/api/chat', { keep_alive: keepAlive })).toBe('unload')
    },
  )

  it.each([-1, '-1s', 5, '5m', 'nonsense', '', null, true])(
    'load with a keep_alive of %j',
    (keepAlive) => {
      expect(purpose('/api/generate', { keep_alive: keepAlive })).toBe('load')
    },
  )

  it('are none when there is something to do', () => {
    expect(purpose('/api/generate', { prompt: 'x', keep_alive: 0 })).toBe('infer')
    expect(purpose('/api/chat', { messages: [{}], keep_alive: 0 })).toBe('infer')
    expect(purpose('/api/embed', { input: [''] })).toBe('infer')
    expect(purpose('/v1/embeddings', { input: '' })).toBe('infer')
    expect(purpose('/v1/completions', { prompt: '' })).toBe('infer')
  })

  it('are answered with one object even when the client streams', () => {
    expect(ask('/api/chat', { model: 'a', stream: true }).framing).toBe('json')
  })
})

describe('framing', () => {
  it('streams by default on the native routes only', () => {
    expect(ask('/api/chat', { model: 'a', messages: [1] }).framing).toBe('ndjson')
    expect(ask('/api/chat', { model: 'a', messages: [1], stream: false }).framing).toBe('json')
    expect(ask('/v1/chat/completions', { model: 'a', messages: [1] }).framing).toBe('json')
    expect(ask('/v1/chat/completions', { model: 'a', messages: [1], stream: true }).framing).toBe(
      'sse',
    )
    expect(ask('/api/pull', { name: 'a' }).framing).toBe('ndjson')
  })

  it('reads a null behind a value as Go does: a pointer forgets, a flag keeps', () => {
    expect(
      ask('/api/chat', '{"model":"a","messages":[1],"stream":false,"stream":null}').framing,
    ).toBe('ndjson')
    expect(ask('/v1/completions', '{"model":"a","stream":true,"stream":null}').framing).toBe('sse')
    expect(ask('/v1/responses', '{"model":"a","stream":true,"stream":null}').framing).toBe('json')
  })
})

describe('needs', () => {
  it('come from what the body holds', () => {
    expect(
      ask('/api/generate', { model: 'a', prompt: 'p', suffix: 's', images: ['A'], think: 'low' })
        .needs,
    ).toEqual(['completion', 'insert', 'vision', 'thinking'])
    expect(
      ask('/api/chat', { model: 'a', messages: [{ images: ['A'] }], tools: [{}] }).needs,
    ).toEqual(['completion', 'tools', 'vision'])
    expect(
      ask('/api/chat', { model: 'a', messages: [{ images: [] }], tools: [], think: false }).needs,
    ).toEqual(['completion'])
    expect(
      ask('/v1/chat/completions', {
        model: 'a',
        messages: [{ content: [{ type: 'input_audio', input_audio: { data: 'A' } }] }],
      }).needs,
    ).toEqual(['completion', 'audio'])
    expect(ask('/api/embed', { model: 'a', input: 'x' }).needs).toEqual([])
  })
})

describe('what makes a runner', () => {
  it('is the same for the same options however they are written', () => {
    const one = ask('/api/chat', '{"model":"a","options":{"num_ctx":4096.0,"seed":1},"shift":true}')
    const two = ask(
      '/api/chat',
      '{"model":"a","options":{"seed":2,"num_ctx":4.096e3},"shift":true}',
    )
    expect(one.runner).toEqual({ num_ctx: '4096', shift: 'true' })
    expect(two.runner).toEqual(one.runner)
    expect(numCtx(one)).toBe(4096)
  })

  // A server refuses such an option at once and touches nothing. Here it made another runner of it, for which a loaded
  // model was unloaded before the refusal came: anybody could do that.
  it('is none of what a server would refuse', () => {
    for (const value of ['"8192"', '[]', '{}', 'true', 'null'])
      expect(ask('/api/chat', `{"model":"a","options":{"num_ctx":${value}}}`).runner).toEqual({})
    expect(ask('/api/chat', '{"model":"a","options":{"use_mmap":1},"shift":5}').runner).toEqual({})
    expect(ask('/api/chat', '{"model":"a","options":{"use_mmap":false}}').runner).toEqual({
      use_mmap: 'false',
    })
  })

  it('is nothing on the routes that have no options', () => {
    expect(ask('/v1/completions', { model: 'a', options: { num_ctx: 1 } }).runner).toEqual({})
    expect(numCtx(ask('/v1/completions', { model: 'a' }))).toBeUndefined()
  })
})

describe('names', () => {
  it('may be given in the old field where Ollama still takes it, and model wins', () => {
    expect(ask('/api/show', { name: 'b' }).modelText).toBe('b')
    expect(ask('/api/show', { name: 'b', model: 'a' }).modelText).toBe('a')
    expect(ask('/api/show', { name: 'b', model: '' }).modelText).toBe('b')
    expect(refusal('/api/chat', { name: 'b' })).toBe('400 model is required')
  })

  it('are kept as written and compared in one form', () => {
    const { modelText, name } = ask('/api/chat', { model: 'Library/X' })
    expect(modelText).toBe('Library/X')
    expect(name.canonical).toBe('x:latest')
  })

  it('may stand in the path', () => {
    expect(askForName(routeOf('/v1/models/x'), 'x')).toMatchObject({
      ok: true,
      ask: { op: 'show', modelText: 'x' },
    })
  })
})

describe('a multipart form', () => {
  const form =
    '--b\r\nContent-Disposition: form-data; name="file"; filename="model"\r\n\r\nsound\r\n--not\r\n' +
    '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n--b--\r\n'

  function readForm(body: string, contentType: string, size: number) {
    const scanner = new MultipartScanner(contentType)
    const bytes = Buffer.from(body)
    for (let from = 0; from < bytes.length; from += size)
      scanner.feed(bytes.subarray(from, from + size))
    return readAsk(routeOf('/v1/audio/transcriptions'), scanner.end())
  }

  it('gives its model wherever it is cut, also behind the file', () => {
    for (let size = 1; size <= form.length; size++)
      expect(readForm(form, 'multipart/form-data; boundary=b', size)).toMatchObject({
        ok: true,
        ask: { modelText: 'whisper', needs: ['audio'], framing: 'json' },
      })
  })

  it('is refused without a model and without a boundary', () => {
    expect(readForm('--b--', 'multipart/form-data; boundary="b"', 9)).toMatchObject({
      message: 'model is required',
    })
    expect(readForm(form, 'application/json', 9)).toMatchObject({
      message: "failed to parse multipart form: request Content-Type isn't multipart/form-data",
    })
  })
})
