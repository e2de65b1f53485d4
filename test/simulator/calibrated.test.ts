import { expect, test } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { chatText, events, lines, loadedModels, post, sky, until } from './asking.ts'

// What comparing with real servers brought to light, one test for each kind of difference.

const type = (response: Response) => response.headers.get('content-type')
const isChunked = (response: Response) => response.headers.get('content-length') === null

test('the router says no in a type of its own, and tells preflights what is allowed', async () => {
  await using simulator = await startSimulator()
  expect(type(await fetch(`${simulator.url}/nothing`))).toBe('text/plain')
  const wrong = await post(simulator, '/api/version', {})
  expect([wrong.status, type(wrong), wrong.headers.get('allow')]).toEqual([
    405,
    'text/plain',
    'HEAD, GET',
  ])
  const double = await fetch(`${simulator.url}//api//tags`, { redirect: 'manual' })
  expect([double.status, double.headers.get('location')]).toEqual([307, '/api/tags'])
  const preflight = (origin: string) =>
    fetch(`${simulator.url}/api/chat`, { method: 'OPTIONS', headers: { origin } })
  const allowed = await preflight('http://localhost:3000')
  expect([allowed.status, allowed.headers.get('allow')]).toEqual([204, 'POST'])
  expect(allowed.headers.get('vary')).toContain('Access-Control-Request-Headers')
  const refused = await preflight('http://evil.example')
  expect([refused.status, refused.headers.get('allow')]).toEqual([403, 'POST'])
})

test('compatible layers and handlers behind them say no in different manners', async () => {
  await using simulator = await startSimulator()
  for (const path of ['/v1/chat/completions', '/v1/messages', '/v1/responses', '/v1/embeddings']) {
    const layer = await post(simulator, path, '{nope')
    expect([layer.status, type(layer)]).toEqual([400, 'application/json; charset=utf-8'])
    expect(await layer.text()).toMatch(/\}$/)
    const body = { model: 'nothing', messages: sky, input: 'x', max_tokens: 3 }
    const handler = await post(simulator, path, body)
    expect([handler.status, type(handler)]).toEqual([404, 'application/json'])
    expect(await handler.text()).toMatch(/\}\n$/)
  }
  const stream = { model: 'nothing', messages: sky, max_tokens: 3, stream: true }
  const early = await post(simulator, '/v1/messages', stream)
  expect([early.status, early.headers.get('cache-control')]).toEqual([404, 'no-cache'])
})

test('what goes wrong when a stream was about to begin comes in chunks', async () => {
  await using simulator = await startSimulator()
  const ask = { model: 'llama3.2', prompt: 'x', format: 'xml' }
  const late = await post(simulator, '/api/generate', ask)
  expect([late.status, type(late), isChunked(late)]).toEqual([500, 'application/json', true])
  const whole = await post(simulator, '/api/generate', { ...ask, stream: false })
  expect([whole.status, isChunked(whole)]).toEqual([500, false])
  expect(type(whole)).toBe('application/json; charset=utf-8')
  const create = await post(simulator, '/api/create', { model: 'made' })
  expect([create.status, type(create), isChunked(create)]).toEqual([400, 'application/json', true])

  const text = '{"error":{"code":400,"message":"no","type":"invalid_request_error"}}'
  simulator.faults.add({ kind: 'error-after-chunks', chunks: 0, status: 400, text })
  const refused = await post(simulator, '/api/chat', { model: 'llama3.2', messages: sky })
  expect([refused.status, isChunked(refused)]).toEqual([400, true])
  expect(await refused.json()).toEqual({ error: text })
})

test('an engine that dies is told apart by whether it had begun to speak', async () => {
  await using simulator = await startSimulator({
    answerTokens: 300,
    decodeTokensPerSecond: 200,
    prefillTokensPerSecond: 1000,
  })
  const crash = async (path: string, body: object, when: 'reading' | 'speaking') => {
    simulator.clearTrace()
    const answer = post(simulator, path, { model: 'llama3.2', ...body })
    await until(() => {
      const [entry] = simulator.trace()
      return (when === 'reading' ? entry?.slotAt : entry?.firstToken) !== undefined
    })
    simulator.crashRunner()
    return answer
  }
  const long = [{ role: 'user', content: 'word '.repeat(2000) }]
  const before = await crash('/api/chat', { messages: long }, 'reading')
  expect([before.status, type(before), isChunked(before)]).toEqual([500, 'application/json', true])
  expect(await before.text()).toContain('model runner has unexpectedly stopped')
  const after = await crash('/api/chat', { messages: sky, stream: false }, 'speaking')
  expect([after.status, await after.text()]).toEqual([
    500,
    '{"error":"an error was encountered while running the model: unexpected EOF"}',
  ])
  const chunk = events(
    await crash('/v1/chat/completions', { messages: sky, stream: true }, 'speaking'),
  )
  expect(JSON.parse((await chunk).at(-1)?.data ?? '')).toMatchObject({
    model: '',
    choices: [{ delta: { content: '' }, finish_reason: null }],
  })
})

test('a runner that died while idle is listed until the next request finds it', async () => {
  await using simulator = await startSimulator()
  const ps = async () => {
    const listed = (await (await fetch(`${simulator.url}/api/ps`)).json()) as { models: unknown[] }
    return listed.models.length
  }
  await post(simulator, '/api/generate', { model: 'llama3.2' })
  expect([simulator.crashRunner(), simulator.crashRunner()]).toEqual([1, 0])
  expect([await ps(), simulator.stats().runners[0]?.alive]).toEqual([1, false])
  expect(await chatText(simulator, 'llama3.2')).not.toBe('')
  expect([await ps(), simulator.stats().runners[0]?.alive]).toEqual([1, true])
  simulator.crashRunner()
  await post(simulator, '/api/generate', { model: 'llama3.2', keep_alive: 0 })
  expect(loadedModels(simulator)).toEqual([])
})

test('_debug_render_only loads the model and shows whether a begun answer is gone on with', async () => {
  await using simulator = await startSimulator({
    models: ['open', 'shut'],
    kinds: { shut: 'begins-anew' },
  })
  const render = async (model: string) => {
    const messages = [...sky, { role: 'assistant', content: 'Well,' }]
    const answer = await post(simulator, '/api/chat', {
      model,
      messages,
      _debug_render_only: true,
    })
    expect(type(answer)).toBe('application/json; charset=utf-8')
    const said = (await answer.json()) as { _debug_info: { rendered_template: string } }
    expect(said).toMatchObject({ model, message: { role: '', content: '' }, done: false })
    return said._debug_info.rendered_template
  }
  expect(await render('open')).toMatch(/Well,$/)
  expect(await render('shut')).not.toMatch(/Well,$/)
  expect(loadedModels(simulator).sort()).toEqual(['open:latest', 'shut:latest'])
})

test('the two generations tell roles, prompts that are too long, and names in their own ways', async () => {
  await using recent = await startSimulator({ contextDefault: 64 })
  await using old = await startSimulator({ contextDefault: 64, generation: 'old' })
  const deltas = async (simulator: { url: string }) => {
    const body = { model: 'llama3.2', messages: sky, max_tokens: 2, stream: true }
    const said = await events(await post(simulator, '/v1/chat/completions', body))
    return said.slice(0, -1).map(({ data }) => Object.keys(JSON.parse(data).choices[0].delta))
  }
  expect(await deltas(recent)).toEqual([['role', 'content'], ['content'], []])
  expect(await deltas(old)).toEqual(Array(3).fill(['role', 'content']))

  const long = async (simulator: { url: string }, more: object) => {
    const prompt = 'word '.repeat(100)
    const body = { model: 'llama3.2', prompt, stream: false, ...more }
    const answer = await post(simulator, '/api/generate', body)
    const { error } = (await answer.json()) as { error?: string }
    return [answer.status, error?.slice(0, 27)]
  }
  expect(await long(recent, { shift: false })).toEqual([400, 'the prompt is longer than t'])
  expect(await long(old, { shift: false })).toEqual([200, undefined])
  expect(await long(recent, { truncate: false })).toEqual([400, '{"error":{"code":400,"messa'])
  expect(await long(old, { truncate: false })).toEqual([400, 'the input length exceeds th'])

  const missing = async (simulator: { url: string }) =>
    (await post(simulator, '/api/show', { model: 'Nothing' })).text()
  expect(await missing(recent)).toContain(`'Nothing:latest'`)
  expect(await missing(old)).toContain(`'Nothing'`)
})

test('only the newer lists tell lengths and capabilities, and not always all of them', async () => {
  const jinja = {
    name: 'jinja',
    capabilities: ['completion', 'tools'],
    listedCapabilities: ['completion'],
  }
  await using recent = await startSimulator({ models: ['llama3.2', jinja] })
  await using old = await startSimulator({ generation: 'old' })
  const get = async (simulator: { url: string }, path: string) =>
    (await fetch(simulator.url + path)).json()
  expect(await get(recent, '/api/tags')).toMatchObject({
    models: [
      { capabilities: ['completion', 'tools'], details: { context_length: 131_072 } },
      { capabilities: ['completion'] },
    ],
  })
  const [first] = ((await get(old, '/api/tags')) as { models: object[] }).models
  expect(first).not.toHaveProperty('capabilities')
  expect(first).not.toHaveProperty('details.context_length')
  expect(await (await post(recent, '/api/show', { model: 'jinja' })).json()).toMatchObject({
    capabilities: ['completion', 'tools'],
    tensors: [{ type: 'F32' }, { type: 'F32' }],
  })
  expect(await get(old, '/api/version')).toEqual({ version: '0.24.0' })
})

test('calls stand in the last line where the engine reads them itself', async () => {
  await using simulator = await startSimulator({ toolCallLine: 'last', toolCalls: 'always' })
  const tools = [{ type: 'function', function: { name: 'weather', parameters: {} } }]
  const said = await lines(
    await post(simulator, '/api/chat', { model: 'llama3.2', messages: sky, tools }),
  )
  expect(said).toHaveLength(1)
  expect(said[0]).toMatchObject({
    done: true,
    message: { content: '', tool_calls: [{ function: { name: 'weather' } }] },
  })
})

test('Anthropic answers know no stop sequence, and Responses say nothing of being cut', async () => {
  await using simulator = await startSimulator()
  const claude = { model: 'llama3.2', messages: sky, max_tokens: 50, stop_sequences: [' '] }
  const message = await (await post(simulator, '/v1/messages', claude)).json()
  expect(message).toMatchObject({ stop_reason: 'end_turn' })
  expect(message).not.toHaveProperty('stop_sequence')
  const [start] = await events(await post(simulator, '/v1/messages', { ...claude, stream: true }))
  expect(JSON.parse(start?.data ?? '').message).not.toHaveProperty('stop_reason')

  const cut = { model: 'llama3.2', input: 'x', max_output_tokens: 3 }
  expect(await (await post(simulator, '/v1/responses', cut)).json()).toMatchObject({
    status: 'completed',
    incomplete_details: null,
    max_output_tokens: 3,
    service_tier: 'default',
    usage: { output_tokens: 3 },
  })
  const nothing = await post(simulator, '/v1/responses', { model: 'llama3.2' })
  expect(await nothing.json()).toMatchObject({
    status: 'completed',
    output: [{ type: 'message', content: [{ text: '' }] }],
  })
  const [created] = await events(await post(simulator, '/v1/responses', { ...cut, stream: true }))
  expect(Object.keys(JSON.parse(created?.data ?? ''))).toEqual([
    'response',
    'sequence_number',
    'type',
  ])
})

test('what is made, pushed and searched tells its steps as Ollama does', async () => {
  await using simulator = await startSimulator({ cloudDisabled: true })
  const statuses = async (path: string, body: object) =>
    (await lines(await post(simulator, path, body))).map((line) =>
      'error' in line ? 'error' : line['status'],
    )
  const absent = { 'a.gguf': `sha256:${'0'.repeat(64)}` }
  expect(await statuses('/api/create', { model: 'made', files: absent })).toEqual([
    'parsing GGUF',
    'error',
  ])
  expect(await statuses('/api/push', { model: 'me/nothing' })).toEqual([
    'retrieving manifest',
    "couldn't retrieve manifest",
    'error',
  ])
  const outside = { model: 'made', files: { '../a.gguf': absent['a.gguf'] } }
  const refused = await post(simulator, '/api/create', outside)
  expect([refused.status, await refused.json()]).toEqual([
    400,
    { error: 'file path must be relative' },
  ])
  await post(simulator, '/api/create', { model: 'child', from: 'llama3.2' }).then(lines)
  const child = await post(simulator, '/api/show', { model: 'child' })
  expect(await child.json()).toMatchObject({ details: { parent_model: 'llama3.2:latest' } })
  const tags = await (await fetch(`${simulator.url}/api/tags`)).json()
  expect(tags).toMatchObject({
    models: expect.arrayContaining([
      expect.objectContaining({
        name: 'child:latest',
        details: expect.objectContaining({ parent_model: 'llama3.2:latest' }),
      }),
    ]),
  })
  const search = await post(simulator, '/api/experimental/web_search', { query: 'x' })
  expect([search.status, await search.json()]).toEqual([
    403,
    { error: 'ollama cloud is disabled: web search is unavailable' },
  ])
})

test('a server starts in no time', async () => {
  const from = performance.now()
  const servers = await Promise.all(Array.from({ length: 30 }, () => startSimulator()))
  const spent = performance.now() - from
  await Promise.all(servers.map((server) => server.close()))
  expect(spent).toBeLessThan(1500)
})
