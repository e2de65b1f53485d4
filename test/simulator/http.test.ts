import { request } from 'node:http'
import { connect } from 'node:net'
import { zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { lines, post, sky } from './asking.ts'

test('HEAD is answered on a few routes only, and unknown ones in plain text', async () => {
  await using simulator = await startSimulator()
  const head = async (path: string) =>
    (await fetch(simulator.url + path, { method: 'HEAD' })).status
  expect(await head('/')).toBe(200)
  expect(await head('/api/version')).toBe(200)
  expect(await head('/api/tags')).toBe(200)
  expect(await head('/api/ps')).toBe(405)
  expect(await head('/v1/models')).toBe(405)
  const unknown = await fetch(`${simulator.url}/api/nothing`)
  expect([unknown.status, await unknown.text()]).toEqual([404, '404 page not found'])
  const wrong = await fetch(`${simulator.url}/api/chat`)
  expect([wrong.status, await wrong.text()]).toEqual([405, '405 method not allowed'])
  expect(wrong.headers.get('allow')).toBe('POST')
  expect(await (await fetch(simulator.url)).text()).toBe('Ollama is running')
})

test('an older server does not know every route', async () => {
  await using simulator = await startSimulator({ missingRoutes: ['/v1/responses'] })
  const response = await post(simulator, '/v1/responses', {})
  expect([response.status, await response.text()]).toEqual([404, '404 page not found'])
})

test('a slash too many is redirected', async () => {
  await using simulator = await startSimulator()
  const get = await fetch(`${simulator.url}/api/tags/?a=1`, { redirect: 'manual' })
  expect([get.status, get.headers.get('location')]).toEqual([301, '/api/tags?a=1'])
  const posted = await post(simulator, '/api/chat/', {}, { redirect: 'manual' })
  expect([posted.status, posted.headers.get('location')]).toEqual([307, '/api/chat'])
})

test('strange hosts and origins are turned away, unless the checks are off', async () => {
  const ask = (port: number, headers: Record<string, string>, method = 'GET') =>
    new Promise<number | undefined>((resolve) => {
      request({ port, host: '127.0.0.1', path: '/api/version', method, headers }, (res) => {
        res.resume()
        resolve(res.statusCode)
      }).end()
    })
  await using strict = await startSimulator()
  await using open = await startSimulator({ hostCheck: false, originCheck: false })
  expect(await ask(strict.port, { host: 'llm.example.com' })).toBe(403)
  expect(await ask(open.port, { host: 'llm.example.com' })).toBe(200)
  expect(await ask(strict.port, { host: 'box.local:11434' })).toBe(200)
  expect(await ask(strict.port, { origin: 'https://evil.example' })).toBe(403)
  expect(await ask(open.port, { origin: 'https://evil.example' })).toBe(200)
  expect(await ask(strict.port, { origin: 'http://localhost:3000' })).toBe(200)
  expect(await ask(strict.port, { origin: 'http://localhost:3000' }, 'OPTIONS')).toBe(204)
})

test('bodies are read as Go reads them', async () => {
  await using simulator = await startSimulator()
  const status = async (path: string, body: string) => {
    const response = await post(simulator, path, body)
    return [response.status, ((await response.json()) as { error: unknown }).error]
  }
  expect(await status('/api/generate', '')).toEqual([400, 'missing request body'])
  expect(await status('/api/generate', '{}')).toEqual([404, `model '' not found`])
  expect(await status('/api/chat', '{}')).toEqual([400, 'model is required'])
  expect(await status('/api/chat', '{"model"')).toEqual([400, 'unexpected EOF'])
  expect(await status('/api/chat', 'x')).toEqual([
    400,
    `invalid character 'x' looking for beginning of value`,
  ])
  expect(await status('/api/chat', '{"model":3}')).toEqual([
    400,
    'json: cannot unmarshal number into Go struct field ChatRequest.model of type string',
  ])
  expect(await status('/api/chat', '{"model":"nope"}')).toEqual([404, `model 'nope' not found`])
  expect(await status('/v1/chat/completions', '')).toMatchObject([400, { message: 'EOF' }])
  expect(await status('/v1/chat/completions', '{"model":"a"}')).toMatchObject([
    400,
    { message: `[] is too short - 'messages'`, type: 'invalid_request_error' },
  ])
  // The first value only, any letter case, and the last of two.
  const answer = await post(
    simulator,
    '/api/generate',
    '{"model":"x","MODEL":"y","model":"llama3.2"} and {more',
  )
  expect(await answer.json()).toMatchObject({ model: 'llama3.2', done_reason: 'load' })
})

test('what a model cannot do is said in the words of Ollama', async () => {
  await using simulator = await startSimulator()
  const error = async (path: string, body: object) => {
    const response = await post(simulator, path, body)
    return [response.status, ((await response.json()) as { error: string }).error]
  }
  expect(await error('/api/chat', { model: 'all-minilm', messages: sky })).toEqual([
    400,
    '"all-minilm" does not support chat',
  ])
  expect(await error('/api/generate', { model: 'llama3.2', prompt: 'a', suffix: 'b' })).toEqual([
    400,
    'registry.ollama.ai/library/llama3.2:latest does not support insert',
  ])
  expect(await error('/api/chat', { model: 'llama3.2', messages: sky, think: true })).toEqual([
    400,
    '"llama3.2" does not support thinking',
  ])
  expect(await error('/api/embed', { model: 'no', input: 'a' })).toEqual([
    404,
    'model "no" not found, try pulling it first',
  ])
  const options = { num_ctx: 'many' }
  expect(await error('/api/generate', { model: 'llama3.2', prompt: 'a', options })).toEqual([
    500,
    'option "num_ctx" must be of type integer',
  ])
})

test('zstd bodies are understood on the compatible routes', async () => {
  await using simulator = await startSimulator()
  const body = zstdCompressSync(JSON.stringify({ model: 'llama3.2', messages: sky }))
  const init = { method: 'POST', body, headers: { 'Content-Encoding': 'zstd' } }
  expect((await fetch(`${simulator.url}/v1/chat/completions`, init)).status).toBe(200)
  expect((await fetch(`${simulator.url}/api/chat`, init)).status).toBe(400)
})

test('a transcription takes a form with the model behind the file', async () => {
  await using simulator = await startSimulator({ models: ['whisper'] })
  const form = new FormData()
  form.set('file', new Blob(['sound']), 'a.wav')
  form.set('model', 'whisper')
  const init = { method: 'POST', body: form }
  const response = await fetch(`${simulator.url}/v1/audio/transcriptions`, init)
  expect(await response.json()).toEqual({ text: expect.stringMatching(/.{20}/) })
})

test('cloud models need an account', async () => {
  await using away = await startSimulator()
  const refused = await post(away, '/v1/chat/completions', { model: 'big:cloud', messages: sky })
  expect(refused.status).toBe(401)
  expect(await refused.json()).toMatchObject({
    error: 'unauthorized',
    signin_url: expect.any(String),
  })
  await using here = await startSimulator({ signedIn: true })
  const said = await lines(await post(here, '/api/chat', { model: 'big:cloud', messages: sky }))
  expect(said.at(-1)).toMatchObject({ done: true, remote_host: 'https://ollama.com:443' })
  expect(here.stats().runners).toEqual([])
})

test('nonsense on the wire ends one connection and nothing else', async () => {
  await using simulator = await startSimulator()
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(simulator.port, '127.0.0.1', () =>
      socket.write('\u0000\u0001 what\r\n\r\n'),
    )
    let text = ''
    socket.on('data', (part) => {
      text += part.toString()
    })
    socket.on('close', () => resolve(text))
  })
  expect(answer).toMatch(/^HTTP\/1.1 400/)
  const nested = `${'['.repeat(200_000)}`
  expect((await post(simulator, '/api/chat', nested)).status).toBe(400)
  expect((await post(simulator, '/api/chat', '{"model":"llama3.2","messages":[7]}')).status).toBe(
    400,
  )
  expect((await fetch(simulator.url)).status).toBe(200)
})
