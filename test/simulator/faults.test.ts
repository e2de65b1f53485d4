import { expect, test } from 'vitest'
import { type Fault, startSimulator } from '../../backends/simulator/server.ts'
import { chatText, events, lines, post, sky, until } from './asking.ts'

const chat = (simulator: { url: string }, more: object = {}) =>
  post(simulator, '/api/chat', { model: 'llama3.2', messages: sky, ...more })

test('a status can be injected for the next requests, in the shape of each family', async () => {
  await using simulator = await startSimulator()
  simulator.faults.add({ kind: 'status', status: 500, text: 'boom', count: 2 })
  const native = await chat(simulator)
  expect(native.status).toBe(500)
  expect(await native.json()).toEqual({ error: 'boom' })
  const anthropic = await post(simulator, '/v1/messages', {})
  expect(await anthropic.json()).toMatchObject({
    type: 'error',
    error: { type: 'api_error', message: 'boom' },
  })
  expect((await chat(simulator)).status).toBe(200)
  expect(simulator.faults.list()).toEqual([])
})

test('faults can wait for their request, and keep to a path or a model', async () => {
  await using simulator = await startSimulator()
  simulator.faults.add({ kind: 'busy', skip: 1, count: 1, model: 'LLAMA3.2:latest' })
  simulator.faults.add({ kind: 'status', status: 502, path: '/api/tags' })
  expect((await chat(simulator)).status).toBe(200)
  expect((await post(simulator, '/api/generate', { model: 'qwen3' })).status).toBe(200)
  expect((await chat(simulator)).status).toBe(503)
  expect((await fetch(`${simulator.url}/api/tags`)).status).toBe(502)
})

test('connections are reset, closed, or left hanging before the head', async () => {
  await using simulator = await startSimulator()
  simulator.faults.add({ kind: 'reset', count: 1 })
  await expect(chat(simulator)).rejects.toThrow()
  simulator.faults.add({ kind: 'close-after-read', count: 1 })
  await expect(chat(simulator)).rejects.toThrow()
  simulator.faults.add({ kind: 'hang', count: 1 })
  const body = { model: 'llama3.2', messages: sky }
  await expect(
    post(simulator, '/api/chat', body, { signal: AbortSignal.timeout(100) }),
  ).rejects.toThrow()
  await until(() => simulator.trace().at(-1)?.cancelReason === 'client disconnected')
})

/** What a client gets before its stream ends, and how it ends. */
async function received(
  response: Response,
): Promise<{ text: string; ended: 'cleanly' | 'broken' }> {
  let text = ''
  try {
    const decoder = new TextDecoder()
    for await (const part of response.body ?? []) text += decoder.decode(part, { stream: true })
    return { text, ended: 'cleanly' }
  } catch {
    return { text, ended: 'broken' }
  }
}

test('streams break after the chunks that they were given', async () => {
  const cases: [Fault, 'cleanly' | 'broken', number][] = [
    [{ kind: 'reset-after-chunks', chunks: 3 }, 'broken', 3],
    [{ kind: 'end-after-chunks', chunks: 3 }, 'cleanly', 3],
    [{ kind: 'error-after-chunks', chunks: 3 }, 'cleanly', 4],
    [{ kind: 'crash-after-chunks', chunks: 3 }, 'cleanly', 4],
  ]
  await using simulator = await startSimulator({ decodeTokensPerSecond: 500 })
  for (const [fault, ended, count] of cases) {
    simulator.faults.replace([{ ...fault, count: 1 }])
    const got = await received(await chat(simulator))
    expect([fault.kind, got.ended]).toEqual([fault.kind, ended])
    const said = got.text.split('\n').filter(Boolean)
    expect([fault.kind, said.length]).toEqual([fault.kind, count])
    expect(got.text).not.toContain('"done":true')
    if (count === 4) expect(said.at(-1)).toMatch(/^{"error":/)
  }
})

test('compatible routes swallow an error inside the stream', async () => {
  await using simulator = await startSimulator()
  simulator.faults.add({ kind: 'error-after-chunks', chunks: 2 })
  const openai = await events(
    await post(simulator, '/v1/chat/completions', {
      model: 'llama3.2',
      messages: sky,
      stream: true,
    }),
  )
  expect(openai).toHaveLength(3)
  expect(JSON.parse(openai[2]?.data ?? '')).toMatchObject({
    model: '',
    choices: [{ delta: { content: '' } }],
  })
  const anthropic = await events(
    await post(simulator, '/v1/messages', {
      model: 'llama3.2',
      messages: sky,
      stream: true,
      max_tokens: 50,
    }),
  )
  expect(anthropic).toHaveLength(2)
})

test('a stalled stream is silent and a trickling one slow', async () => {
  await using simulator = await startSimulator({ answerTokens: 5 })
  await chatText(simulator, 'llama3.2')
  simulator.faults.add({ kind: 'stall-after-chunks', chunks: 2, ms: 150, count: 1 })
  let from = Date.now()
  await chatText(simulator, 'llama3.2')
  expect(Date.now() - from).toBeGreaterThan(140)
  simulator.faults.add({ kind: 'trickle', ms: 30 })
  from = Date.now()
  await chatText(simulator, 'llama3.2')
  expect(Date.now() - from).toBeGreaterThan(140)
})

test('split writes lose nothing', async () => {
  await using simulator = await startSimulator({ answerTokens: 40 })
  const whole = await chatText(simulator, 'llama3.2')
  simulator.faults.add({ kind: 'split-writes' })
  expect(await chatText(simulator, 'llama3.2')).toBe(whole)
})

test('a wrong length breaks a whole answer', async () => {
  await using simulator = await startSimulator()
  simulator.faults.add({ kind: 'wrong-content-length' })
  const response = await chat(simulator, { stream: false })
  expect((await received(response)).ended).toBe('broken')
})

test('a forgotten model is a 404', async () => {
  await using simulator = await startSimulator()
  simulator.faults.add({ kind: 'forget-model', count: 1 })
  const response = await chat(simulator)
  expect(response.status).toBe(404)
  expect(await response.json()).toEqual({ error: `model 'llama3.2' not found` })
})

test('a server that refuses comes back on the same port', async () => {
  await using simulator = await startSimulator()
  simulator.faults.add({ kind: 'refuse' })
  await expect(fetch(simulator.url, { headers: { connection: 'close' } })).rejects.toThrow()
  simulator.faults.clear('refuse')
  await until(async () => (await fetch(simulator.url).catch(() => undefined))?.ok ?? false)
  simulator.faults.add({ kind: 'refuse', ms: 50 })
  await until(async () => (await fetch(simulator.url).catch(() => undefined))?.ok ?? false)
})

test('the control path arms faults, tells what happened and changes the disk', async () => {
  await using simulator = await startSimulator({ models: ['a'] })
  const control = async (method: string, path: string, body?: unknown) => {
    const init = body === undefined ? { method } : { method, body: JSON.stringify(body) }
    return (await fetch(`${simulator.url}/sim/${path}`, init)).json()
  }
  await control('PUT', 'faults', [{ kind: 'busy', count: 1 }])
  expect((await post(simulator, '/api/generate', { model: 'a' })).status).toBe(503)
  expect(await control('GET', 'faults')).toEqual({ faults: [] })
  await lines(
    await post(
      simulator,
      '/api/chat',
      { model: 'a', messages: sky },
      { headers: { 'X-Own': 'Yes' } },
    ),
  )
  const { entries } = (await control('GET', 'trace')) as { entries: Record<string, unknown>[] }
  expect(entries[0]).toMatchObject({ status: 503, faults: ['busy'] })
  expect(entries[1]).toMatchObject({ route: '/api/chat', model: 'a', slot: 0, status: 200 })
  expect(entries[1]?.['bodySha256']).toMatch(/^[0-9a-f]{64}$/)
  expect(JSON.stringify(entries[1]?.['headers'])).toMatch(/x-own/i)
  expect(await control('POST', 'crash-runner', { model: 'a' })).toEqual({ crashed: 1 })
  expect(await control('GET', 'state')).toMatchObject({
    runners: [{ alive: false }],
    requests: 2,
  })
  await control('PUT', 'load', { name: 'foreign', kind: 'diverges' })
  expect(await chatText(simulator, 'foreign')).not.toBe('')
  await control('PUT', 'load', { name: 'foreign', remove: true })
  expect((await post(simulator, '/api/show', { model: 'foreign' })).status).toBe(404)
  await control('DELETE', 'trace')
  expect(simulator.trace()).toEqual([])
  const wrong = await fetch(`${simulator.url}/sim/faults`, { method: 'PUT', body: 'nonsense' })
  expect(wrong.status).toBe(400)
})
