import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ask, type Herd, type Remote, startHerd, startProxy, statusOf } from '../help/herd.ts'
import type { RunningProcess } from '../help/processes.ts'
import { until } from '../help/until.ts'

/** Memory of a, b and c; the large model fits into the largest only. */
const memory = ['4GiB', '48GiB', '16GiB']
const large = JSON.stringify(['llama3.2', { name: 'large', sizeBytes: 20 * 2 ** 30 }])
const backend = (index: number) => `memory: ${memory[index]}`
let herd: Herd
let best: RunningProcess
let fit: RunningProcess

beforeAll(async () => {
  herd = await startHerd({
    simulators: [
      ['--models', 'llama3.2'],
      ['--set', `models=${large}`],
      ['--models', 'llama3.2'],
    ],
  })
  ;[best, fit] = await Promise.all([
    startProxy(herd.remotes, { backend, env: { CHASQUI_MANAGE_PULL: 'best:2' } }),
    startProxy(herd.remotes, { backend, env: { CHASQUI_MANAGE_PULL: 'fit' } }),
  ])
  for (const { url } of [best, fit])
    await until(async () => (await statusOf(url)).active_backends === 3)
}, 60_000)
afterAll(async () => {
  await Promise.all([best, fit].map((each) => each[Symbol.asyncDispose]()))
  await herd[Symbol.asyncDispose]()
})
beforeEach(async () => {
  for (const each of herd.remotes) {
    await each.faults()
    await each.clearTrace()
  }
})

test('best:2 pulls on the two with the most memory', async () => {
  expect((await pull(best.url, 'walnut')).at(-1)).toEqual({ status: 'success' })
  expect(await holdersOf('walnut')).toEqual(['b', 'c'])
})

test('fit leaves out whoever the model is known not to fit', async () => {
  await until(async () => (await ask(`${fit.url}/api/tags`)).text.includes('large:latest'))
  expect((await pull(fit.url, 'large')).at(-1)).toEqual({ status: 'success' })
  const asked = await Promise.all(
    herd.remotes.map(async (each) => (await pullsOf(each)).length > 0),
  )
  expect(asked).toEqual([false, true, false])
  // Nobody knows how large this one is, so nobody is left out.
  expect((await pull(fit.url, 'hazel')).at(-1)).toEqual({ status: 'success' })
  expect(await holdersOf('hazel')).toEqual(['a', 'b', 'c'])
})

test('a backend that fails in the middle is named in the one line of error, with who has it', async () => {
  await herd.remotes[1]!.faults({
    kind: 'error-after-chunks',
    chunks: 3,
    text: 'no space left on device',
    path: '/api/pull',
  })
  const lines = await pull(herd.url, 'almond')
  const errors = lines.filter(({ error }) => error)
  expect(errors).toEqual([lines.at(-1)])
  expect(errors[0]!.error).toMatch(/^b: .+ \(done on a, c\)$/)
  expect(lines.some(({ status }) => status === 'success')).toBe(false)
  expect(await holdersOf('almond')).toEqual(['a', 'c'])
})

test('a backend that dies in the middle is named as well, and without stream the status says so', async () => {
  await herd.remotes[2]!.faults({ kind: 'reset', path: '/api/pull' })
  const body = '{"model":"pecan","stream":false}'
  const answer = await ask(`${herd.url}/api/pull`, { method: 'POST', body })
  expect(answer.status).toBe(500)
  expect(JSON.parse(answer.text)).toEqual({
    error: expect.stringMatching(/^c: .+ \(done on a, b\)$/),
  })
})

test('a copy that fails somewhere says where, and where it was done', async () => {
  await herd.remotes[0]!.faults({
    kind: 'status',
    status: 500,
    text: 'disk is full',
    path: '/api/copy',
  })
  const body = '{"source":"llama3.2","destination":"copied"}'
  const answer = await ask(`${herd.url}/api/copy`, { method: 'POST', body })
  expect(answer.status).toBe(502)
  expect(JSON.parse(answer.text)).toEqual({ error: 'a: disk is full (done on b, c)' })
})

test('a deletion that is lost on the way is asked for again, without any return of the backend', async () => {
  const copied = '{"source":"llama3.2","destination":"lost"}'
  expect((await ask(`${herd.url}/api/copy`, { method: 'POST', body: copied })).status).toBe(200)
  await herd.remotes[2]!.faults({ kind: 'reset', path: '/api/delete', count: 1 })
  const body = '{"model":"lost"}'
  expect((await ask(`${herd.url}/api/delete`, { method: 'DELETE', body })).status).toBe(200)
  expect((await ask(`${herd.url}/api/tags`)).text).not.toContain('lost:latest')
  expect(await holdersOf('lost')).toEqual(['c'])
  await until(async () => (await holdersOf('lost')).length === 0)
  expect((await herd.status()).active_backends).toBe(3)
})

test('a frozen backend does not hold a pull for ever', async () => {
  const [a] = herd.remotes
  a!.process.kill('SIGSTOP')
  const lines = await pull(herd.url, 'cashew')
  a!.process.kill('SIGCONT')
  expect(lines.at(-1)!.error).toMatch(/^a: it stopped answering \(done on b, c\)$/)
  await until(async () => (await herd.status()).active_backends === 3)
})

test('a frozen backend does not hold an upload for ever', async () => {
  const [a] = herd.remotes
  const bytes = Buffer.alloc(8 * 2 ** 20, 'weights')
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  a!.process.kill('SIGSTOP')
  const answer = await ask(`${herd.url}/api/blobs/${digest}`, { method: 'POST', body: bytes })
  a!.process.kill('SIGCONT')
  expect(answer.status).toBe(201)
  await until(async () => (await herd.status()).active_backends === 3)
  // Only two have it, so a model is made of it on those two.
  const body = JSON.stringify({ model: 'made', files: { 'made.gguf': digest }, stream: false })
  expect((await ask(`${herd.url}/api/create`, { method: 'POST', body })).status).toBe(200)
  expect(await holdersOf('made')).toEqual(['b', 'c'])
})

async function pull(url: string, model: string): Promise<{ status?: string; error?: string }[]> {
  const answer = await ask(`${url}/api/pull`, { method: 'POST', body: JSON.stringify({ model }) })
  return answer.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { status?: string; error?: string })
}

async function pullsOf(each: Remote) {
  return (await each.trace()).filter(({ route }) => route === '/api/pull')
}

async function holdersOf(model: string): Promise<string[]> {
  const lists = await Promise.all(
    herd.remotes.map(async (each) =>
      (await each.models()).includes(`${model}:latest`) ? [each.name] : [],
    ),
  )
  return lists.flat()
}
