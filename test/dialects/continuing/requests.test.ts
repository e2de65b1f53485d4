/** What another server is asked, so that it goes on where the first broke off. */
import { describe, expect, it } from 'vitest'
import type { Method } from '../../../src/dialects/continuing/continuing.ts'
import { allKinds, continuing, type Json, type Kind, kinds, requestFor } from './harness.ts'

const line = (value: Json) => Buffer.from(`${JSON.stringify(value)}\n`)
const data = (value: Json) => Buffer.from(`data: ${JSON.stringify(value)}\n\n`)
const event = (value: Json) =>
  Buffer.from(`event: ${String(value['type'])}\ndata: ${JSON.stringify(value)}\n\n`)

/** The beginning of an answer in each language: a thought if there is one, and the text word by word. */
function begun(kind: Kind, words: readonly string[], thinking = ''): Buffer[] {
  const at = { model: 'llama3.2', created_at: '2026-11-21T12:00:00Z' }
  const head = { id: 'x-1', created: 7, model: 'llama3.2', system_fingerprint: 'fp_ollama' }
  switch (kind) {
    case kinds.chat: {
      const say = (content: string, more: Json = {}) =>
        line({ ...at, message: { role: 'assistant', content, ...more }, done: false })
      return [...(thinking ? [say('', { thinking })] : []), ...words.map((word) => say(word))]
    }
    case kinds.generate: {
      const say = (response: string, more: Json = {}) =>
        line({ ...at, response, ...more, done: false })
      return [...(thinking ? [say('', { thinking })] : []), ...words.map((word) => say(word))]
    }
    case kinds.openai: {
      const say = (delta: Json) =>
        data({ ...head, choices: [{ index: 0, delta, finish_reason: null }] })
      return [
        say({ role: 'assistant', content: '', ...(thinking ? { reasoning: thinking } : {}) }),
        ...words.map((content) => say({ content })),
      ]
    }
    case kinds.completions:
      return words.map((text) =>
        data({ ...head, choices: [{ text, index: 0, finish_reason: null }] }),
      )
    case kinds.messages:
      return [
        event({ type: 'message_start', message: { id: 'msg_1', model: 'llama3.2', content: [] } }),
        ...(thinking
          ? [
              event({
                type: 'content_block_start',
                index: 0,
                content_block: { type: 'thinking', thinking: '' },
              }),
              event({
                type: 'content_block_delta',
                index: 0,
                delta: { type: 'thinking_delta', thinking },
              }),
            ]
          : []),
        ...words.map((text) =>
          event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
        ),
      ]
    default:
      return [
        event({ type: 'response.created', sequence_number: 0, response: { id: 'resp_1' } }),
        ...(thinking
          ? [
              event({
                type: 'response.reasoning_summary_text.delta',
                sequence_number: 1,
                delta: thinking,
              }),
            ]
          : []),
        ...words.map((delta) =>
          event({ type: 'response.output_text.delta', sequence_number: 2, delta }),
        ),
      ]
  }
}

function asked(kind: Kind, body: Json, had: readonly Buffer[], method: Method, rendered?: string) {
  const { request } = requestFor(kind, body, had, { method, ...(rendered && { rendered }) })
  if ('cannot' in request) return request
  return { ...request, body: JSON.parse(request.body.toString('utf8')) as Json }
}

const bodyAsked = (...given: Parameters<typeof asked>) => {
  const request = asked(...given)
  if ('cannot' in request) throw new Error(request.cannot)
  return request.body
}

const words = ['Because ', 'of ']
const limits: readonly [Kind, (limit: number) => Json, (body: Json) => unknown][] = [
  [kinds.chat, (limit) => ({ options: { num_predict: limit } }), nativeLimit],
  [kinds.generate, (limit) => ({ options: { num_predict: limit } }), nativeLimit],
  [kinds.openai, (limit) => ({ max_tokens: limit }), (body) => body['max_tokens']],
  [kinds.completions, (limit) => ({ max_tokens: limit }), nativeLimit],
  [kinds.messages, (limit) => ({ max_tokens: limit }), (body) => body['max_tokens']],
  [kinds.responses, (limit) => ({ max_output_tokens: limit }), (body) => body['max_output_tokens']],
]

function nativeLimit(body: Json): unknown {
  return (body['options'] as Json | undefined)?.['num_predict']
}

describe.each(limits)('the limit of $name', (kind, more, limitIn) => {
  it('is lowered by what is there', () => {
    expect(limitIn(bodyAsked(kind, kind.body('x', more(10)), begun(kind, words), 'trailing'))).toBe(
      8,
    )
    const raw = bodyAsked(kind, kind.body('x', more(10)), begun(kind, words), 'raw', 'r')
    expect(nativeLimit(raw)).toBe(8)
  })

  it('is left alone where it is none', () => {
    for (const none of [-1, -2, 0])
      expect(
        limitIn(bodyAsked(kind, kind.body('x', more(none)), begun(kind, words), 'trailing')),
      ).toBe(none)
    const without = bodyAsked(
      kind,
      kind.body('x', { max_tokens: undefined }),
      begun(kind, words),
      'trailing',
    )
    expect(limitIn(without)).toBeUndefined()
  })

  it('asks for one token that nobody sees when nothing is left of it', () => {
    const request = asked(kind, kind.body('x', more(2)), begun(kind, words), 'trailing')
    expect(request).toMatchObject({ asked: { complete: 'length' } })
    if ('cannot' in request) throw new Error(request.cannot)
    expect(limitIn(request.body)).toBe(1)
  })

  it('is whole again for a restart, to the byte', () => {
    const original = { path: kind.path, body: Buffer.from(JSON.stringify(kind.body('x', more(2)))) }
    const emitted = continuing(kind).read(begun(kind, words))
    const request = continuing(kind).request(original, emitted, 'restart', undefined)
    expect(request).toMatchObject({ ...original, asked: { complete: undefined } })
  })
})

describe('the newer limit of OpenAI', () => {
  it('is lowered, but never to nothing: Ollama does not read it', () => {
    const limitOf = (limit: number) =>
      bodyAsked(
        kinds.openai,
        kinds.openai.body('x', { max_completion_tokens: limit }),
        begun(kinds.openai, words),
        'trailing',
      )['max_completion_tokens']
    expect([limitOf(10), limitOf(2), limitOf(1)]).toEqual([8, 1, 1])
  })
})

const grammars: readonly [Kind, Json][] = [
  [kinds.chat, { format: 'json' }],
  [kinds.generate, { format: { type: 'object' } }],
  [kinds.openai, { response_format: { type: 'json_object' } }],
  [kinds.openai, { response_format: { type: 'json_schema', json_schema: { schema: {} } } }],
  [kinds.messages, { output_config: { format: { type: 'json_schema', schema: {} } } }],
  [kinds.responses, { text: { format: { type: 'json_schema', schema: {} } } }],
]

describe.each(grammars)('a grammar on $name', (kind, more) => {
  it('leaves only the way from the beginning', () => {
    const body = kind.body('x', more)
    for (const method of ['trailing', 'raw'] as const)
      expect(asked(kind, body, begun(kind, words), method, 'r')).toEqual({
        cannot: 'a grammar can not begin in the middle of its text',
      })
    expect(asked(kind, body, begun(kind, words), 'restart')).not.toHaveProperty('cannot')
  })
})

describe('a plain text format', () => {
  it('is no grammar', () => {
    for (const [kind, more] of [
      [kinds.chat, { format: '' }],
      [kinds.chat, { format: null }],
      [kinds.openai, { response_format: { type: 'text' } }],
      [kinds.responses, { text: { format: { type: 'text' } } }],
    ] as const)
      expect(asked(kind, kind.body('x', more), begun(kind, words), 'trailing')).not.toHaveProperty(
        'cannot',
      )
  })
})

describe('a trailing message', () => {
  const text = 'Because of '
  const lastOf = (body: Json, key = 'messages') => (body[key] as Json[]).at(-1)

  it('has the text and the thoughts, in every language', () => {
    const at = (kind: Kind, thinking = '') =>
      bodyAsked(kind, kind.body('x'), begun(kind, words, thinking), 'trailing')
    const plain = { role: 'assistant', content: text }
    expect(lastOf(at(kinds.chat))).toEqual(plain)
    expect(lastOf(at(kinds.chat, 'Hm.'))).toEqual({ ...plain, thinking: 'Hm.' })
    expect(lastOf(at(kinds.generate, 'Hm.'))).toEqual({ ...plain, thinking: 'Hm.' })
    expect(lastOf(at(kinds.openai, 'Hm.'))).toEqual({ ...plain, reasoning: 'Hm.' })
    expect(lastOf(at(kinds.completions))).toEqual(plain)
    expect(lastOf(at(kinds.messages))).toEqual(plain)
    expect(lastOf(at(kinds.messages, 'Hm.'))).toEqual({
      role: 'assistant',
      content: [
        { type: 'thinking', thinking: 'Hm.' },
        { type: 'text', text },
      ],
    })
    expect(at(kinds.responses, 'Hm.')['input']).toEqual([
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'x' }] },
      {
        type: 'reasoning',
        summary: [{ type: 'summary_text', text: 'Hm.' }],
        encrypted_content: 'Hm.',
      },
      { type: 'message', role: 'assistant', content: [{ type: 'output_text', text }] },
    ])
  })

  it('makes a beginning of the client longer', () => {
    const own = {
      messages: [
        { role: 'user', content: 'x' },
        { role: 'Assistant', content: 'Well. ' },
      ],
    }
    for (const kind of [kinds.chat, kinds.openai, kinds.messages]) {
      const body = bodyAsked(kind, kind.body('x', own), begun(kind, words), 'trailing')
      expect(body['messages']).toHaveLength(2)
      expect(lastOf(body)).toMatchObject({ content: `Well. ${text}` })
    }
    const parts = [{ type: 'text', text: 'Well. ' }]
    const inParts = {
      messages: [
        { role: 'user', content: 'x' },
        { role: 'assistant', content: parts },
      ],
    }
    for (const kind of [kinds.openai, kinds.messages])
      expect(
        lastOf(bodyAsked(kind, kind.body('x', inParts), begun(kind, words), 'trailing')),
      ).toMatchObject({ content: [{ type: 'text', text: `Well. ${text}` }] })
    const items = {
      input: [
        { role: 'user', content: 'x' },
        { role: 'assistant', content: 'Well. ' },
      ],
    }
    const responses = bodyAsked(
      kinds.responses,
      kinds.responses.body('x', items),
      begun(kinds.responses, words, 'Hm.'),
      'trailing',
    )
    expect((responses['input'] as Json[]).map((item) => item['type'] ?? item['role'])).toEqual([
      'user',
      'reasoning',
      'assistant',
    ])
    expect(lastOf(responses, 'input')).toMatchObject({ content: `Well. ${text}` })
  })

  it('goes on with a thought that the client had begun, in one block', () => {
    const content = [
      { type: 'thinking', thinking: 'Well. ' },
      { type: 'text', text: 'So: ' },
    ]
    const more = {
      messages: [
        { role: 'user', content: 'x' },
        { role: 'assistant', content },
      ],
    }
    const body = bodyAsked(
      kinds.messages,
      kinds.messages.body('x', more),
      begun(kinds.messages, words, 'Hm.'),
      'trailing',
    )
    expect(lastOf(body)).toEqual({
      role: 'assistant',
      content: [
        { type: 'thinking', thinking: 'Well. Hm.' },
        { type: 'text', text: `So: ${text}` },
      ],
    })
    const native = { messages: [{ role: 'assistant', content: '', thinking: 'Well. ' }] }
    expect(
      lastOf(
        bodyAsked(
          kinds.chat,
          kinds.chat.body('x', native),
          begun(kinds.chat, [], 'Hm.'),
          'trailing',
        ),
      ),
    ).toEqual({ role: 'assistant', content: '', thinking: 'Well. Hm.' })
  })

  it('is none behind a call of a tool', () => {
    const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }
    const ends: readonly [Kind, Json][] = [
      [kinds.chat, { messages: [{ role: 'assistant', content: '', tool_calls: [call] }] }],
      [kinds.openai, { messages: [{ role: 'assistant', content: '', tool_calls: [call] }] }],
      [
        kinds.messages,
        { messages: [{ role: 'assistant', content: [{ type: 'tool_use', id: 'c' }] }] },
      ],
      [kinds.responses, { input: [{ type: 'function_call', call_id: 'c', name: 'f' }] }],
    ]
    for (const [kind, more] of ends)
      expect(asked(kind, kind.body('x', more), begun(kind, words), 'trailing')).toEqual({
        cannot: 'the conversation ends in a call of a tool',
      })
  })

  it('is none where a prompt means something else than a conversation', () => {
    const ones: readonly Json[] = [
      { raw: true },
      { template: '{{ .Prompt }}' },
      { suffix: 'the end' },
      { context: [1, 2] },
      { images: ['aGk='] },
    ]
    for (const more of ones)
      expect(
        asked(
          kinds.generate,
          kinds.generate.body('x', more),
          begun(kinds.generate, words),
          'trailing',
        ),
      ).toHaveProperty('cannot')
    expect(
      asked(
        kinds.completions,
        kinds.completions.body('x', { suffix: 'the end' }),
        begun(kinds.completions, words),
        'trailing',
      ),
    ).toHaveProperty('cannot')
  })

  it('keeps everything else that the client asked for', () => {
    const options = { seed: 42, num_ctx: 8192, stop: ['END'], num_predict: -1 }
    const more = {
      options,
      keep_alive: '1h',
      think: 'low',
      logprobs: true,
      tools: [{ type: 'function' }],
    }
    const body = kinds.chat.body('x', more)
    const { messages, ...rest } = bodyAsked(kinds.chat, body, begun(kinds.chat, words), 'trailing')
    const { messages: _, ...before } = body
    expect(rest).toEqual(before)
    expect(messages).toHaveLength(3)
  })

  it('finds fields in any letter case, as Go does', () => {
    const body = {
      MODEL: 'llama3.2',
      Messages: [{ role: 'user', content: 'x' }],
      Options: { num_predict: 5 },
    }
    const next = bodyAsked(kinds.chat, body, begun(kinds.chat, words), 'trailing')
    expect(next['messages']).toHaveLength(2)
    expect(nativeLimit(next)).toBe(3)
  })
})

describe('a raw prompt', () => {
  it('is the rendering with the text behind it, and what concerns sampling and the runner', () => {
    const options = { num_ctx: 8192, stop: ['END'], num_predict: 10 }
    const more = { options, keep_alive: '1h', template: 'T', context: [1] }
    const body = kinds.generate.body('x', more)
    expect(bodyAsked(kinds.generate, body, begun(kinds.generate, words), 'raw', '<user>x')).toEqual(
      {
        model: 'llama3.2',
        prompt: '<user>xBecause of ',
        raw: true,
        stream: true,
        think: false,
        options: { ...options, num_predict: 8 },
        keep_alive: '1h',
      },
    )
  })

  it('has the options that Ollama itself makes of the other languages', () => {
    const openai = { temperature: 0.5, seed: 3, stop: 'END', presence_penalty: 1, max_tokens: 10 }
    const optionsOf = (kind: Kind, more: Json) =>
      bodyAsked(kind, kind.body('x', more), begun(kind, words), 'raw', 'r')['options']
    for (const kind of [kinds.openai, kinds.completions])
      expect(optionsOf(kind, openai)).toEqual({
        num_predict: 8,
        temperature: 0.5,
        top_p: 1,
        seed: 3,
        presence_penalty: 1,
        stop: ['END'],
      })
    expect(
      optionsOf(kinds.messages, { max_tokens: 10, top_k: 3, stop_sequences: ['END'] }),
    ).toEqual({ num_predict: 8, top_k: 3, stop: ['END'] })
    expect(optionsOf(kinds.responses, { max_output_tokens: 10 })).toEqual({
      num_predict: 8,
      temperature: 1,
    })
  })

  it("is the client's own where that was raw", () => {
    const body = kinds.generate.body('<user>x', { raw: true })
    expect(bodyAsked(kinds.generate, body, begun(kinds.generate, words), 'raw')).toMatchObject({
      prompt: '<user>xBecause of ',
    })
  })

  it('has no place for tools, images and thoughts, and none without a rendering', () => {
    const image = [{ role: 'user', content: 'x', images: ['aGk='] }]
    const part = [{ role: 'user', content: [{ type: 'image_url', image_url: 'data:,' }] }]
    const block = [{ role: 'user', content: [{ type: 'image', source: {} }] }]
    const item = [{ role: 'user', content: [{ type: 'input_image', image_url: 'data:,' }] }]
    const tools = { tools: [{ type: 'function' }] }
    const ones: readonly [Kind, Json][] = [
      [kinds.chat, tools],
      [kinds.chat, { messages: image }],
      [kinds.chat, { think: true }],
      [kinds.chat, { think: 'low' }],
      [kinds.generate, { images: ['aGk='] }],
      [kinds.openai, tools],
      [kinds.openai, { messages: part }],
      [kinds.openai, { reasoning_effort: 'low' }],
      [kinds.messages, tools],
      [kinds.messages, { messages: block }],
      [kinds.messages, { thinking: { type: 'enabled', budget_tokens: 9 } }],
      [kinds.responses, tools],
      [kinds.responses, { input: item }],
      [kinds.responses, { reasoning: { effort: 'high' } }],
    ]
    for (const [kind, more] of ones)
      expect(asked(kind, kind.body('x', more), begun(kind, words), 'raw', 'r')).toHaveProperty(
        'cannot',
      )
    for (const kind of allKinds) {
      expect(asked(kind, kind.body('x'), begun(kind, words), 'raw')).toHaveProperty('cannot')
      expect(asked(kind, kind.body('x'), begun(kind, words), 'raw', 'r')).not.toHaveProperty(
        'cannot',
      )
      if (kind === kinds.completions) continue
      const thought = begun(kind, words, 'Hm.')
      expect(asked(kind, kind.body('x'), thought, 'raw', 'r')).toHaveProperty('cannot')
    }
  })
})

describe.each(allKinds)('a request of $name', (kind) => {
  it('is not rewritten when it can not be read', () => {
    const emitted = continuing(kind).read(begun(kind, words))
    for (const text of ['', 'no json', '[]', `${JSON.stringify(kind.body('x'))} and more`])
      expect(
        continuing(kind).request(
          { path: kind.path, body: Buffer.from(text) },
          emitted,
          'trailing',
          undefined,
        ),
      ).toHaveProperty('cannot')
  })

  it('is not rewritten for an answer that can not be read', () => {
    const garbled = kind.sse ? 'data: {"half\n\n' : '{"half\n'
    const had = [...begun(kind, words), Buffer.from(garbled)]
    expect(continuing(kind).read(had).bar).toBe('unreadable')
    for (const method of ['trailing', 'raw', 'restart'] as const)
      expect(asked(kind, kind.body('x'), had, method, 'r')).toHaveProperty('cannot')
  })
})
