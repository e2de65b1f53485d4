import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FailureCode, failures } from '../../src/core/failure.ts'
import type { Fleet } from '../help/fleet.ts'
import { type WholeAnswer, wholeCall } from '../help/open-call.ts'
import { blind, model, warmFleet } from '../help/warm-fleet.ts'
import { askSplit, linesOf, promptsOf, workedAll } from './split-fleet.ts'

const bodyBytesMax = 256 * 1024
const text = linesOf(30).join('\n')

let fleet: Fleet
beforeAll(async () => {
  fleet = await warmFleet({
    simulators: [{ models: [model] }, { models: [model] }],
    config: `${blind}\nlimits: { body_max: 256KiB }`,
  })
})
afterAll(() => fleet[Symbol.asyncDispose]())

/** Sends it, and holds that it was refused before any backend was asked anything. */
async function refused(
  path: string,
  body: object | string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<WholeAnswer> {
  const before = workedAll(fleet).length
  const answer = await wholeCall(fleet.url + path, { body, headers })
  expect(workedAll(fleet).length).toBe(before)
  expect(fleet.app.queue.size).toBe(0)
  expect(fleet.app.pool.endpoints.every(({ inFlight }) => inFlight === 0)).toBe(true)
  return answer
}

/** The sentence of a problem document, after its shape has been looked at. */
function problemIn(answer: WholeAnswer, code: FailureCode): string {
  const { status, fix } = failures[code]
  const body = JSON.parse(answer.text) as { detail: string }
  expect([answer.status, body]).toEqual([
    status,
    {
      type: `urn:chasqui:problem:${code}`,
      title: expect.any(String),
      status,
      detail: expect.stringMatching(/\S.*\S/),
      code,
      fix,
      instance: answer.headers['x-request-id'],
    },
  ])
  return body.detail
}

/** The sentence in the shape of Ollama's own errors. */
function ollamaIn(answer: WholeAnswer, status: number): string {
  const body = JSON.parse(answer.text) as { error: string }
  expect([answer.status, body]).toEqual([status, { error: expect.stringMatching(/\S.*\S/) }])
  return body.error
}

type Case = readonly [name: string, body: object, said: readonly string[], code?: FailureCode]

describe('a split of POST /generate is refused before anything is sent', () => {
  const impossible = { type: 'object', required: ['a'], properties: { a: false } }
  const cases: readonly Case[] = [
    ['with empty commands', { commands: '' }, ['"commands" is empty']],
    ['with an empty prompt', { prompt: '' }, ['"prompt" is empty']],
    ['with no items', { input: [] }, ['"input" is empty']],
    ['with no input', {}, ['"prompt", "commands" and "input"']],
    ['of size 0', { prompt: text, split: { size: 0 } }, ['"split.size"', 'from 1 to 1000000']],
    ['of half a size', { prompt: text, split: { size: 1.5 } }, ['"split.size"']],
    ['of a size in words', { prompt: text, split: { size: '10' } }, ['"split.size"']],
    ['of size null', { prompt: text, split: { size: null } }, ['"split.size"']],
    ['of a size beyond all', { prompt: text, split: { size: 1_000_001 } }, ['"split.size"']],
    ['with less than no overlap', { prompt: text, split: { overlap: -1 } }, ['"split.overlap"']],
    [
      'with an overlap as large as its parts',
      { prompt: text, split: { size: 5, overlap: 5 } },
      ['"split.overlap" (5) must be smaller than "split.size" (5)'],
    ],
    [
      'with less than none in parallel',
      { prompt: text, split: { max_parallel: -1 } },
      ['"split.max_parallel"', 'from 0 to 10000'],
    ],
    [
      'with more in parallel than any fleet has',
      { prompt: text, split: { max_parallel: 10_001 } },
      ['"split.max_parallel"'],
    ],
    [
      'by an unknown splitter',
      { prompt: text, split: { by: 'line' } },
      ['"split.by"', 'paragraphs', 'did you mean "lines"?'],
    ],
    ['by something that is no word', { prompt: text, split: { by: 5 } }, ['"split.by"']],
    [
      'with an unknown key',
      { prompt: text, split: { sise: 5 } },
      ['"split.sise"', 'did you mean "size"?'],
    ],
    ['with a language that is none', { prompt: text, split: { language: 'a b' } }, ['language']],
    ['that is a word', { prompt: text, split: 'yes' }, ['"split" must be true, false, "auto"']],
    ['that is a list', { prompt: text, split: [] }, ['"split" must be true, false, "auto"']],
    ['that is a number', { prompt: text, split: 10 }, ['"split" must be true, false, "auto"']],
    [
      'combined in an unknown way',
      { prompt: text, combine: 'concatt' },
      ['"combine.by"', 'did you mean "concat"?'],
    ],
    [
      'combined in an unknown way, as an object',
      { prompt: text, combine: { by: 'redude' } },
      ['did you mean "reduce"?'],
    ],
    [
      'combined with what belongs elsewhere',
      { prompt: text, combine: { by: 'json', with: '-' } },
      ['"combine.with" goes with concat'],
    ],
    [
      'combined, but not split',
      { prompt: text, split: false, combine: 'json' },
      ['"combine"', 'needs "split"'],
    ],
    [
      'with an unknown way to fail',
      { prompt: text, on_error: 'maybe' },
      ['"on_error"', '"partial"'],
    ],
    [
      'of items by lines',
      { input: ['a', 'b'], split: { by: 'lines' } },
      ['an array of items can not be cut by lines'],
    ],
    ['by items of a text', { prompt: text, split: { by: 'items' } }, ['items needs an array']],
    ['with images', { prompt: text, images: ['aGVsbG8='] }, ['"images" can not be split']],
    [
      'shown but not made',
      { prompt: text, split: false, dry_run: true },
      ['"dry_run"', 'needs "split"'],
    ],
    ['with a NUL in it', { prompt: `a\nb\0\nc` }, ['binary', 'NUL'], 'input_not_text'],
    ['with a NUL in an item', { input: ['a', 'b\0'] }, ['NUL'], 'input_not_text'],
    ['with half a character', { prompt: 'a\n\ud83d\nb' }, ['surrogate'], 'input_not_text'],
    ['with the other half', { input: ['fine', '\ude00'] }, ['surrogate'], 'input_not_text'],
    [
      'with a schema that nothing meets',
      { prompt: text, format: impossible },
      ['no part can meet "format"'],
    ],
    [
      'with a schema that is none',
      { prompt: text, format: { type: 'nonsense' } },
      ['no part can meet "format"', 'not a valid JSON schema'],
    ],
    [
      'with a schema whose values can not be joined',
      { prompt: text, format: { type: 'string' }, combine: 'json' },
      ['only arrays and objects'],
    ],
    [
      'reduced by a model that nobody has',
      { prompt: text, combine: { by: 'reduce', model: 'nobody-has-this' } },
      ['nobody-has-this'],
      'model_unknown',
    ],
    [
      'for a model that nobody has',
      { model: 'nobody-has-this', prompt: text },
      ['nobody-has-this'],
      'model_unknown',
    ],
    ['for no model', { model: undefined, prompt: text }, ['"model"'], 'model_missing'],
    [
      'with a line that no context holds',
      { prompt: `short\n${'long '.repeat(8_000)}\nshort` },
      ['line 2 has about', 'the largest context among the backends is 4096'],
      'part_too_large',
    ],
    [
      'with an item that no context holds',
      { input: ['short', 'long '.repeat(8_000)] },
      ['item 2 has about', '4096'],
      'part_too_large',
    ],
    [
      'with a line that its own num_ctx does not hold',
      { prompt: `short\n${'long '.repeat(500)}`, options: { num_ctx: 256 } },
      ['line 2 has about', 'is 256'],
      'part_too_large',
    ],
    [
      'with an instruction that leaves no room',
      { prompt: text, instruction: 'please '.repeat(5_000) },
      ['the instruction and what comes with it', '4096'],
      'part_too_large',
    ],
    [
      'with everything wrong at once',
      {
        prompt: 5,
        streem: true,
        split: { by: 'line', size: 0, sise: 1 },
        combine: { by: 'concatt' },
      },
      ['"prompt"', '"streem"', '"split.by"', '"split.size"', '"split.sise"', '"combine.by"'],
    ],
  ]
  it.each(cases.map((each) => [each[0], each] as const))(
    '%s',
    async (_name, [, body, said, code]) => {
      const answer = await refused('/generate', { model, split: true, ...body })
      const sentence = problemIn(answer, code ?? 'request_invalid')
      for (const words of said) expect(sentence).toContain(words)
      expect(sentence).not.toContain('Invalid input')
    },
  )

  it('when its body is no UTF-8', async () => {
    const body = Buffer.from(JSON.stringify({ model, split: true, prompt: 'a\nMARK\nb' }))
    body[body.indexOf('MARK')] = 0xff
    expect(problemIn(await refused('/generate', body), 'input_not_text')).toContain('UTF-8')
  })

  it('when its body is larger than the limit', async () => {
    const answer = await refused('/generate', {
      model,
      split: true,
      prompt: 'a line\n'.repeat(bodyBytesMax / 6),
    })
    expect(problemIn(answer, 'body_too_large')).toContain('limits.body_max')
  })

  it('at once and in few words, however much there is to complain of', async () => {
    const keys = Object.fromEntries(linesOf(10_000, 'k').map((key) => [key, 1]))
    const answer = await refused('/generate', { model, prompt: 'a', split: keys })
    expect(problemIn(answer, 'request_invalid').length).toBeLessThan(5_000)
    const word = 'lines'.repeat(40_000)
    const long = await refused('/generate', { model, prompt: 'a', split: { by: word } })
    expect(problemIn(long, 'request_invalid').length).toBeLessThan(1_000)
    const combine = await refused('/generate', { model, prompt: 'a', split: true, combine: keys })
    expect(problemIn(combine, 'request_invalid').length).toBeLessThan(5_000)
    // Keys of the request itself were each compared with all there are: a body full of them stopped everybody for
    // seconds, and a single long one for ever.
    const own = await refused('/generate', { model, prompt: 'a', ...keys })
    expect(problemIn(own, 'request_invalid').length).toBeLessThan(5_000)
    const one = await refused('/generate', { model, prompt: 'a', [word]: 1 })
    expect(problemIn(one, 'request_invalid').length).toBeLessThan(1_000)
    const tookMs = [answer, long, combine, own, one].map((each) => each.tookMs)
    expect(Math.max(...tookMs)).toBeLessThan(1_000)
  })
})

describe('an input that is not cut', () => {
  it.each([
    ['no larger than one part', { commands: 'one\ntwo', split: true }],
    ['of one item', { input: ['one'], split: true }],
    ['of one line without an end', { prompt: 'one', split: { by: 'lines', size: 1 } }],
  ])('%s is answered whole, and that is said', async (_name, body) => {
    const before = promptsOf(fleet).length
    const { status, fields } = await askSplit(fleet.url, body)
    expect(status).toBe(200)
    expect(fields.split).toMatchObject({ parts: 1, failed: [] })
    expect(fields.split.note).toContain('not split')
    expect(fields.response).not.toBe('')
    expect(promptsOf(fleet).length).toBe(before + 1)
  })

  it('says so in a stream as well', async () => {
    const body = { model, prompt: 'one', split: true, stream: true }
    const answer = await wholeCall(`${fleet.url}/generate`, { body })
    const last = JSON.parse(answer.lines.at(-1)!) as { split: { note: string } }
    expect(last.split.note).toContain('not split')
  })
})

const messages = [{ role: 'user', content: text }]
const bodyOf = (path: string) =>
  path.endsWith('chat') ? { model, messages } : { model, prompt: text }

describe.each(['/api/generate', '/api/chat'])('X-Chasqui-Split on %s', (path) => {
  it.each([
    ['by=line', 'did you mean "lines"?'],
    ['by=items', 'items needs an array'],
    ['size', 'is written like "by=lines; size=10"'],
    ['size=', 'is written like'],
    ['size=1=2', 'is written like'],
    ['nonsense', 'is written like'],
    ['size=1; size=2', '"size" twice'],
    ['sise=10', 'did you mean "size"?'],
    ['size=0', '"split.size"'],
    ['size=-1', '"split.size"'],
    ['size=ten', '"split.size"'],
    ['size=5; overlap=5', 'must be smaller'],
    ['max_parallel=10001', '"split.max_parallel"'],
    ['combine=concatt', 'did you mean "concat"?'],
    ['on_error=maybe', '"on_error"'],
    ['by=lines, size=10', 'is written like'],
  ])('%s is refused in the shape of Ollama', async (header, said) => {
    const answer = await refused(path, bodyOf(path), { 'x-chasqui-split': header })
    expect(ollamaIn(answer, 400)).toContain(said)
  })

  it('is refused for what is no text, no JSON, has no model, or one that nobody has', async () => {
    const headers = { 'x-chasqui-split': 'by=lines' }
    const with_ = (content: string) =>
      path.endsWith('chat')
        ? { model, messages: [{ role: 'user', content }] }
        : { model, prompt: content }
    expect(ollamaIn(await refused(path, with_('a\0b'), headers), 400)).toContain('NUL')
    expect(ollamaIn(await refused(path, with_('a\ud83d'), headers), 400)).toContain('surrogate')
    const body = Buffer.from(JSON.stringify(with_('MARK')))
    body[body.indexOf('MARK')] = 0xc0
    expect(ollamaIn(await refused(path, body, headers), 400)).toContain('UTF-8')
    for (const none of ['', '{"model', '[]', '"text"'])
      expect(ollamaIn(await refused(path, none, headers), 400)).not.toBe('')
    ollamaIn(await refused(path, { ...bodyOf(path), model: undefined }, headers), 400)
    const unknown = { ...bodyOf(path), model: 'nobody-has-this' }
    expect(ollamaIn(await refused(path, unknown, headers), 404)).toContain('nobody-has-this')
    const tooLarge = with_(`short\n${'long '.repeat(8_000)}`)
    expect(ollamaIn(await refused(path, tooLarge, headers), 400)).toContain('line 2 has about')
  })

  it('false asks for nothing', async () => {
    const answer = await wholeCall(fleet.url + path, {
      body: { ...bodyOf(path), stream: false },
      headers: { 'x-chasqui-split': ' False ' },
    })
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.text)).not.toHaveProperty('split')
  })
})

describe('X-Chasqui-Split', () => {
  const headers = { 'x-chasqui-split': 'by=lines' }
  const user = { role: 'user', content: text }
  const tool = { type: 'function', function: { name: 'f', parameters: {} } }

  it.each([
    ['tools', { messages: [user], tools: [tool] }, 'tools'],
    ['an image', { messages: [{ ...user, images: ['aGVsbG8='] }] }, 'images'],
    [
      'an image in an earlier message',
      { messages: [{ ...user, images: ['aGVsbG8='] }, user] },
      'images',
    ],
    ['no message', { messages: [] }, 'no message of the user'],
    ['no message of the user', { messages: [{ role: 'system', content: 'x' }] }, 'of the user'],
    ['nothing in it', { messages: [{ role: 'user', content: '' }] }, 'no message of the user'],
    ['no messages', {}, '"messages" must be an array'],
    ['a message that is none', { messages: [null] }, 'no message of the user'],
  ])('is refused for a chat with %s', async (_name, body, said) => {
    const answer = await refused('/api/chat', { model, ...body }, headers)
    expect(ollamaIn(answer, 400)).toContain(said)
  })

  it.each([
    ['images', { prompt: text, images: ['aGVsbG8='] }, '"images" can not be split'],
    ['an empty prompt', { prompt: '' }, 'no "prompt"'],
    ['no prompt', {}, 'no "prompt"'],
  ])('is refused for a prompt with %s', async (_name, body, said) => {
    const answer = await refused('/api/generate', { model, ...body }, headers)
    expect(ollamaIn(answer, 400)).toContain(said)
  })

  it.each([
    ['/v1/chat/completions', { messages }],
    ['/v1/completions', { prompt: text }],
    ['/v1/messages', { messages, max_tokens: 10 }],
    ['/v1/embeddings', { input: ['a'] }],
    ['/api/embed', { input: ['a'] }],
  ])('is refused on %s, in its own shape', async (path, body) => {
    const answer = await refused(path, { model, ...body }, headers)
    expect(answer.status).toBe(400)
    const { error, type } = JSON.parse(answer.text) as { error: unknown; type?: string }
    const sentence = 'X-Chasqui-Split is for POST /api/generate and POST /api/chat'
    if (path.startsWith('/api/')) expect(error).toBe(sentence)
    else expect(error).toMatchObject({ message: sentence, type: expect.stringMatching(/_error$/) })
    expect(type).toBe(path === '/v1/messages' ? 'error' : undefined)
  })
})
