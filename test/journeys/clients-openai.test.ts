import OpenAI from 'openai'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { gather } from '../help/gather.ts'
import { type Herd, startHerd } from '../help/herd.ts'
import { until } from '../help/until.ts'

let herd: Herd
let client: OpenAI
/** Tells of every try; the backend is found in the answers. */
let hasty: OpenAI

const messages = [{ role: 'user' as const, content: 'Why is the sky blue?' }]

beforeAll(async () => {
  herd = await startHerd({
    simulators: [
      ['--models', 'llama3.2,all-minilm', '--slots', '2'],
      ['--models', 'qwen3,all-minilm'],
    ],
  })
  const baseURL = `${herd.url}/v1`
  client = new OpenAI({ baseURL, apiKey: 'anything' })
  hasty = new OpenAI({ baseURL, apiKey: 'anything', maxRetries: 0 })
}, 60_000)
afterAll(() => herd[Symbol.asyncDispose]())
beforeEach(async () => {
  for (const each of herd.remotes) {
    await each.faults()
    await each.clearTrace()
  }
})

test('a chat completion comes whole', async () => {
  const answer = await client.chat.completions.create({ model: 'llama3.2', messages })
  expect(answer.choices[0]!.message.role).toBe('assistant')
  expect(answer.choices[0]!.finish_reason).toBe('stop')
  expect(answer.usage!.completion_tokens).toBeGreaterThan(0)
})

test('a chat stream brings the same text in pieces, then the usage', async () => {
  const whole = await client.chat.completions.create({ model: 'llama3.2', messages })
  const stream = await client.chat.completions.create({
    model: 'llama3.2',
    messages,
    stream: true,
    stream_options: { include_usage: true },
  })
  const chunks = await gather(stream)
  const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('')
  expect(text).toBe(whole.choices[0]!.message.content)
  expect(chunks.at(-1)!.usage).toEqual(whole.usage)
})

test('the streaming helper of the library is content with the frames', async () => {
  const run = client.chat.completions.stream({ model: 'qwen3', messages })
  const final = await run.finalChatCompletion()
  expect(final.choices[0]!.finish_reason).toBe('stop')
})

test('completions answer whole and as a stream', async () => {
  const ask = { model: 'llama3.2', prompt: 'Once upon a time' }
  const whole = await client.completions.create(ask)
  const chunks = await gather(await client.completions.create({ ...ask, stream: true }))
  expect(chunks.map(({ choices }) => choices[0]?.text ?? '').join('')).toBe(whole.choices[0]!.text)
})

test('embeddings are the same as numbers and as base64', async () => {
  const ask = { model: 'all-minilm', input: ['one', 'two'] }
  const floats = await client.embeddings.create({ ...ask, encoding_format: 'float' })
  expect(floats.data.map(({ index }) => index)).toEqual([0, 1])
  const coded = await client.embeddings.create({ ...ask, encoding_format: 'base64' })
  // The library's type says numbers for both.
  const text = coded.data[1]!.embedding as unknown as string
  const bytes = Buffer.from(text, 'base64')
  const numbers = floats.data[1]!.embedding.map((_, index) => bytes.readFloatLE(index * 4))
  expect(numbers).toHaveLength(bytes.length / 4)
  for (const [index, number] of numbers.entries())
    expect(number).toBeCloseTo(floats.data[1]!.embedding[index]!, 5)
  // What the library asks for when nobody says: base64, made into numbers by itself.
  const plain = await client.embeddings.create(ask)
  expect(plain.data[0]!.embedding).toHaveLength(numbers.length)
})

test('models are listed over the fleet, and one is found wherever it is', async () => {
  const { data } = await client.models.list()
  expect(data.map(({ id }) => id).sort()).toEqual([
    'all-minilm:latest',
    'llama3.2:latest',
    'qwen3:latest',
  ])
  expect(await client.models.retrieve('qwen3')).toMatchObject({
    id: 'qwen3',
    object: 'model',
    owned_by: 'library',
  })
})

test('a response streams to response.completed', async () => {
  const stream = await client.responses.create({ model: 'llama3.2', input: 'hi', stream: true })
  const events = await gather(stream)
  expect(events[0]!.type).toBe('response.created')
  expect(events.at(-1)!.type).toBe('response.completed')
  const text = events
    .flatMap((event) => (event.type === 'response.output_text.delta' ? [event.delta] : []))
    .join('')
  const whole = await client.responses.create({ model: 'llama3.2', input: 'hi' })
  expect(text).toBe(whole.output_text)
})

test('an unknown model is a NotFoundError in the shape of the family', async () => {
  const model = 'nobody-has-this'
  const calls = [
    () => client.chat.completions.create({ model, messages }),
    () => client.chat.completions.create({ model, messages, stream: true }),
    () => client.completions.create({ model, prompt: 'hi' }),
    () => client.embeddings.create({ model, input: 'hi' }),
    () => client.responses.create({ model, input: 'hi' }),
    () => client.models.retrieve(model),
  ]
  for (const call of calls) {
    const error: unknown = await call().catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(OpenAI.NotFoundError)
    expect(error).toMatchObject({
      status: 404,
      error: { type: 'not_found_error', param: null, message: expect.stringMatching(/not found/) },
    })
  }
})

test('a fault of the client is told in the words of the backend', async () => {
  const error: unknown = await client.chat.completions
    .create({ model: 'llama3.2', messages: [] })
    .catch((caught: unknown) => caught)
  expect(error).toBeInstanceOf(OpenAI.BadRequestError)
  expect(error).toMatchObject({ error: { message: "[] is too short - 'messages'" } })
})

test.each([
  ['the connection breaks', { kind: 'reset-after-chunks' as const, chunks: 3, count: 1 }],
  ['the stream ends without its end', { kind: 'end-after-chunks' as const, chunks: 3, count: 1 }],
])('when %s in the middle of a chat, the library throws', async (_, fault) => {
  await herd.remotes[1]!.faults(fault)
  const stream = await hasty.chat.completions.create({ model: 'qwen3', messages, stream: true })
  let text = ''
  const reading = (async () => {
    for await (const { choices } of stream) text += choices[0]?.delta.content ?? ''
  })()
  await expect(reading).rejects.toBeInstanceOf(OpenAI.APIError)
  expect(text).not.toBe('')
})

test('completions and responses that break in the middle throw as well', async () => {
  const fault = { kind: 'reset-after-chunks' as const, chunks: 6, count: 1 }
  await herd.remotes[1]!.faults(fault)
  const pieces = await hasty.completions.create({ model: 'qwen3', prompt: 'Tell', stream: true })
  await expect(gather(pieces)).rejects.toBeInstanceOf(OpenAI.APIError)
  await herd.remotes[1]!.faults(fault)
  const events = await hasty.responses.create({ model: 'qwen3', input: 'Tell', stream: true })
  await expect(gather(events)).rejects.toBeInstanceOf(OpenAI.APIError)
})

test('an answer in one piece that breaks is an error, not half an answer', async () => {
  await herd.remotes[1]!.faults({ kind: 'wrong-content-length' })
  const call = hasty.chat.completions.create({ model: 'qwen3', messages })
  await expect(call).rejects.toBeInstanceOf(OpenAI.APIError)
  await herd.remotes[1]!.faults()
})

test('503 carries Retry-After, and the library tries again by itself', async () => {
  const qwen = herd.remotes[1]!
  await until(async () => (await herd.status()).active_backends === 2)
  await qwen.faults({ kind: 'busy', count: 1, path: '/v1/chat/completions' })
  const refusal = await hasty.chat.completions
    .create({ model: 'qwen3', messages })
    .catch((caught: unknown) => caught)
  expect(refusal).toBeInstanceOf(OpenAI.InternalServerError)
  const headers = (refusal as InstanceType<typeof OpenAI.APIError>).headers!
  expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)

  await qwen.clearTrace()
  await qwen.faults({ kind: 'busy', count: 1, path: '/v1/chat/completions' })
  const answer = await client.chat.completions.create({ model: 'qwen3', messages })
  expect(answer.choices[0]!.finish_reason).toBe('stop')
  const calls = (await qwen.trace()).filter(({ route }) => route === '/v1/chat/completions')
  expect(calls.map(({ status }) => status)).toEqual([503, 200])
})

test('an abort in the middle stops the backend', async () => {
  const qwen = herd.remotes[1]!
  await qwen.faults({ kind: 'trickle', ms: 20 })
  const stream = await client.chat.completions.create({ model: 'qwen3', messages, stream: true })
  let pieces = 0
  for await (const _ of stream) if (++pieces === 3) stream.controller.abort()
  await until(async () => (await qwen.trace()).some(({ cancelReason }) => cancelReason))
  await until(async () => (await herd.status()).in_flight === 0)
})
