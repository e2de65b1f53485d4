import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { chatText, lines, post, until } from './asking.ts'

const names = async (simulator: { url: string }) => {
  const { models } = (await (await fetch(`${simulator.url}/api/tags`)).json()) as {
    models: { name: string; digest: string }[]
  }
  return models.map(({ name }) => name)
}
const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`

test('a pull tells its progress and ends in one success', async () => {
  await using simulator = await startSimulator({ models: [], pullBytesPerSecond: 5e8 })
  const response = await post(simulator, '/api/pull', { model: 'new' })
  expect(response.headers.get('content-type')).toBe('application/x-ndjson')
  const said = await lines(response)
  expect(said[0]).toEqual({ status: 'pulling manifest' })
  expect(said[1]).toMatchObject({ digest: expect.stringMatching(/^sha256:/), total: 100_000_000 })
  expect(said[1]).not.toHaveProperty('completed')
  expect(said.filter(({ completed }) => Number(completed) > 0).length).toBeGreaterThan(1)
  expect(said.map(({ status }) => status).slice(-3)).toEqual([
    'verifying sha256 digest',
    'writing manifest',
    'success',
  ])
  expect(await names(simulator)).toEqual(['new:latest'])
})

test('two pulls share one download, and a cancelled one is gone on with', async () => {
  await using simulator = await startSimulator({ models: [], pullBytesPerSecond: 5e7 })
  const leaving = new AbortController()
  const { signal } = leaving
  const first = await post(simulator, '/api/pull', { model: 'm' }, { signal })
  const reader = first.body?.getReader()
  const read = async () => Buffer.from((await reader?.read())?.value ?? []).toString()
  while (!(await read()).includes('"completed"'));
  leaving.abort()
  await until(() => simulator.trace()[0]?.end !== undefined)
  expect(await names(simulator)).toEqual([])
  const [one, other] = await Promise.all([
    post(simulator, '/api/pull', { model: 'm' }).then(lines),
    post(simulator, '/api/pull', { model: 'm' }).then(lines),
  ])
  expect(Number(one[1]?.['completed'])).toBeGreaterThan(0)
  expect(one.at(-1)).toEqual({ status: 'success' })
  expect(other.at(-1)).toEqual({ status: 'success' })
  // The cancelled one, its continuation, and the small layer behind it.
  expect(simulator.stats().downloads).toBe(3)
})

test('a pull of what no registry has fails inside its stream', async () => {
  await using simulator = await startSimulator()
  const response = await post(simulator, '/api/pull', { model: 'missing-one' })
  expect(response.status).toBe(200)
  expect((await lines(response)).at(-1)).toEqual({
    error: 'pull model manifest: file does not exist',
  })
  const whole = await post(simulator, '/api/pull', { model: 'missing-one', stream: false })
  expect(whole.status).toBe(500)
})

test('blobs are taken once, by their right digest', async () => {
  await using simulator = await startSimulator()
  const path = `/api/blobs/${digestOf('weights')}`
  const head = async () => (await fetch(simulator.url + path, { method: 'HEAD' })).status
  expect(await head()).toBe(404)
  expect((await post(simulator, path, 'other')).status).toBe(400)
  expect((await post(simulator, path, 'weights')).status).toBe(201)
  expect((await post(simulator, path, 'weights')).status).toBe(200)
  expect(await head()).toBe(200)
  expect((await post(simulator, '/api/blobs/nonsense', '')).status).toBe(400)
  await simulator.restart()
  expect(await head()).toBe(404)
})

test('a model is made from blobs that are here, or from another model', async () => {
  await using simulator = await startSimulator({ models: ['base'] })
  const files = { 'tiny.gguf': digestOf('weights') }
  const without = await lines(await post(simulator, '/api/create', { model: 'mine', files }))
  expect(without.at(-1)?.error).toMatch(/no such file or directory/)
  await post(simulator, `/api/blobs/${digestOf('weights')}`, 'weights')
  const made = await lines(await post(simulator, '/api/create', { model: 'mine', files }))
  expect(made.at(-1)).toEqual({ status: 'success' })
  expect(await chatText(simulator, 'mine')).not.toBe(await chatText(simulator, 'base'))

  const body = { model: 'polite', from: 'base', system: 'Be polite.', parameters: { num_ctx: 999 } }
  expect((await post(simulator, '/api/create', { ...body, stream: false })).status).toBe(200)
  const shown = (await (await post(simulator, '/api/show', { model: 'polite' })).json()) as {
    system: string
    modelfile: string
    capabilities: string[]
  }
  expect(shown.system).toBe('Be polite.')
  const base = (await (await post(simulator, '/api/show', { name: 'base' })).json()) as {
    modelfile: string
  }
  const from = (text: string) => /^FROM .*sha256-[0-9a-f]{64}$/m.exec(text)?.[0]
  expect(from(shown.modelfile)).toBe(from(base.modelfile))
  await chatText(simulator, 'polite')
  expect(simulator.stats().runners.map(({ contextTokens }) => contextTokens)).toContain(999)

  const pulled = await lines(
    await post(simulator, '/api/create', { model: 'far', from: 'elsewhere' }),
  )
  expect(pulled.filter(({ status }) => status === 'success')).toHaveLength(1)
  expect(await names(simulator)).toContain('elsewhere:latest')
})

test('copies and deletions', async () => {
  await using simulator = await startSimulator({ models: ['a'] })
  const copy = (source: string, destination: string) =>
    post(simulator, '/api/copy', { source, destination })
  expect((await copy('a', 'Ns/B:v1')).status).toBe(200)
  expect((await copy('no', 'b')).status).toBe(404)
  expect((await names(simulator)).toSorted()).toEqual(['Ns/B:v1', 'a:latest'])
  const remove = (model: string) =>
    fetch(`${simulator.url}/api/delete`, { method: 'DELETE', body: JSON.stringify({ model }) })
  expect((await remove('a')).status).toBe(200)
  const again = await remove('a')
  expect([again.status, await again.json()]).toEqual([404, { error: `model 'a' not found` }])
  const list = await (await fetch(`${simulator.url}/v1/models`)).json()
  expect(list).toMatchObject({ data: [{ id: 'Ns/B:v1', owned_by: 'Ns' }] })
  await remove('ns/b:V1')
  expect(await (await fetch(`${simulator.url}/v1/models`)).json()).toEqual({
    object: 'list',
    data: null,
  })
})

test('one name has one digest on every simulator', async () => {
  await using one = await startSimulator({ models: ['a'] })
  await using other = await startSimulator({ models: [] })
  await lines(await post(other, '/api/pull', { model: 'a' }))
  const digests = async (simulator: { url: string }) => {
    const response = await fetch(`${simulator.url}/api/tags`)
    return ((await response.json()) as { models: { digest: string }[] }).models[0]?.digest
  }
  expect(await digests(one)).toBe(await digests(other))
})

test('the account routes answer by whether somebody is signed in', async () => {
  await using away = await startSimulator()
  expect((await post(away, '/api/me', '')).status).toBe(401)
  expect((await post(away, '/api/signout', '')).status).toBe(401)
  await using here = await startSimulator({ signedIn: true, name: 'walnut' })
  expect(await (await post(here, '/api/me', '')).json()).toMatchObject({ name: 'walnut' })
  expect(await (await fetch(`${here.url}/api/status`)).json()).toEqual({
    cloud: { disabled: false, source: 'none' },
  })
  const found = await post(here, '/api/experimental/web_search', { query: 'q', max_results: 2 })
  expect(((await found.json()) as { results: unknown[] }).results).toHaveLength(2)
})
