import Anthropic from '@anthropic-ai/sdk'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { gather } from '../help/gather.ts'
import { type Herd, startHerd } from '../help/herd.ts'

let herd: Herd
let client: Anthropic

const ask = {
  model: 'llama3.2',
  max_tokens: 200,
  messages: [{ role: 'user' as const, content: 'Why is the sky blue?' }],
}

beforeAll(async () => {
  herd = await startHerd({
    simulators: [
      ['--models', 'llama3.2'],
      ['--models', 'qwen3'],
    ],
  })
  client = new Anthropic({ baseURL: herd.url, apiKey: 'anything', maxRetries: 0 })
}, 60_000)
afterAll(() => herd[Symbol.asyncDispose]())
beforeEach(() => herd.remotes[0]!.faults())

test('a message comes whole', async () => {
  const message = await client.messages.create(ask)
  expect(message).toMatchObject({ type: 'message', role: 'assistant', stop_reason: 'end_turn' })
  expect(message.content[0]!.type).toBe('text')
  expect(message.usage.output_tokens).toBeGreaterThan(0)
})

test('a streamed message is put together to the same text', async () => {
  const whole = await client.messages.create(ask)
  const pieces: string[] = []
  const run = client.messages.stream(ask).on('text', (piece) => pieces.push(piece))
  const final = await run.finalMessage()
  expect(pieces.length).toBeGreaterThan(3)
  expect(final.content).toEqual(whole.content)
  expect(final.stop_reason).toBe('end_turn')
})

test('events come in the order that the protocol has', async () => {
  const events = await gather(await client.messages.create({ ...ask, stream: true }))
  const types = events.map(({ type }) => type)
  expect(types[0]).toBe('message_start')
  expect(types.slice(-2)).toEqual(['message_delta', 'message_stop'])
})

test('an unknown model is a NotFoundError in the shape of the family', async () => {
  for (const stream of [false, true]) {
    const error: unknown = await client.messages
      .create({ ...ask, model: 'nobody-has-this', stream })
      .catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(Anthropic.NotFoundError)
    expect(error).toMatchObject({
      status: 404,
      error: {
        type: 'error',
        error: { type: 'not_found_error', message: "model 'nobody-has-this' not found" },
        request_id: expect.stringMatching(/^req_[0-9a-f]{24}$/),
      },
    })
  }
})

test('what is missing in a request is said as Ollama says it', async () => {
  const error: unknown = await client.messages
    .create({ ...ask, max_tokens: 0 })
    .catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(Anthropic.BadRequestError)
  expect(error).toMatchObject({
    error: { error: { message: 'max_tokens is required and must be positive' } },
  })
})

test.each([
  ['the connection breaks', 'reset-after-chunks' as const],
  ['the stream ends without its end', 'end-after-chunks' as const],
  ['the runner dies', 'crash-after-chunks' as const],
])('when %s in the middle of a message, the library raises', async (_, kind) => {
  await herd.remotes[0]!.faults({ kind, chunks: 5, count: 1 })
  const stream = await client.messages.create({ ...ask, stream: true })
  let text = ''
  const reading = (async () => {
    for await (const event of stream)
      if (event.type === 'content_block_delta' && event.delta.type === 'text_delta')
        text += event.delta.text
  })()
  await expect(reading).rejects.toBeInstanceOf(Anthropic.APIError)
  expect(text).not.toBe('')
})

test('the helper that collects a message raises as well', async () => {
  await herd.remotes[0]!.faults({ kind: 'reset-after-chunks', chunks: 5, count: 1 })
  await expect(client.messages.stream(ask).finalMessage()).rejects.toBeInstanceOf(
    Anthropic.AnthropicError,
  )
})
