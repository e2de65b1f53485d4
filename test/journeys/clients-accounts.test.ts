import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ask, type Herd, startHerd, startProxy, statusOf } from '../help/herd.ts'
import { until } from '../help/until.ts'

let herd: Herd

const hearing = { name: 'whisper', capabilities: ['completion', 'audio'] }
const sound = Buffer.from(Array.from({ length: 40_000 }, (_, at) => at % 251))

beforeAll(async () => {
  herd = await startHerd({
    simulators: [
      ['--models', 'llama3.2,qwen3', '--set', 'signedIn=true'],
      [
        '--set',
        `models=${JSON.stringify([hearing, 'qwen3'])}`,
        '--set',
        'missingRoutes=["/v1/responses","/api/status"]',
      ],
    ],
  })
}, 60_000)
afterAll(() => herd[Symbol.asyncDispose]())
beforeEach(() => Promise.all(herd.remotes.map((each) => each.clearTrace())))

test('a transcription finds its model behind the file, and the form arrives as it was sent', async () => {
  const boundary = '--=_odd boundary:1'
  const form = Buffer.concat([
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="model.wav"\r\n` +
        'Content-Type: audio/wav\r\n\r\n',
    ),
    sound,
    Buffer.from(`\r\n--${boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper`),
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ])
  const answer = await ask(`${herd.url}/v1/audio/transcriptions`, {
    method: 'POST',
    headers: { 'Content-Type': `multipart/form-data; boundary="${boundary}"` },
    body: form,
  })
  expect(answer.status).toBe(200)
  expect(JSON.parse(answer.text).text).not.toBe('')
  expect(answer.headers['x-chasqui-backend']).toBe('b')
  const [entry] = (await herd.remotes[1]!.trace()).filter(({ route }) => route.startsWith('/v1/'))
  expect(entry!.bodyBytes).toBe(form.length)
})

test('the openai library transcribes, as JSON and as text', async () => {
  const client = new OpenAI({ baseURL: `${herd.url}/v1`, apiKey: 'x', maxRetries: 0 })
  const file = await toFile(sound, 'sound.wav')
  const { text } = await client.audio.transcriptions.create({ file, model: 'whisper' })
  expect(text).not.toBe('')
  const plain = await client.audio.transcriptions.create({
    file,
    model: 'whisper',
    response_format: 'text',
  })
  expect(plain).toBe(text)
})

test('a transcription by a model that cannot hear, or that nobody has, is refused', async () => {
  const client = new OpenAI({ baseURL: `${herd.url}/v1`, apiKey: 'x', maxRetries: 0 })
  const deaf = client.audio.transcriptions.create({
    file: await toFile(sound, 'a.wav'),
    model: 'llama3.2',
  })
  await expect(deaf).rejects.toBeInstanceOf(OpenAI.BadRequestError)
  const unknown = client.audio.transcriptions.create({
    file: await toFile(sound, 'a.wav'),
    model: 'nobody-has-this',
  })
  await expect(unknown).rejects.toBeInstanceOf(OpenAI.NotFoundError)
  const answer = await ask(`${herd.url}/v1/audio/transcriptions`, { method: 'POST', body: '{}' })
  expect(answer.status).toBe(400)
  expect(JSON.parse(answer.text)).toHaveProperty('error.message')
})

test('a model that cannot do what is asked is refused in the words of the backend', async () => {
  const asks: [string, object][] = [
    ['/api/generate', { model: 'llama3.2', prompt: 'look', images: ['aGVsbG8='] }],
    ['/api/chat', { model: 'llama3.2', messages: [{ role: 'user', content: 'x' }], think: true }],
    ['/api/generate', { model: 'whisper', prompt: 'a', suffix: 'b' }],
  ]
  for (const [path, request] of asks) {
    const body = JSON.stringify(request)
    const answer = await ask(herd.url + path, { method: 'POST', body })
    const holder = herd.remotes[body.includes('whisper') ? 1 : 0]!
    const direct = await ask(holder.url + path, { method: 'POST', body })
    expect({ status: answer.status, text: answer.text }).toEqual({ status: 400, text: direct.text })
  }
})

test('a route that an older server lacks is served by a newer one', async () => {
  const body = '{"model":"qwen3","input":"hi"}'
  for (let round = 0; round < 4; round++) {
    const answer = await ask(`${herd.url}/v1/responses`, { method: 'POST', body })
    expect(answer.status).toBe(200)
    expect(answer.headers['x-chasqui-backend']).toBe('a')
  }
  // The older one has lost nothing by it.
  const { backends } = await herd.status()
  expect(backends[1]!.models.join()).toContain('qwen3')
  expect(backends[1]!.state).toBe('ready')
})

test('the account is that of the first backend, every time', async () => {
  for (let round = 0; round < 3; round++) {
    const me = await ask(`${herd.url}/api/me`, { method: 'POST' })
    expect(me.status).toBe(200)
    expect(JSON.parse(me.text)).toMatchObject({ name: 'a', plan: 'free' })
  }
  const status = await ask(`${herd.url}/api/status`)
  expect(JSON.parse(status.text)).toEqual({ cloud: { disabled: false, source: 'none' } })
})

test('searches and recommendations go to the account that is signed in', async () => {
  const body = '{"query":"quipu","max_results":2}'
  const found = await ask(`${herd.url}/api/experimental/web_search`, { method: 'POST', body })
  expect(JSON.parse(found.text).results).toHaveLength(2)
  const advice = await ask(`${herd.url}/api/experimental/model-recommendations`)
  expect(JSON.parse(advice.text)).toHaveProperty('recommendations')
})

test('who is signed in on another backend only is found as well', async () => {
  const [a, b] = herd.remotes
  await using other = await startProxy([b!, a!])
  await until(async () => (await statusOf(other.url)).active_backends === 2)
  const me = await ask(`${other.url}/api/me`, { method: 'POST' })
  expect(me.status).toBe(200)
  expect(JSON.parse(me.text)).toMatchObject({ name: 'a' })
})

test('with nobody signed in the refusal says where to do it', async () => {
  await using other = await startProxy([herd.remotes[1]!])
  await until(async () => (await statusOf(other.url)).active_backends === 1)
  const me = await ask(`${other.url}/api/me`, { method: 'POST' })
  expect(me.status).toBe(401)
  expect(JSON.parse(me.text)).toEqual({
    error: 'unauthorized',
    signin_url: expect.stringContaining('ollama.com'),
  })
})
