import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Framing } from '../../src/core/ask.ts'
import { endOf, figuresOf } from '../../src/dialects/endings.ts'
import { FrameCutter } from '../../src/dialects/frames.ts'

function cutUp(body: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (body.length + 1)))].sort((a, b) => a - b)
  return [...places, body.length].map((to, index) => body.subarray(places[index - 1] ?? 0, to))
}

function through(framing: Framing, chunks: readonly Buffer[], frameBytesMax?: number) {
  const cutter = new FrameCutter(framing, frameBytesMax === undefined ? {} : { frameBytesMax })
  const out = chunks.map((chunk) => cutter.feed(chunk))
  return { cutter, out, rest: cutter.end() }
}

const joined = (pieces: readonly (Buffer | undefined)[]) =>
  Buffer.concat(pieces.filter((piece) => piece !== undefined))

const framings = fc.constantFrom<Framing>('ndjson', 'sse', 'json')
const stuff = fc
  .array(fc.constantFrom('\n', '\n\n', '\r\n\r\n', '\r', 'data: x', '{"a":1}', 'é'))
  .map((parts) => Buffer.from(parts.join('')))
const places = fc.array(fc.nat(), { maxLength: 20 })

describe('a frame cutter', () => {
  it('gives every byte once and in order, however it came', () => {
    fc.assert(
      fc.property(framings, stuff, places, fc.nat({ max: 40 }), (framing, body, cuts, max) => {
        const { out, rest } = through(framing, cutUp(body, cuts), max)
        expect(joined([...out, rest])).toEqual(body)
      }),
      { numRuns: 500 },
    )
  })

  it('gives nothing but whole frames while they are within the bound', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<Framing>('ndjson', 'sse'),
        stuff,
        places,
        (framing, body, cuts) => {
          const end = framing === 'ndjson' ? /\n$/ : /\n\r?\n$/
          const { cutter, out } = through(framing, cutUp(body, cuts))
          for (const piece of out) if (piece) expect(piece.toString()).toMatch(end)
          expect(cutter.overflowed).toBe(false)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('holds back no frame that is whole', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'bc', ''), { minLength: 1 }),
        places,
        (texts, cuts) => {
          for (const [framing, close] of [
            ['ndjson', '\n'],
            ['sse', '\n\n'],
            ['sse', '\r\n\r\n'],
          ] as const) {
            const body = Buffer.from(texts.map((text) => `data: ${text}${close}`).join(''))
            const { out, rest } = through(framing, cutUp(body, cuts))
            expect(rest).toBeUndefined()
            expect(joined(out)).toEqual(body)
          }
        },
      ),
    )
  })

  it('gives a chunk that ends a frame back as it is', () => {
    const chunk = Buffer.from('{"a":1}\n{"b":2}\n')
    expect(new FrameCutter('ndjson').feed(chunk)).toBe(chunk)
    const event = Buffer.from('data: 1\n\n')
    expect(new FrameCutter('sse').feed(event)).toBe(event)
  })

  it('lets a frame out as it comes once it is too long, and finds the next border', () => {
    const cutter = new FrameCutter('ndjson', { frameBytesMax: 4 })
    expect(cutter.feed(Buffer.from('123'))).toBeUndefined()
    expect(cutter.feed(Buffer.from('456'))?.toString()).toBe('123456')
    expect(cutter.passingThrough).toBe(true)
    expect(cutter.feed(Buffer.from('7'))?.toString()).toBe('7')
    expect(cutter.feed(Buffer.from('8\n9'))?.toString()).toBe('8\n')
    expect(cutter.passingThrough).toBe(false)
    expect(cutter.overflowed).toBe(true)
    expect(cutter.end()?.toString()).toBe('9')
  })

  it('finds a blank line in pieces even inside a frame that is too long', () => {
    const cutter = new FrameCutter('sse', { frameBytesMax: 2 })
    for (const piece of ['data: 1', '\r', '\n', '\r', '\n']) cutter.feed(Buffer.from(piece))
    expect(cutter.passingThrough).toBe(false)
  })

  it('bears a frame that comes byte by byte', () => {
    const body = Buffer.alloc(200_000, 0x61)
    const { rest } = through(
      'json',
      Array.from(body, (_, index) => body.subarray(index, index + 1)),
    )
    expect(rest).toEqual(body)
  })
})

describe('the end of an answer', () => {
  const end = (
    family: 'ollama' | 'openai' | 'anthropic',
    op: Parameters<typeof endOf>[1],
    text: string,
  ) => endOf(family, op, Buffer.from(text))

  it('is done with the last word of its kind', () => {
    expect(end('ollama', 'chat', '{"done":false}\n{"done":true}\n')).toBe('done')
    expect(end('ollama', 'pull', '{"status":"success"}\n')).toBe('done')
    expect(end('ollama', 'show', '{\n "details": {}\n}')).toBe('done')
    expect(end('openai', 'chat', 'data: {}\n\ndata: [DONE]\n\n')).toBe('done')
    expect(end('openai', 'responses', 'event: response.completed\ndata: {}\n\n')).toBe('done')
    expect(end('openai', 'responses', 'event: response.incomplete\ndata: {}\n\n')).toBe('done')
    expect(end('anthropic', 'chat', 'event: message_stop\ndata: {}\n\n')).toBe('done')
    expect(end('openai', 'chat', '{"choices":[]}\n')).toBe('done')
  })

  it('is an error with a line that says so', () => {
    expect(end('ollama', 'chat', '{"done":false}\n{"error":"x"}\n')).toBe('error')
    expect(end('openai', 'chat', 'data: {"error":{"message":"x"}}\n\n')).toBe('error')
    expect(end('openai', 'responses', 'event: response.failed\ndata: {}\n\n')).toBe('error')
    expect(end('anthropic', 'chat', 'event: error\ndata: {}\n\n')).toBe('error')
  })

  it('is missing when the last word is', () => {
    expect(end('ollama', 'chat', '')).toBe('unfinished')
    expect(end('ollama', 'chat', '{"done":false}\n')).toBe('unfinished')
    expect(end('ollama', 'pull', '{"status":"writing manifest"}\n')).toBe('unfinished')
    expect(end('openai', 'chat', 'data: {"choices":[]}\n\n')).toBe('unfinished')
    expect(end('openai', 'responses', 'event: response.created\ndata: {}\n\n')).toBe('unfinished')
    expect(end('anthropic', 'chat', 'event: message_delta\ndata: {}\n\n')).toBe('unfinished')
  })

  it('is seen through the cutter, also when it comes in the smallest pieces', () => {
    const body = Buffer.from(
      'data: {"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\ndata: [DONE]\n\n',
    )
    const { cutter } = through(
      'sse',
      Array.from(body, (_, index) => body.subarray(index, index + 1)),
    )
    expect(endOf('openai', 'chat', cutter.lastFrames)).toBe('done')
    expect(figuresOf(cutter.lastFrames)).toMatchObject({ promptTokens: 3, outputTokens: 4 })
  })

  it('stands behind as many frames as there may be', () => {
    const frames = Array.from({ length: 8 }, (_, index) => `{"n":${index}}\n`)
    for (let count = 1; count <= frames.length; count++) {
      const given = frames.slice(0, count)
      const { cutter } = through(
        'ndjson',
        given.map((frame) => Buffer.from(frame)),
      )
      const last = given.slice(-3).join('')
      expect(`${cutter.lastFrames}`).toBe(last)
      // Looked at in the middle, it goes on.
      cutter.feed(Buffer.from('{}\n'))
      expect(`${cutter.lastFrames}`).toBe(`${last}{}\n`)
    }
  })
})

describe('figures', () => {
  const native = {
    total_duration: 9,
    load_duration: 1,
    prompt_eval_count: 2,
    eval_count: 3,
    eval_duration: 4,
  }
  const expected = {
    totalNs: 9,
    loadNs: 1,
    promptTokens: 2,
    promptNs: 0,
    outputTokens: 3,
    outputNs: 4,
  }

  it('come from the last native line, also from one too long to parse', () => {
    expect(
      figuresOf(Buffer.from(`{"done":false}\n${JSON.stringify({ done: true, ...native })}\n`)),
    ).toEqual(expected)
    const long = Buffer.from(
      JSON.stringify({ done: true, context: Array(400_000).fill(123), ...native }),
    )
    expect(figuresOf(long)).toEqual(expected)
    expect(endOf('ollama', 'generate', long)).toBe('done')
  })

  it('come from the usage of the other families', () => {
    expect(
      figuresOf(Buffer.from('{"usage":{"prompt_tokens":1,"completion_tokens":2}}')),
    ).toMatchObject({ promptTokens: 1, outputTokens: 2 })
    expect(
      figuresOf(
        Buffer.from(
          'event: message_delta\ndata: {"usage":{"input_tokens":5,"output_tokens":6}}\n\nevent: message_stop\ndata: {}\n\n',
        ),
      ),
    ).toMatchObject({ promptTokens: 5, outputTokens: 6 })
    expect(
      figuresOf(
        Buffer.from(
          'event: response.completed\ndata: {"response":{"usage":{"input_tokens":7,"output_tokens":8}}}\n\n',
        ),
      ),
    ).toMatchObject({ promptTokens: 7, outputTokens: 8 })
  })

  it('are absent rather than invented', () => {
    for (const text of [
      '',
      'x',
      '{"done":true}',
      'data: [DONE]\n\n',
      '{"usage":null}',
      '{"eval_count":"9"}',
    ])
      expect(figuresOf(Buffer.from(text))).toBeUndefined()
  })
})
