import Anthropic from '@anthropic-ai/sdk'
import { Ollama } from 'ollama'
import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Fleet } from '../help/fleet.ts'
import { gather } from '../help/gather.ts'
import { kindsFleet, type RoutePath, routes, tell, textAt } from './continuing-fleet.ts'

const model = 'm-continues'
let fleet: Fleet

beforeAll(async () => {
  fleet = await kindsFleet({}, [model])
})
afterAll(async () => await fleet[Symbol.asyncDispose]())
beforeEach(() => {
  for (const { faults } of fleet.simulators) faults.clear()
})

/** The fault-free answer, and what a client gets when its first backend breaks off behind so many frames. */
async function both(path: RoutePath, more: Readonly<Record<string, unknown>>, chunks: number) {
  const route = routes[path]
  const [a, b] = fleet.simulators
  const body = route.body(model, 'tell me', more)
  const whole = await tell(b!.url, route, body)
  a!.faults.replace([{ kind: 'reset-after-chunks', chunks, path, count: 1 }])
  for (const simulator of [a!, b!]) simulator.clearTrace()
  const told = await tell(fleet.url, route, body)
  expect(told.text).toBe(whole.text)
  expect(told.thinking).toBe(whole.thinking)
  expect(told.errors).toEqual([])
  expect(
    a!
      .trace()
      .map(({ cancelReason = '' }) => cancelReason)
      .join(),
  ).toContain('fault: reset')
  const legs = b!.trace().filter(({ end }) => end !== undefined)
  return { whole, told, legPrompt: legs.at(-1)?.promptTokens ?? 0 }
}

/** All values that frames have at a key, each once. */
const valuesOf = (frames: readonly Readonly<Record<string, unknown>>[], key: string) => [
  ...new Set(frames.flatMap((frame) => (frame[key] === undefined ? [] : [frame[key]]))),
]
const typesOf = (frames: readonly Readonly<Record<string, unknown>>[]) =>
  frames.map((frame) => frame['type'])
const without = (types: readonly unknown[], delta: string) => types.filter((type) => type !== delta)

/**
 * What the client's own prompt counts. A later leg reads the answer so far as well, which is taken off as the twelve
 * pieces that it came in; the simulator counts a prompt by its characters, so there it is not the first leg's number.
 */
const promptOf = (more: object, wanted: unknown, legPrompt: number) =>
  'temperature' in more ? wanted : legPrompt - 12

/** The output to the token; the prompt where a leg has read nothing else. */
function expectUsage(told: unknown, wanted: unknown, more: object): void {
  if ('temperature' in more) return expect(told).toEqual(wanted)
  const { completion_tokens, output_tokens } = wanted as Record<string, number>
  expect(told).toMatchObject(
    output_tokens === undefined ? { completion_tokens } : { output_tokens },
  )
}

/** Begun anew, which proves itself, and gone on with behind the text. */
const manners = [
  { manner: 'begun anew', more: { temperature: 0 } },
  { manner: 'gone on with', more: {} },
]

describe.each(manners)('an answer that was $manner elsewhere is one answer', ({ more }) => {
  it.each(['/api/chat', '/api/generate'] as const)('on %s', async (path) => {
    const { whole, told, legPrompt } = await both(path, more, 12)
    const [last, wanted] = [told.frames.at(-1)!, whole.frames.at(-1)!]
    expect(valuesOf(told.frames, 'model')).toEqual([model])
    expect(told.frames.filter(({ done }) => done === true)).toHaveLength(1)
    expect(last).toMatchObject({
      done_reason: 'stop',
      prompt_eval_count: promptOf(more, wanted['prompt_eval_count'], legPrompt),
      eval_count: wanted['eval_count'],
    })
    const { total_duration, eval_duration } = last as Record<string, number>
    expect(total_duration).toBeGreaterThanOrEqual(eval_duration!)
    // Tokens of a conversation that no single leg has said are not known.
    if (!('temperature' in more)) expect(last['context']).toBeUndefined()
    else expect(last['context']).toEqual(wanted['context'])
  })

  it('on /v1/chat/completions', async () => {
    const stream = { ...more, stream_options: { include_usage: true } }
    const { whole, told } = await both('/v1/chat/completions', stream, 12)
    for (const key of ['id', 'created', 'model', 'object', 'system_fingerprint'])
      expect(valuesOf(told.frames, key), key).toHaveLength(1)
    const roles = (frames: typeof told.frames) =>
      frames.filter((frame) => textAt(frame, 'choices', 0, 'delta', 'role') !== '').length
    expect(roles(told.frames)).toBe(roles(whole.frames))
    expect(told.ends).toBe(1)
    expectUsage(told.frames.at(-1)!['usage'], whole.frames.at(-1)!['usage'], more)
    expect(told.answer.text.endsWith('data: [DONE]\n\n')).toBe(true)
  })

  it('on /v1/completions', async () => {
    const stream = { ...more, stream_options: { include_usage: true } }
    const { whole, told } = await both('/v1/completions', stream, 12)
    for (const key of ['id', 'created', 'model', 'object'])
      expect(valuesOf(told.frames, key), key).toHaveLength(1)
    expect(told.ends).toBe(1)
    expectUsage(told.frames.at(-1)!['usage'], whole.frames.at(-1)!['usage'], more)
  })

  it('on /v1/messages', async () => {
    const { whole, told } = await both('/v1/messages', more, 12)
    const types = without(typesOf(told.frames), 'content_block_delta')
    expect(types).toEqual(without(typesOf(whole.frames), 'content_block_delta'))
    expect(valuesOf(told.frames, 'index')).toEqual([0])
    const delta = (frames: typeof told.frames) =>
      frames.find(({ type }) => type === 'message_delta')
    const { usage, ...last } = delta(told.frames)!
    const { usage: wanted, ...wantedLast } = delta(whole.frames)!
    expect(last).toEqual(wantedLast)
    expectUsage(usage, wanted, more)
  })

  it('on /v1/responses', async () => {
    const { whole, told } = await both('/v1/responses', more, 14)
    const delta = 'response.output_text.delta'
    expect(without(typesOf(told.frames), delta)).toEqual(without(typesOf(whole.frames), delta))
    expect(told.frames.map((frame) => frame['sequence_number'])).toEqual(
      told.frames.map((_, index) => index),
    )
    expect(valuesOf(told.frames, 'item_id')).toHaveLength(1)
    const response = (frame: unknown) =>
      (frame as { response: { id: string; output: unknown[]; usage: unknown } }).response
    const [first, last] = [response(told.frames[0]), response(told.frames.at(-1))]
    const wanted = response(whole.frames.at(-1))
    expect(last.id).toBe(first.id)
    expectUsage(last.usage, wanted.usage, more)
    expect(JSON.stringify(last.output)).toContain(JSON.stringify(told.text))
  })

  it.each([
    ['/api/chat', 'options', 'num_predict'],
    ['/api/generate', 'options', 'num_predict'],
    ['/v1/chat/completions', undefined, 'max_tokens'],
    ['/v1/completions', undefined, 'max_tokens'],
    ['/v1/messages', undefined, 'max_tokens'],
    ['/v1/responses', undefined, 'max_output_tokens'],
  ] as const)('no longer than its limit on %s', async (path, nested, key) => {
    // Also with all of it said, and only the end missing.
    for (const chunks of [15, 20]) {
      const limit = nested ? { [nested]: { ...more, [key]: 20 } } : { ...more, [key]: 20 }
      const { whole, told } = await both(path, limit, chunks)
      expect(told.ends).toBe(1)
      expect(endOf(told.frames)).toEqual(endOf(whole.frames))
    }
  })

  it.each(['/api/chat', '/v1/chat/completions', '/v1/messages'] as const)(
    'and ends before a stop string on %s, wherever it broke',
    async (path) => {
      const route = routes[path]
      const { text } = await tell(fleet.simulators[1]!.url, route, route.body(model, 'tell me'))
      // Over the border of two words, and in the middle of them.
      const stop = text.slice(48, 60)
      const given = {
        '/api/chat': { options: { ...more, stop: [stop] } },
        '/v1/chat/completions': { ...more, stop: [stop] },
        '/v1/messages': { ...more, stop_sequences: [stop] },
      }[path]
      for (const chunks of [5, 6, 7, 8, 9, 10, 11]) {
        const { whole, told } = await stopped(path, given, chunks)
        expect(told.text).toBe(whole.text)
        expect(told.text).not.toContain(stop)
        expect(told.ends).toBe(1)
      }
    },
  )
})

/** As `both`, where the answer may be over before it breaks. */
async function stopped(path: RoutePath, more: Readonly<Record<string, unknown>>, chunks: number) {
  const route = routes[path]
  const [a, b] = fleet.simulators
  const body = route.body(model, 'tell me', more)
  const whole = await tell(b!.url, route, body)
  a!.faults.replace([{ kind: 'reset-after-chunks', chunks, path, count: 1 }])
  return { whole, told: await tell(fleet.url, route, body) }
}

/** Why an answer ended, in whichever words. */
function endOf(frames: readonly Readonly<Record<string, unknown>>[]): string[] {
  return frames.flatMap((frame) => {
    const reason =
      textAt(frame, 'done_reason') ||
      textAt(frame, 'choices', 0, 'finish_reason') ||
      textAt(frame, 'delta', 'stop_reason') ||
      textAt(frame, 'response', 'incomplete_details', 'reason')
    return reason === '' ? [] : [reason]
  })
}

describe('the official clients notice nothing', () => {
  const messages = [{ role: 'user' as const, content: 'tell me' }]
  const broken = (path: string) => {
    fleet.simulators[0]!.faults.replace([
      { kind: 'reset-after-chunks', chunks: 12, path, count: 1 },
      // A whole answer that is cut short.
      { kind: 'wrong-content-length', path, skip: 1, count: 1 },
    ])
  }
  const isUsedUp = () =>
    expect(fleet.simulators[0]!.faults.list().filter(({ count = 0 }) => count > 0)).toEqual([])

  it('of ollama', async () => {
    const ask = { model, messages }
    const whole = await new Ollama({ host: fleet.simulators[1]!.url }).chat(ask)
    const client = new Ollama({ host: fleet.url })
    broken('/api/chat')
    const parts = await gather(await client.chat({ ...ask, stream: true }))
    expect(parts.map(({ message }) => message.content).join('')).toBe(whole.message.content)
    expect(parts.at(-1)).toMatchObject({ done: true, eval_count: whole.eval_count })
    expect((await client.chat(ask)).message.content).toBe(whole.message.content)
    isUsedUp()
  })

  it('of openai', async () => {
    const ask = { model, messages }
    const there = new OpenAI({ baseURL: `${fleet.simulators[1]!.url}/v1`, apiKey: 'any' })
    const client = new OpenAI({ baseURL: `${fleet.url}/v1`, apiKey: 'any', maxRetries: 0 })
    const whole = await there.chat.completions.create(ask)
    broken('/v1/chat/completions')
    const final = await client.chat.completions.stream(ask).finalChatCompletion()
    expect(final.choices[0]!.message.content).toBe(whole.choices[0]!.message.content)
    expect(final.choices[0]!.finish_reason).toBe('stop')
    const again = await client.chat.completions.create(ask)
    expect(again.choices[0]!.message.content).toBe(whole.choices[0]!.message.content)
    isUsedUp()

    broken('/v1/responses')
    const input = { model, input: 'tell me' }
    const said = await there.responses.create(input)
    const streamed = await client.responses.stream(input).finalResponse()
    expect(streamed.output_text).toBe(said.output_text)
    expect((await client.responses.create(input)).output_text).toBe(said.output_text)
    isUsedUp()
  })

  it('of anthropic', async () => {
    const ask = { model, messages, max_tokens: 500 }
    const there = new Anthropic({ baseURL: fleet.simulators[1]!.url, apiKey: 'any' })
    const client = new Anthropic({ baseURL: fleet.url, apiKey: 'any', maxRetries: 0 })
    const whole = await there.messages.create(ask)
    broken('/v1/messages')
    const final = await client.messages.stream(ask).finalMessage()
    expect(final.content).toEqual(whole.content)
    expect(final.usage).toMatchObject({ output_tokens: whole.usage.output_tokens })
    expect((await client.messages.create(ask)).content).toEqual(whole.content)
    isUsedUp()
  })
})

// A connection that was lost behind the last line, before the transfer's end, counted as an answer broken off. Another
// backend was asked to go on with what was whole, and the client of /v1/responses had its end twice.
describe('an answer that is whole when its connection is lost', () => {
  it.each(Object.keys(routes) as RoutePath[])('is not gone on with on %s', async (path) => {
    const route = routes[path]
    const [a, b] = fleet.simulators
    const body = route.body(model, 'tell me')
    const whole = await tell(b!.url, route, body)
    a!.faults.replace([{ kind: 'reset-at-end', path }])
    for (const simulator of [a!, b!]) simulator.clearTrace()
    const told = await tell(fleet.url, route, body)
    expect(told).toMatchObject({ text: whole.text, ends: 1, errors: [] })
    expect(told.frames).toHaveLength(whole.frames.length)
    expect(a!.trace().map(({ cancelReason }) => cancelReason)).toContain('fault: reset at the end')
    expect(b!.trace().filter(({ route: asked }) => asked === path)).toEqual([])
  })
})
