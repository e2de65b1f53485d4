import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { chatText, lines, loadedModels, post, sky, until } from './asking.ts'

const load = (simulator: { url: string }, model: string, more: object = {}) =>
  post(simulator, '/api/generate', { model, ...more })

test('slots are given in the order of asking, and nobody is turned away', async () => {
  await using simulator = await startSimulator({ slots: 2, maxQueue: 1, answerTokens: 20 })
  await load(simulator, 'llama3.2')
  simulator.faults.add({ kind: 'stall-after-chunks', chunks: 1, count: 2 })
  const leaving = new AbortController()
  const { signal } = leaving
  const ask = (n: number, init = {}) => {
    const messages = [{ role: 'user', content: `number ${n}` }]
    return post(simulator, '/api/chat', { model: 'llama3.2', messages }, init)
  }
  const stalled = [1, 2].map((n) => ask(n, { signal }).catch(() => 'gone'))
  await until(() => simulator.stats().runners[0]?.running === 2)
  const asked = Array.from({ length: 7 }, (_, n) => ask(n).then(lines))
  await until(() => simulator.stats().runners[0]?.waiting === 7)
  leaving.abort()
  await Promise.all([...stalled, ...asked])
  const entries = simulator.trace().filter(({ route }) => route === '/api/chat')
  expect(entries).toHaveLength(9)
  const bySlot = entries.toSorted((one, other) => (one.slotAt ?? 0) - (other.slotAt ?? 0))
  expect(bySlot.map(({ id }) => id)).toEqual(entries.map(({ id }) => id))
  await until(() => simulator.stats().models['llama3.2:latest']?.running === 0)
  expect(simulator.stats().models['llama3.2:latest']).toMatchObject({
    runningPeak: 2,
    waitingPeak: 7,
    totalPeak: 9,
    waiting: 0,
  })
})

test('only requests that need a load are turned away from a full queue', async () => {
  await using simulator = await startSimulator({
    models: ['a', 'b', 'c', 'd'],
    loadMs: 150,
    maxQueue: 1,
  })
  await load(simulator, 'a')
  const b = load(simulator, 'b')
  await until(() => simulator.stats().pending.length === 1)
  const c = load(simulator, 'c')
  await until(() => simulator.stats().pending.length === 2)
  const d = await load(simulator, 'd')
  expect(d.status).toBe(503)
  expect(await d.json()).toEqual({
    error: 'server busy, please try again.  maximum pending requests exceeded',
  })
  expect(await chatText(simulator, 'a')).not.toBe('')
  expect((await b).status).toBe(200)
  expect((await c).status).toBe(200)
})

test('another context length loads again, and waits until nobody uses the old runner', async () => {
  await using simulator = await startSimulator({ answerTokens: 60, decodeTokensPerSecond: 500 })
  const first = chatText(simulator, 'llama3.2')
  await until(() => simulator.stats().runners[0]?.running === 1)
  const second = chatText(simulator, 'llama3.2', sky, { options: { num_ctx: 8192 } })
  await Promise.all([first, second])
  const [one, other] = simulator.trace()
  expect(other?.loadStart).toBeGreaterThanOrEqual(one?.end ?? Infinity)
  expect(simulator.stats().runners.map(({ contextTokens }) => contextTokens)).toEqual([8192])
  await chatText(simulator, 'llama3.2', sky, { options: { num_ctx: 8192 } })
  expect(simulator.trace().at(-1)?.loadStart).toBeUndefined()
})

test('the victim is the idle runner with the shortest keep_alive', async () => {
  await using simulator = await startSimulator({ models: ['a', 'b', 'c'], maxLoaded: 2 })
  await load(simulator, 'a', { keep_alive: '1h' })
  await load(simulator, 'b', { keep_alive: '1m' })
  await load(simulator, 'c')
  expect(loadedModels(simulator)).toEqual(['a:latest', 'c:latest'])
})

test('memory limits what is loaded, but never the first model', async () => {
  const models = ['a', 'b'].map((name) => ({ name, sizeBytes: 6e9 }))
  await using simulator = await startSimulator({ models, loadMs: 5, memoryBytes: 10e9 })
  await load(simulator, 'a')
  await load(simulator, 'b')
  expect(loadedModels(simulator)).toEqual(['b:latest'])
})

test('the client that asked for a load takes it along when it leaves', async () => {
  await using simulator = await startSimulator({ loadMs: 300 })
  const leaving = new AbortController()
  const body = { model: 'llama3.2', messages: sky }
  const asked = post(simulator, '/api/chat', body, { signal: leaving.signal }).catch(() => 'gone')
  await until(() => simulator.trace()[0]?.loadStart !== undefined)
  const next = load(simulator, 'llama3.2')
  await until(() => simulator.stats().pending.length === 2)
  leaving.abort()
  expect(await asked).toBe('gone')
  expect((await next).status).toBe(200)
  const [first, second] = simulator.trace()
  expect(first?.cancelReason).toBeDefined()
  expect(first?.loadEnd).toBeUndefined()
  expect(second?.loadStart).toBeGreaterThan(first?.loadStart ?? Infinity)
})

test('keep_alive ends a model, keeps it for ever, or is not understood', async () => {
  await using simulator = await startSimulator({ models: ['a', 'b'] })
  await load(simulator, 'a', { keep_alive: 0.05 })
  await until(() => loadedModels(simulator).length === 0)
  await load(simulator, 'a', { keep_alive: -1 })
  const ps = (await (await fetch(`${simulator.url}/api/ps`)).json()) as {
    models: { expires_at: string }[]
  }
  expect(new Date(ps.models[0]?.expires_at ?? 0).getFullYear()).toBeGreaterThan(2300)
  const unloaded = await load(simulator, 'a', { keep_alive: 0 })
  expect(await unloaded.json()).toMatchObject({ done_reason: 'unload' })
  await until(() => loadedModels(simulator).length === 0)
  await chatText(simulator, 'b', sky, { keep_alive: 0 })
  await until(() => loadedModels(simulator).length === 0)
  expect((await load(simulator, 'a', { keep_alive: '300' })).status).toBe(400)
  expect((await load(simulator, 'a', { keep_alive: true })).status).toBe(400)
})

test('names that share weights share a runner, shown under the first', async () => {
  await using simulator = await startSimulator({ models: ['a'] })
  await post(simulator, '/api/copy', { source: 'a', destination: 'twin' })
  await load(simulator, 'twin')
  await load(simulator, 'a')
  expect(loadedModels(simulator)).toEqual(['twin:latest'])
})

test('a client that leaves ends its generation at once', async () => {
  await using simulator = await startSimulator({ decodeTokensPerSecond: 50, answerTokens: 500 })
  const leaving = new AbortController()
  const response = await post(
    simulator,
    '/api/chat',
    { model: 'llama3.2', messages: sky },
    { signal: leaving.signal },
  )
  await response.body?.getReader().read()
  leaving.abort()
  await until(() => simulator.trace()[0]?.end !== undefined)
  const [entry] = simulator.trace()
  expect(entry?.cancelReason).toBe('client disconnected')
  expect(entry?.endWall).toBeGreaterThan(0)
  expect(entry?.outputTokens).toBeLessThan(100)
  expect(simulator.stats().runners[0]).toMatchObject({ running: 0, refcount: 0 })
})

test('a crash fails every stream of the runner, and the next request loads again', async () => {
  await using simulator = await startSimulator({
    slots: 2,
    decodeTokensPerSecond: 100,
    answerTokens: 300,
  })
  const both = [1, 2].map((n) =>
    post(simulator, '/api/chat', {
      model: 'llama3.2',
      messages: [{ role: 'user', content: `${n}` }],
    }).then(lines),
  )
  await until(() => simulator.trace().filter((entry) => entry.firstToken).length === 2)
  expect(simulator.crashRunner('llama3.2')).toBe(1)
  for (const said of await Promise.all(both)) expect(said.at(-1)?.error).toMatch(/unexpected EOF/)
  simulator.clearTrace()
  expect((await load(simulator, 'llama3.2')).status).toBe(200)
  expect(simulator.trace()[0]?.loadStart).toBeDefined()
})

test('a load that fails says so with 500; one that ran out of memory is tried twice', async () => {
  await using simulator = await startSimulator()
  simulator.faults.add({ kind: 'load-failure', count: 1, text: 'cudaMalloc failed: out of memory' })
  expect((await load(simulator, 'llama3.2')).status).toBe(200)
  simulator.faults.add({ kind: 'load-failure', count: 1 })
  expect((await load(simulator, 'qwen3')).status).toBe(500)
})

test('more busy slots make each one slower', async () => {
  await using simulator = await startSimulator({
    slots: 4,
    slowdownAlpha: 1,
    decodeTokensPerSecond: 200,
    answerTokens: 20,
  })
  await load(simulator, 'llama3.2')
  const spent = async () => {
    const said = await lines(
      await post(simulator, '/api/chat', { model: 'llama3.2', messages: sky }),
    )
    return Number(said.at(-1)?.['eval_duration'])
  }
  // Alone each would take 100 ms. A busy machine makes them slower and never quicker.
  const together = await Promise.all([spent(), spent(), spent(), spent()])
  expect(Math.min(...together)).toBeGreaterThan(200e6)
})

test('a restart cuts everything and forgets what was loaded', async () => {
  await using simulator = await startSimulator({ decodeTokensPerSecond: 20 })
  const cut = post(simulator, '/api/chat', { model: 'llama3.2', messages: sky })
    .then((response) => response.text())
    .catch(() => 'cut')
  await until(() => simulator.stats().runners.length === 1)
  const back = simulator.restart(50)
  await pause(20)
  await expect(fetch(simulator.url)).rejects.toThrow()
  expect(await cut).toBe('cut')
  await back
  expect(await (await fetch(`${simulator.url}/api/ps`)).json()).toEqual({ models: [] })
})
