/** How later legs end: whole, broken once more, or with an error; and what the seam makes of their text. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Simulator } from '../../../backends/simulator/server.ts'
import {
  type NextRequest,
  type Seam,
  SeamDiverged,
} from '../../../src/dialects/continuing/continuing.ts'
import { isCrashText } from '../../../src/dialects/continuing/crash.ts'
import { textIn } from './compare.ts'
import {
  allKinds,
  continuing,
  dropping,
  fastSimulator,
  feedAll,
  framesIn,
  goOn,
  type Json,
  type Kind,
  kinds,
  nameIn,
  passing,
  post,
  requestFor,
  saysIn,
} from './harness.ts'

let simulator: Simulator
beforeAll(async () => {
  simulator = await fastSimulator({ toolCalls: 'when-asked' })
})
afterAll(() => simulator.close())

const question = 'Why is the sky blue?'

async function broken(kind: Kind, cut = 9, more: Json = {}) {
  const body = kind.body(question, more)
  const whole = framesIn(await post(simulator.url, kind.path, body), kind.sse)
  const had = whole.slice(0, cut)
  const { emitted, request } = requestFor(kind, body, had, { method: 'trailing' })
  if ('cannot' in request) throw new Error(request.cannot)
  const heard = framesIn(
    await post(simulator.url, request.path, request.body),
    request.path.startsWith('/v1/'),
  )
  const feed = (frames: readonly Buffer[], seam: Seam = passing()) =>
    feedAll(kind, emitted, request, frames, { method: 'trailing', seam })
  return { body, whole, had, emitted, request, heard, feed }
}

const crash = 'an error was encountered while running the model: unexpected EOF'
const own = 'the model "x" said something that can not be read'

/** An error as the path of a leg tells it inside of its stream. */
function errorOf(request: NextRequest, message: string): Buffer {
  if (request.path.startsWith('/api/'))
    return Buffer.from(`${JSON.stringify({ error: message })}\n`)
  if (request.path === '/v1/messages')
    return Buffer.from(
      `event: error\ndata: ${JSON.stringify({ type: 'error', error: { type: 'api_error', message } })}\n\n`,
    )
  const error = { message, type: 'api_error' }
  const name = request.path === '/v1/responses' ? 'event: error\n' : ''
  return Buffer.from(`${name}data: ${JSON.stringify({ type: 'error', error })}\n\n`)
}

describe.each(allKinds)('a later leg of $name', (kind) => {
  it('is unfinished when it ends without its last word', async () => {
    const { heard, feed } = await broken(kind)
    for (let cut = 0; cut < heard.length - 1; cut++) {
      const gone = feed(heard.slice(0, cut))
      expect(gone.end).toEqual({ kind: 'unfinished' })
      expect(gone.over).toBe(false)
    }
  })

  it('is unfinished when its runner dies, and the client is not told', async () => {
    const { request, heard, feed } = await broken(kind)
    const gone = feed([...heard.slice(0, 6), errorOf(request, crash), ...heard.slice(6)])
    expect(gone.end).toEqual({ kind: 'unfinished' })
    expect(gone.frames).toEqual(feed(heard.slice(0, 6)).frames)
  })

  it('ends with an error that is nobody’s death, in the words of the client’s own language', async () => {
    const { request, heard, feed } = await broken(kind)
    const gone = feed([...heard.slice(0, 6), errorOf(request, own)])
    expect(gone.over).toBe(true)
    expect(gone.end.kind).toBe('error')
    if (gone.end.kind !== 'error') return
    expect(gone.end.message).toBe(own)
    const said = saysIn(gone.end.frames) as Json
    expect(JSON.stringify(said['error'])).toContain('can not be read')
    expect(gone.end.frames.toString('utf8').endsWith(kind.sse ? '\n\n' : '\n')).toBe(true)
  })

  it('is unfinished when it can not be read', async () => {
    const { request, heard, feed } = await broken(kind)
    const garbled = request.path.startsWith('/v1/') ? 'data: {"hal\n\n' : '{"hal\n'
    const gone = feed([...heard.slice(0, 6), Buffer.from(garbled), ...heard.slice(6)])
    expect(gone.end).toEqual({ kind: 'unfinished' })
    expect(gone.over).toBe(true)
  })

  it('says nothing of what the seam keeps', async () => {
    const { heard, feed } = await broken(kind)
    const mute: Seam = {
      text: () => '',
      thinking: () => '',
      end: () => ({ text: '', thinking: '' }),
    }
    const gone = feed(heard, mute)
    expect(textIn(gone.frames)).toBe('')
    expect(gone.end).toEqual({ kind: 'done' })
    expect(gone.frames.some((frame) => /delta"$/.test(nameIn(frame)))).toBe(false)
  })

  it('says what the seam changed and what it held to the end', async () => {
    const { whole, had, heard, feed } = await broken(kind)
    let held = ''
    let calls = 0
    const late: Seam = {
      text(piece) {
        // Every second piece is kept until the next one.
        held += piece
        if (++calls % 2 === 1) return ''
        const out = held
        held = ''
        return out
      },
      thinking: (piece) => piece,
      end() {
        const text = held
        held = 'said twice'
        return { text: `${text}!`, thinking: '' }
      },
    }
    const gone = feed(heard, late)
    const rest = textIn(whole).slice(textIn(had).length)
    expect(textIn(gone.frames)).toBe(`${rest}!`)
    expect(gone.end).toEqual({ kind: 'done' })
  })

  it('throws when the seam says that the legs differ, also at the very end', async () => {
    const { emitted, heard, feed } = await broken(kind)
    const at = (seam: Partial<Seam>) => () => feed(heard, { ...passing(), ...seam })
    const diverge = () => {
      throw new SeamDiverged('other words')
    }
    expect(at({ text: diverge })).toThrow(SeamDiverged)
    expect(at({ end: diverge })).toThrow(SeamDiverged)
    expect(() => feed(heard, dropping({ ...emitted, text: 'other words' }))).toThrow(SeamDiverged)
  })

  it('does not ask the seam for its end when it breaks off', async () => {
    const { heard, feed } = await broken(kind)
    const end = () => {
      throw new Error('asked')
    }
    expect(feed(heard.slice(0, -2), { ...passing(), end }).end).toEqual({ kind: 'unfinished' })
  })

  it('knows a stream of nothing but repeats', async () => {
    const body = kind.body(question, { model: 'loops' })
    const stream = framesIn(await post(simulator.url, kind.path, body), kind.sse)
    const { emitted } = requestFor(kind, body, stream, { method: 'trailing' })
    expect(emitted.repeats).toBe(true)
    expect(
      requestFor(kind, body, stream.slice(0, -1), { method: 'trailing' }).emitted.repeats,
    ).toBe(false)
  })
})

const tool = {
  type: 'function',
  function: {
    name: 'weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } } },
  },
}
const callers: readonly [Kind, Json][] = [
  [kinds.chat, { tools: [tool] }],
  [kinds.openai, { tools: [tool] }],
  [kinds.messages, { tools: [{ name: 'weather', input_schema: tool.function.parameters }] }],
  [kinds.responses, { tools: [{ type: 'function', ...tool.function }] }],
]

describe.each(callers)('a call of a tool on $name', (kind, more) => {
  it('bars the way once it has begun', async () => {
    const body = kind.body('use the tool', more)
    const whole = framesIn(await post(simulator.url, kind.path, body), kind.sse)
    const first = whole.findIndex((frame) => /weather/.test(JSON.stringify(withoutEcho(frame))))
    expect(first).toBeGreaterThanOrEqual(0)
    expect(continuing(kind).read(whole.slice(0, first)).bar).toBeUndefined()
    for (let cut = first + 1; cut <= whole.length; cut++) {
      const { emitted, request } = requestFor(kind, body, whole.slice(0, cut), {
        method: 'trailing',
      })
      expect(emitted.bar).toBe('toolCall')
      expect(request).toEqual({ cannot: 'a tool call has begun' })
    }
  })

  it('comes whole out of a later leg, behind the text that was there', async () => {
    // The text is the simulator's own for a request without tools; the call is what another server comes to.
    const body = kind.body('use the tool', more)
    const plain = kind.body('use the tool')
    const had = framesIn(await post(simulator.url, kind.path, plain), kind.sse).slice(0, 9)
    const call = framesIn(await post(simulator.url, kind.path, body), kind.sse)
    const { emitted, request } = requestFor(kind, body, had, { method: 'trailing' })
    const gone = feedAll(kind, emitted, request as NextRequest, call, { method: 'trailing' })
    expect(gone.end).toEqual({ kind: 'done' })
    const joined = [...had, ...gone.frames].map(saysIn).filter((said) => typeof said !== 'string')
    const text = JSON.stringify(joined)
    expect(text).toContain('"weather"')
    if (kind === kinds.messages) {
      const at = (type: string) =>
        joined.filter((said) => said['type'] === type).map((said) => said['index'])
      expect(at('content_block_start')).toEqual([0, 1])
      expect(at('content_block_stop')).toEqual([0, 1])
      expect(text).toContain('"stop_reason":"tool_use"')
    }
    if (kind === kinds.responses) {
      const numbers = joined.map((said) => said['sequence_number'])
      expect(numbers).toEqual(numbers.map((_, at) => at))
      const items = joined
        .filter((said) => said['type'] === 'response.output_item.done')
        .map((said) => [said['output_index'], (said['item'] as Json)['type']])
      expect(items).toEqual([
        [0, 'message'],
        [1, 'function_call'],
      ])
      const last = joined.at(-1)!['response'] as { output: Json[] }
      expect(last.output.map((item) => item['type'])).toEqual(['message', 'function_call'])
    }
    if (kind === kinds.openai) expect(text).toContain('"finish_reason":"tool_calls"')
  })
})

/** What a frame says without the tools that Responses says back. */
function withoutEcho(frame: Buffer): unknown {
  const said = saysIn(frame)
  return typeof said === 'string' || !('response' in said) ? said : {}
}

describe('the last line of /api/generate', () => {
  it('has the context only from a leg that has said the whole answer', async () => {
    const body = kinds.generate.body(question)
    const whole = framesIn(await post(simulator.url, '/api/generate', body), false)
    const had = whole.slice(0, 9)
    const last = async (method: 'trailing' | 'raw' | 'restart') =>
      saysIn(
        (await goOn(simulator, kinds.generate, body, had, { method, rendered: 'r' })).frames.at(
          -1,
        )!,
      )
    expect(await last('restart')).toMatchObject({
      context: (saysIn(whole.at(-1)!) as Json)['context'],
    })
    expect(await last('trailing')).not.toHaveProperty('context')
    expect(await last('raw')).not.toHaveProperty('context')
  })

  it('adds up what is known of the legs before', async () => {
    const body = kinds.generate.body(question)
    const had = framesIn(await post(simulator.url, '/api/generate', body), false).slice(0, 9)
    const before = {
      promptTokens: 77,
      outputTokens: 9,
      totalNs: 1e12,
      loadNs: 2e12,
      promptNs: 3e12,
      outputNs: 4e12,
    }
    const gone = await goOn(simulator, kinds.generate, body, had, { method: 'trailing', before })
    const own = saysIn(gone.heard.at(-1)!) as Record<string, number>
    expect(saysIn(gone.frames.at(-1)!)).toMatchObject({
      prompt_eval_count: 77,
      eval_count: 9 + own['eval_count']!,
      total_duration: 1e12 + own['total_duration']!,
      load_duration: 2e12 + own['load_duration']!,
      eval_duration: 4e12 + own['eval_duration']!,
    })
  })
})

const closing: readonly [Kind, Json, RegExp][] = [
  [kinds.openai, { stream_options: { include_usage: true } }, /"finish_reason":"stop"/],
  [kinds.completions, { stream_options: { include_usage: true } }, /"finish_reason":"stop"/],
  [kinds.messages, {}, /content_block_stop/],
  [kinds.responses, {}, /response\.output_text\.done/],
  [kinds.responses, {}, /response\.output_item\.done/],
]

describe.each(closing)('a text of $name that was closed', (kind, more, closed) => {
  it('takes nothing more, whatever another server would add', async () => {
    const body = kind.body(question, more)
    const whole = framesIn(await post(simulator.url, kind.path, body), kind.sse)
    const had = whole.slice(0, whole.findIndex((frame) => closed.test(frame.toString('utf8'))) + 1)
    const { emitted, request } = requestFor(kind, body, had, { method: 'trailing' })
    if ('cannot' in request) throw new Error(request.cannot)
    expect(request.asked.complete).toBe('said')
    const limits = JSON.parse(request.body.toString('utf8')) as Json
    const limit = limits['max_tokens'] ?? limits['max_output_tokens'] ?? limits['options']
    expect([1, { num_predict: 1 }]).toContainEqual(
      typeof limit === 'object' ? { num_predict: (limit as Json)['num_predict'] } : limit,
    )
    // A server that would have gone on for ever stops at its one token, for its length.
    const heard = framesIn(
      await post(simulator.url, request.path, { ...limits, ...another(limits) }),
      request.path.startsWith('/v1/'),
    )
    expect(textIn(heard)).not.toBe('')
    const gone = feedAll(kind, emitted, request, heard, { method: 'trailing' })
    expect(textIn(gone.frames)).toBe('')
    const said = [...had, ...gone.frames].map((frame) => frame.toString('utf8')).join('')
    expect(said).not.toMatch(/"length"|max_tokens"|"content_block_start".*"index":1/)
    expect(gone.end).toEqual({ kind: 'done' })
  })
})

/** Another conversation, in the field that the request has for it. */
function another(limits: Json): Json {
  const question = [{ role: 'user', content: 'Another question?' }]
  return 'input' in limits ? { input: question } : { messages: question }
}

describe('figures of nothing', () => {
  it('are left out of a last line, as Go does it', async () => {
    const body = kinds.chat.body(question)
    const had = framesIn(await post(simulator.url, '/api/chat', body), false).slice(0, 9)
    const bare = (heard: Buffer[]) =>
      heard.map((frame) => {
        const { prompt_eval_count: _, load_duration: _l, ...rest } = saysIn(frame) as Json
        return Buffer.from(`${JSON.stringify(rest)}\n`)
      })
    const gone = await goOn(simulator, kinds.chat, body, had, { method: 'trailing', answer: bare })
    const last = saysIn(gone.frames.at(-1)!)
    expect(last).toHaveProperty('eval_count')
    expect(last).not.toHaveProperty('prompt_eval_count')
    expect(last).not.toHaveProperty('load_duration')
  })
})

describe('several calls in a later leg of chat completions', () => {
  it('have indices that go on', async () => {
    const kind = kinds.openai
    const body = kind.body('use the tool', { tools: [tool] })
    const had = framesIn(await post(simulator.url, kind.path, kind.body('x')), true).slice(0, 9)
    const call = framesIn(await post(simulator.url, kind.path, body), true)
    const { emitted, request } = requestFor(kind, body, had, { method: 'trailing' })
    const twice = [call[0]!, ...call]
    const gone = feedAll(kind, emitted, request as NextRequest, twice, { method: 'trailing' })
    const indices = gone.frames.flatMap((frame) =>
      [...frame.toString('utf8').matchAll(/"index":(\d+),"type":"function"/g)].map(([, at]) => at),
    )
    expect(indices).toEqual(['0', '1'])
  })
})

describe('an older server', () => {
  it('says the role in every chunk, and so does the leg that goes on for it', async () => {
    await using old = await fastSimulator({ generation: 'old' })
    const kind = kinds.openai
    const body = kind.body(question)
    const whole = framesIn(await post(old.url, kind.path, body), true)
    const roles = (frames: readonly Buffer[]) => frames.filter((frame) => frame.includes('"role"'))
    for (const server of [old, simulator]) {
      const had = whole.slice(0, 9)
      const gone = await goOn(server, kind, body, had, { method: 'trailing' })
      expect(roles([...had, ...gone.frames]).length).toBe(roles(whole).length)
      expect(roles(gone.frames).length).toBe(gone.frames.length - 1)
    }
  })
})

describe('frames in which nothing has to change', () => {
  it.each([kinds.chat, kinds.messages])('are those of the backend on $name', async (kind) => {
    const { heard, feed } = await broken(kind)
    const pieces = (frames: readonly Buffer[]) => frames.filter((frame) => textIn([frame]) !== '')
    expect(pieces(feed(heard).frames)).toEqual(pieces(heard))
  })
})

describe('the words of a crash', () => {
  it('are told from those of a model or a request', () => {
    for (const text of [
      crash,
      'llama-server process has terminated: signal: killed',
      'llama runner process has terminated: exit status 2',
      'timed out waiting for llama-server to start: stalled',
      'model runner has unexpectedly stopped, this may be due to resource limitations or an internal error',
      'unable to load full model on GPU',
      'model requires more system memory (5.0 GiB) than is available (2.0 GiB)',
      'CUDA error: out of memory',
    ])
      expect(isCrashText(text), text).toBe(true)
    for (const text of [own, 'model "x" not found', 'option "num_ctx" must be of type integer', ''])
      expect(isCrashText(text), text).toBe(false)
  })
})
