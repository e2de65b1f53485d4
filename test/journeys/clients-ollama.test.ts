import { createHash } from 'node:crypto'
import { Ollama } from 'ollama'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { gather } from '../help/gather.ts'
import { type Herd, type Remote, startHerd } from '../help/herd.ts'
import { until } from '../help/until.ts'

let herd: Herd
let client: Ollama

beforeAll(async () => {
  herd = await startHerd({
    simulators: [
      ['--models', 'llama3.2,all-minilm', '--version', '0.33.1', '--slots', '2'],
      ['--models', 'llama3.2', '--version', '0.32.15'],
      ['--models', 'qwen3,all-minilm', '--version', '0.33.0'],
    ],
    env: { CHASQUI_LOG_LEVEL: 'info', CHASQUI_LOG_FORMAT: 'json' },
  })
  client = new Ollama({ host: herd.url })
}, 60_000)
afterAll(() => herd[Symbol.asyncDispose]())
beforeEach(() => Promise.all(herd.remotes.map((each) => each.clearTrace())))

test('list names every model of the fleet once', async () => {
  const { models } = await client.list()
  expect(models.map(({ name }) => name).sort()).toEqual([
    'all-minilm:latest',
    'llama3.2:latest',
    'qwen3:latest',
  ])
  for (const model of models) expect(model.digest).toMatch(/^[0-9a-f]{64}$/)
})

test('show describes a model that only one backend has', async () => {
  const shown = await client.show({ model: 'qwen3' })
  expect(shown.details.family).toBeTypeOf('string')
  expect(shown.capabilities).toContain('completion')
})

test('show of a model that nobody has says not found, with 404', async () => {
  await expect(client.show({ model: 'nobody-has-this' })).rejects.toMatchObject({
    status_code: 404,
    error: "model 'nobody-has-this:latest' not found",
  })
})

test('version is the lowest of the fleet', async () => {
  expect(await client.version()).toEqual({ version: '0.32.15' })
})

test('generate answers whole', async () => {
  const answer = await client.generate({ model: 'qwen3', prompt: 'Why is the sky blue?' })
  expect(answer).toMatchObject({ model: 'qwen3', done: true, done_reason: 'stop' })
  expect(answer.response?.length).toBeGreaterThan(20)
  expect(answer.total_duration).toBeGreaterThan(0)
  expect(answer.eval_count).toBeGreaterThan(0)
})

test('a generate stream brings the same text in pieces, the last one with the figures', async () => {
  const ask = { model: 'qwen3', prompt: 'Why is the sky blue?' }
  const whole = await client.generate(ask)
  const pieces = await gather(await client.generate({ ...ask, stream: true }))
  expect(pieces.length).toBeGreaterThan(5)
  expect(pieces.map(({ response }) => response).join('')).toBe(whole.response)
  expect(pieces.filter(({ done }) => done)).toEqual([pieces.at(-1)])
  expect(pieces.at(-1)!.eval_count).toBe(whole.eval_count)
})

test('chat answers whole and as a stream, with the same text', async () => {
  const ask = {
    model: 'llama3.2',
    messages: [{ role: 'user', content: 'Tell me about chasquis.' }],
    options: { seed: 7 },
  }
  const whole = await client.chat(ask)
  expect(whole.message.role).toBe('assistant')
  const pieces = await gather(await client.chat({ ...ask, stream: true }))
  expect(pieces.map(({ message }) => message.content).join('')).toBe(whole.message.content)
  expect(pieces.at(-1)!.done).toBe(true)
})

test('ps shows what is loaded, once', async () => {
  await client.generate({ model: 'qwen3', prompt: 'hello' })
  await until(async () => (await client.ps()).models.some(({ name }) => name === 'qwen3:latest'))
  const names = (await client.ps()).models.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
})

test('embed gives one vector for each input, in order', async () => {
  const input = ['first', 'second', 'third']
  const { embeddings, prompt_eval_count } = await client.embed({ model: 'all-minilm', input })
  expect(embeddings).toHaveLength(3)
  expect(prompt_eval_count).toBeGreaterThan(0)
  const [second] = (await client.embed({ model: 'all-minilm', input: 'second' })).embeddings
  expect(embeddings[1]).toEqual(second)
})

test('an unknown model is refused as Ollama refuses it', async () => {
  await expect(
    client.chat({ model: 'nobody-has-this', messages: [{ role: 'user', content: 'hi' }] }),
  ).rejects.toMatchObject({ status_code: 404, error: "model 'nobody-has-this' not found" })
  await expect(client.embed({ model: 'nobody-has-this', input: 'hi' })).rejects.toMatchObject({
    status_code: 404,
    error: 'model "nobody-has-this" not found, try pulling it first',
  })
})

test('a pull shows bars that only grow and one success at the very end, and is then on all backends', async () => {
  const lines = await gather(await client.pull({ model: 'walnut', stream: true }))
  expect(lines[0]).toEqual({ status: 'pulling manifest' })
  const statuses = lines.map(({ status }) => status)
  expect(statuses.filter((status) => status === 'success')).toHaveLength(1)
  expect(statuses.at(-1)).toBe('success')
  expect(statuses).toContain('verifying sha256 digest')
  const bars = Map.groupBy(
    lines.filter(({ digest }) => digest),
    ({ digest }) => digest,
  )
  expect(bars.size).toBe(2)
  for (const bar of bars.values()) {
    expect(new Set(bar.map(({ total }) => total)).size).toBe(1)
    const done = bar.map(({ completed }) => completed ?? 0)
    expect(done).toEqual(done.toSorted((a, b) => a - b))
    expect(done.at(-1)).toBe(bar[0]!.total)
  }
  for (const each of herd.remotes) expect(await each.models()).toContain('walnut:latest')
  expect((await client.list()).models.map(({ name }) => name)).toContain('walnut:latest')
})

test('a pull without stream answers once, when all are done', async () => {
  expect(await client.pull({ model: 'chestnut' })).toEqual({ status: 'success' })
  for (const each of herd.remotes) expect(await each.models()).toContain('chestnut:latest')
})

test('a pull of what no registry has fails with the words of the registry', async () => {
  const words = /^pull model manifest: file does not exist$/
  await expect(client.pull({ model: 'missing-model' })).rejects.toThrow(words)
  const lines = await client.pull({ model: 'missing-model', stream: true })
  await expect(gather(lines)).rejects.toThrow(words)
})

test('what every backend refuses alike is refused with that status, before any line', async () => {
  await expect(client.create({ model: 'from-nothing', stream: true })).rejects.toMatchObject({
    status_code: 400,
    error: "neither 'from' or 'files' was specified",
  })
})

test('a pull that is given up stops on every backend', async () => {
  for (const each of herd.remotes) await each.faults({ kind: 'trickle', ms: 30, path: '/api/pull' })
  const alone = new Ollama({ host: herd.url })
  const lines = await alone.pull({ model: 'hazel', stream: true })
  const reading = (async () => {
    for await (const _ of lines) alone.abort()
  })()
  await expect(reading).rejects.toThrow(/abort/i)
  for (const each of herd.remotes) {
    await until(async () =>
      (await tracesOf(each, '/api/pull')).some(({ cancelReason }) => cancelReason),
    )
    await each.faults()
  }
})

test('create makes a model of an uploaded blob on every backend', async () => {
  const blob = Buffer.from(`GGUF${'weights '.repeat(40_000)}`)
  const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`
  const path = `${herd.url}/api/blobs/${digest}`
  expect((await fetch(path, { method: 'HEAD' })).status).toBe(404)
  expect((await fetch(path, { method: 'POST', body: blob })).status).toBe(201)
  expect((await fetch(path, { method: 'HEAD' })).status).toBe(200)
  expect((await fetch(path, { method: 'POST', body: blob })).status).toBe(200)

  // The library's type has no `files` yet.
  const request = { model: 'made', files: { 'made.gguf': digest }, stream: true as const }
  const lines = await gather(await client.create(request))
  expect(lines.filter(({ status }) => status === 'success')).toEqual([lines.at(-1)])
  for (const each of herd.remotes) expect(await each.models()).toContain('made:latest')
  expect((await client.generate({ model: 'made', prompt: 'hi' })).done).toBe(true)
})

test('a blob that is not what its digest says is refused, and nobody keeps it', async () => {
  const digest = `sha256:${createHash('sha256').update('something else').digest('hex')}`
  const answer = await fetch(`${herd.url}/api/blobs/${digest}`, { method: 'POST', body: 'this' })
  expect(answer.status).toBe(400)
  expect(await answer.json()).toEqual({
    error: `digest mismatch, expected "${digest}", got "sha256:${createHash('sha256').update('this').digest('hex')}"`,
  })
  expect((await fetch(`${herd.url}/api/blobs/${digest}`, { method: 'HEAD' })).status).toBe(404)
})

test('an upload that is given up leaves nothing behind, and the next one works', async () => {
  const blob = Buffer.alloc(4 * 2 ** 20, 'half')
  const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`
  const path = `${herd.url}/api/blobs/${digest}`
  const leaving = new AbortController()
  async function* halfOfIt() {
    yield blob.subarray(0, 2 ** 20)
    await until(async () => {
      const states = await Promise.all(herd.remotes.map((each) => each.state()))
      return states.every(({ openRequests }) => openRequests === 1)
    })
    leaving.abort()
  }
  const body = ReadableStream.from(halfOfIt())
  const upload = fetch(path, { method: 'POST', body, duplex: 'half', signal: leaving.signal })
  await expect(upload).rejects.toThrow()
  for (const each of herd.remotes) await until(async () => (await each.state()).openRequests === 0)
  expect((await fetch(path, { method: 'HEAD' })).status).toBe(404)
  expect((await fetch(path, { method: 'POST', body: blob })).status).toBe(201)
  expect(herd.proxy.stderr()).not.toContain('failed inside the proxy')
})

test('an upload that is given up while a backend is silent stays where it is whole', async () => {
  const blob = Buffer.from('weights that one backend says nothing of')
  const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`
  const [silent, ...others] = herd.remotes
  await silent!.faults({ kind: 'hang', path: '/api/blobs/*' })
  const leaving = new AbortController()
  const path = `/api/blobs/${digest}`
  const upload = fetch(herd.url + path, { method: 'POST', body: blob, signal: leaving.signal })
  const isThere = async ({ url }: Remote) =>
    (await fetch(url + path, { method: 'HEAD' })).status === 200
  for (const each of others) await until(() => isThere(each))
  await until(async () => (await silent!.state()).openRequests === 1)
  leaving.abort()
  await expect(upload).rejects.toThrow()
  await until(async () => (await silent!.state()).openRequests === 0)
  const metrics = await (await fetch(`${herd.url}/metrics`)).text()
  expect(metrics).toMatch(/^chasqui_requests_in_flight\{[^}]*op="blob"\} 0$/m)
  await silent!.faults()
  expect(await Promise.all(herd.remotes.map(isThere))).toEqual([false, true, true])
})

test('create from another model goes only where that one is', async () => {
  await client.create({ model: 'qwen-pirate', from: 'qwen3', system: 'You are a pirate.' })
  expect(await holdersOf('qwen-pirate:latest')).toEqual(['c'])
})

test('create takes a long conversation as well', async () => {
  const messages = [{ role: 'user', content: 'word '.repeat(300_000) }]
  await client.create({ model: 'talkative', from: 'qwen3', messages })
  expect(await holdersOf('talkative:latest')).toEqual(['c'])
})

test('copy and delete reach every backend that has the model', async () => {
  await client.copy({ source: 'llama3.2', destination: 'llama-copy' })
  expect(await holdersOf('llama-copy:latest')).toEqual(['a', 'b'])
  expect((await client.list()).models.map(({ name }) => name)).toContain('llama-copy:latest')

  await client.delete({ model: 'llama-copy' })
  expect(await holdersOf('llama-copy:latest')).toEqual([])
  expect((await client.list()).models.map(({ name }) => name)).not.toContain('llama-copy:latest')
  await expect(client.delete({ model: 'llama-copy' })).rejects.toMatchObject({
    status_code: 404,
    error: "model 'llama-copy' not found",
  })
})

test('copy of what nobody has is refused as Ollama refuses it', async () => {
  await expect(client.copy({ source: 'nobody-has-this', destination: 'x' })).rejects.toMatchObject({
    status_code: 404,
    error: 'model "nobody-has-this" not found',
  })
})

test('an abort in the middle of a stream stops the backend at once', async () => {
  const alone = new Ollama({ host: herd.url })
  const [a, , c] = herd.remotes
  await c!.faults({ kind: 'trickle', ms: 20, path: '/api/generate' })
  const stream = await alone.generate({ model: 'qwen3', prompt: 'go on and on', stream: true })
  let pieces = 0
  const reading = (async () => {
    for await (const _ of stream) if (++pieces === 3) stream.abort()
  })()
  await expect(reading).rejects.toThrow(/abort/i)
  await until(async () => (await cancelled(c!)).length === 1)
  expect(await cancelled(a!)).toEqual([])
  await c!.faults()
  await until(async () => (await herd.status()).in_flight === 0)
})

test('push sends the lines of the one backend that pushes', async () => {
  const lines = await gather(await client.push({ model: 'qwen3', stream: true }))
  expect(lines[0]).toEqual({ status: 'retrieving manifest' })
  expect(lines.at(-1)).toEqual({ status: 'success' })
  const pushes = await Promise.all(
    herd.remotes.map(async (each) => await tracesOf(each, '/api/push')),
  )
  expect(pushes.flat()).toHaveLength(1)
})

test('an empty prompt loads, and keep_alive 0 unloads wherever it is loaded', async () => {
  const loaded = await client.generate({ model: 'llama3.2', prompt: '' })
  expect(loaded).toMatchObject({ model: 'llama3.2', done: true, done_reason: 'load' })
  const [a, b] = herd.remotes
  // Behind the proxy's back on the other one too, so that there is something to broadcast.
  for (const each of [a!, b!])
    await fetch(`${each.url}/api/generate`, { method: 'POST', body: '{"model":"llama3.2"}' })
  await until(async () => {
    const rows = (await herd.status()).backends
    return rows.filter(({ resident }) => JSON.stringify(resident).includes('llama3.2')).length === 2
  })
  const unloaded = await client.generate({ model: 'llama3.2', prompt: '', keep_alive: 0 })
  expect(unloaded).toMatchObject({ done: true, done_reason: 'unload' })
  for (const each of [a!, b!])
    await until(async () => !(await each.loaded()).includes('llama3.2:latest'))
  await until(
    async () => !(await client.ps()).models.some(({ name }) => name === 'llama3.2:latest'),
  )
})

test('unloading what is nowhere loaded is no error, and what nobody has is not found', async () => {
  const answer = await client.generate({ model: 'qwen3', prompt: '', keep_alive: 0 })
  expect(answer.done_reason).toBe('unload')
  const again = await client.chat({ model: 'qwen3', messages: [], keep_alive: 0 })
  expect(again).toMatchObject({ done_reason: 'unload', message: { role: 'assistant' } })
  await expect(
    client.generate({ model: 'nobody-has-this', prompt: '', keep_alive: 0 }),
  ).rejects.toMatchObject({ status_code: 404 })
})

test('every command to the fleet ends in one sentence of the log', async () => {
  await client.copy({ source: 'qwen3', destination: 'for-the-log' })
  await client.delete({ model: 'for-the-log' })
  await expect(client.delete({ model: 'for-the-log' })).rejects.toThrow()
  const said = () => herd.proxy.stderr().split('\n')
  await until(() => said().filter((line) => /"op":"delete".*for-the-log/.test(line)).length === 2)
  await until(() => said().some((line) => /"op":"copy"/.test(line)))
})

async function holdersOf(model: string): Promise<string[]> {
  const lists = await Promise.all(
    herd.remotes.map(async (each) => ((await each.models()).includes(model) ? [each.name] : [])),
  )
  return lists.flat()
}

async function tracesOf(each: Remote, route: string) {
  return (await each.trace()).filter((entry) => entry.route === route)
}

async function cancelled(each: Remote) {
  return (await tracesOf(each, '/api/generate')).filter(({ cancelReason }) => cancelReason)
}
