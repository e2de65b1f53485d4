import Anthropic from '@anthropic-ai/sdk'
import { Ollama } from 'ollama'
import OpenAI from 'openai'
import { expect, test } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { chatText, events, lines, post, sky } from './asking.ts'

test('a native stream is lines of JSON that end in one with figures', async () => {
  await using simulator = await startSimulator()
  const response = await post(simulator, '/api/chat', { model: 'LLama3.2', messages: sky })
  expect(response.headers.get('content-type')).toBe('application/x-ndjson')
  const said = await lines(response)
  const last = said.at(-1)
  expect(said.length).toBeGreaterThan(20)
  expect(said.every(({ model }) => model === 'LLama3.2')).toBe(true)
  expect(said.slice(0, -1).every(({ done }) => done === false)).toBe(true)
  expect(last).toMatchObject({ done: true, done_reason: 'stop', eval_count: said.length - 1 })
  const figure = (name: string) => Number(last?.[name])
  expect(figure('load_duration')).toBeGreaterThan(0)
  expect(figure('total_duration')).toBeGreaterThanOrEqual(
    figure('load_duration') + figure('prompt_eval_duration') + figure('eval_duration'),
  )
})

test('all families and both ways of sending tell the same text', async () => {
  await using simulator = await startSimulator()
  const ollama = new Ollama({ host: simulator.url })
  const openai = new OpenAI({ baseURL: `${simulator.url}/v1`, apiKey: 'none' })
  const anthropic = new Anthropic({ baseURL: simulator.url, apiKey: 'none' })
  const messages = [{ role: 'user' as const, content: 'why is the sky blue?' }]
  const options = { temperature: 1 }

  const chat = await ollama.chat({ model: 'llama3.2', messages, options })
  const text = chat.message.content
  const generated = await ollama.generate({
    model: 'llama3.2',
    prompt: messages[0]?.content ?? '',
    options,
  })
  expect(generated.response).toBe(text)
  expect(await chatText(simulator, 'llama3.2', sky, { options })).toBe(text)

  const whole = await openai.chat.completions.create({ model: 'llama3.2', messages })
  expect(whole.choices[0]?.message.content).toBe(text)
  expect(whole.choices[0]?.finish_reason).toBe('stop')
  let streamed = ''
  for await (const chunk of await openai.chat.completions.create({
    model: 'llama3.2',
    messages,
    stream: true,
    stream_options: { include_usage: true },
  }))
    streamed += chunk.choices[0]?.delta.content ?? ''
  expect(streamed).toBe(text)
  const response = await openai.responses.create({
    model: 'llama3.2',
    input: messages[0]?.content ?? '',
  })
  expect(response.output_text).toBe(text)

  const message = await anthropic.messages.create({ model: 'llama3.2', max_tokens: 500, messages })
  expect(message.content).toEqual([{ type: 'text', text }])
  const final = await anthropic.messages
    .stream({ model: 'llama3.2', max_tokens: 500, messages })
    .finalMessage()
  expect(final.content).toEqual([{ type: 'text', text }])
  expect(final.stop_reason).toBe('end_turn')
})

test('an answer names the words by which suites judge it', async () => {
  await using simulator = await startSimulator()
  expect((await chatText(simulator, 'qwen3')).toLowerCase()).toMatch(/rayleigh|scatter/)
})

test('num_predict and stop only cut the text', async () => {
  await using simulator = await startSimulator()
  const whole = await chatText(simulator, 'llama3.2')
  const said = await lines(
    await post(simulator, '/api/chat', {
      model: 'llama3.2',
      messages: sky,
      options: { num_predict: 4, num_ctx: 1000 },
    }),
  )
  expect(said).toHaveLength(5)
  expect(said.at(-1)?.['done_reason']).toBe('length')
  expect(whole.startsWith(said.map((line) => line.message?.content).join(''))).toBe(true)
  const word = whole.split(' ')[6] ?? ''
  const stopped = await chatText(simulator, 'llama3.2', sky, { options: { stop: [word] } })
  expect(stopped).toBe(whole.slice(0, whole.indexOf(word)))
})

test('SSE ends in a finish, a usage and a DONE', async () => {
  await using simulator = await startSimulator()
  const response = await post(simulator, '/v1/chat/completions', {
    model: 'llama3.2',
    messages: sky,
    stream: true,
    stream_options: { include_usage: true },
  })
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  const said = await events(response)
  expect(said.at(-1)?.data).toBe('[DONE]')
  expect(JSON.parse(said.at(-2)?.data ?? '')).toMatchObject({ choices: [] })
  expect(JSON.parse(said.at(-3)?.data ?? '').choices[0].finish_reason).toBe('stop')
})

test('the events of Responses are numbered and end in response.completed', async () => {
  await using simulator = await startSimulator()
  const said = await events(
    await post(simulator, '/v1/responses', { model: 'llama3.2', input: 'hello', stream: true }),
  )
  expect(said[0]?.event).toBe('response.created')
  expect(said.at(-1)?.event).toBe('response.completed')
  expect(said.map(({ data }) => JSON.parse(data).sequence_number)).toEqual(said.map((_, at) => at))
})

test('tools are called in one chunk, in the shape of each family', async () => {
  await using simulator = await startSimulator()
  const parameters = { type: 'object', properties: { city: { type: 'string' } } }
  const tools = [{ type: 'function', function: { name: 'get_weather', parameters } }]
  const messages = [{ role: 'user', content: 'use the tool for Paris' }]
  const native = await lines(
    await post(simulator, '/api/chat', { model: 'llama3.2', messages, tools }),
  )
  expect(native[0]?.message?.tool_calls).toMatchObject([
    { function: { name: 'get_weather', arguments: { city: expect.any(String) } } },
  ])
  const openai = await post(simulator, '/v1/chat/completions', {
    model: 'llama3.2',
    messages,
    tools,
  })
  const [choice] = ((await openai.json()) as OpenAI.ChatCompletion).choices
  expect(choice?.finish_reason).toBe('tool_calls')
  expect(JSON.stringify(choice?.message.tool_calls)).toContain('"arguments":"{')
  const anthropic = await post(simulator, '/v1/messages', {
    model: 'llama3.2',
    max_tokens: 100,
    messages,
    tools: [{ name: 'get_weather', input_schema: parameters }],
  })
  expect(await anthropic.json()).toMatchObject({
    stop_reason: 'tool_use',
    content: [{ type: 'tool_use', input: { city: expect.any(String) } }],
  })
})

test('a thinking model thinks first, unless told not to', async () => {
  await using simulator = await startSimulator({ models: ['t'], kinds: { t: 'thinks' } })
  const said = await lines(await post(simulator, '/api/chat', { model: 't', messages: sky }))
  expect(said[0]?.message?.thinking).toBeTruthy()
  const calm = await lines(
    await post(simulator, '/api/chat', { model: 't', messages: sky, think: false }),
  )
  expect(calm[0]?.message?.thinking).toBeUndefined()
})

test('log probabilities carry the bytes of their token', async () => {
  await using simulator = await startSimulator()
  const body = { model: 'llama3.2', prompt: 'hi', stream: false, logprobs: true, top_logprobs: 2 }
  const answer = (await (await post(simulator, '/api/generate', body)).json()) as {
    response: string
    logprobs: { token: string; bytes: number[]; top_logprobs: unknown[] }[]
  }
  expect(answer.logprobs.map(({ token }) => token).join('')).toBe(answer.response)
  for (const { token, bytes, top_logprobs } of answer.logprobs) {
    expect(Buffer.from(bytes).toString()).toBe(token)
    expect(top_logprobs).toHaveLength(2)
  }
})

test('a schema is obeyed', async () => {
  await using simulator = await startSimulator()
  const format = { type: 'object', properties: { age: { type: 'integer', minimum: 3 } } }
  const text = await chatText(simulator, 'llama3.2', sky, { format })
  expect((JSON.parse(text) as { age: number }).age).toBeGreaterThanOrEqual(3)
})

test('embeddings are unit vectors that belong to the weights', async () => {
  await using one = await startSimulator()
  await using other = await startSimulator({ seed: 99 })
  const body = { model: 'all-minilm', input: ['a', 'b'] }
  const vectors = async (simulator: { url: string }) =>
    ((await (await post(simulator, '/api/embed', body)).json()) as { embeddings: number[][] })
      .embeddings
  const [first, second] = [await vectors(one), await vectors(other)]
  expect(first).toEqual(second)
  expect(first).toHaveLength(2)
  expect(first[0]).toHaveLength(384)
  expect(Math.hypot(...(first[0] ?? []))).toBeCloseTo(1, 5)
  const base64 = await post(one, '/v1/embeddings', {
    model: 'all-minilm',
    input: 'a',
    encoding_format: 'base64',
  })
  const { data } = (await base64.json()) as { data: { embedding: string }[] }
  const floats = new Float32Array(
    new Uint8Array(Buffer.from(data[0]?.embedding ?? '', 'base64')).buffer,
  )
  expect([...floats]).toEqual(first[0])
})
