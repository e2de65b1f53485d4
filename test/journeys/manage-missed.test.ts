import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  ask,
  type Herd,
  type PlainAnswer,
  type Remote,
  remote,
  startHerd,
  startProxy,
} from '../help/herd.ts'
import { startProcess } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

const data = scratchFolder()
const models = 'keep,gone-1,gone-2,gone-3,gone-4,gone-5'
const arguments_ = ['--models', models]
const env = { CHASQUI_DATA: data.path }
let herd: Herd
let a: Remote
let b: Remote
let url: string

beforeAll(async () => {
  herd = await startHerd({ simulators: [arguments_, arguments_], env })
  a = herd.remotes[0]!
  b = herd.remotes[1]!
  url = herd.url
}, 60_000)
afterAll(async () => {
  await herd[Symbol.asyncDispose]()
  await b.process[Symbol.asyncDispose]()
  data[Symbol.dispose]()
})

test('a backend that is frozen in the middle does its deletion when it thaws', async () => {
  b.process.kill('SIGSTOP')
  const answer = await deleted('gone-1')
  expect(answer.status).toBe(200)
  expect(await listed()).not.toContain('gone-1:latest')
  await until(async () => (await stateOf('b')) === 'away')
  b.process.kill('SIGCONT')
  await until(async () => !(await b.models()).includes('gone-1:latest'))
  await until(async () => (await stateOf('b')) === 'ready')
  expect(await a.models()).not.toContain('gone-1:latest')
  expect(await listed()).toContain('keep:latest')
})

test('a backend that was killed a moment ago does its deletion when it is back', async () => {
  b.process.kill('SIGKILL')
  await b.process.exited()
  const answer = await deleted('gone-2')
  expect(answer.status).toBe(200)
  expect(await listed()).not.toContain('gone-2:latest')
  await bringBack()
  await until(async () => !(await b.models()).includes('gone-2:latest'))
  expect(await listed()).not.toContain('gone-2:latest')
})

test('what a backend missed is done also when the proxy was restarted in between', async () => {
  b.process.kill('SIGKILL')
  await b.process.exited()
  await until(async () => (await stateOf('b')) === 'away')
  expect((await deleted('gone-3')).status).toBe(200)

  herd.proxy.kill('SIGKILL')
  await herd.proxy.exited()
  await using again = await startProxy([a, b], { env })
  url = again.url
  await until(async () => (await stateOf('a')) === 'ready')
  // It has never seen this backend, so it cannot know what is on it.
  expect((await deleted('gone-4')).status).toBe(200)
  await bringBack()
  await until(async () => {
    const there = await b.models()
    return !there.includes('gone-3:latest') && !there.includes('gone-4:latest')
  })
  await until(async () => (await stateOf('b')) === 'ready')
  expect(await listed()).toEqual(expect.arrayContaining(['keep:latest', 'gone-5:latest']))
  expect(await listed()).not.toContain('gone-3:latest')

  // Drained by the operator, it takes no part until it is taken back.
  await ask(`${url}/api/workers/b/drain`, { method: 'POST' })
  expect((await deleted('gone-5')).status).toBe(200)
  expect(await b.models()).toContain('gone-5:latest')
  expect(await a.models()).not.toContain('gone-5:latest')
  await ask(`${url}/api/workers/b/resume`, { method: 'POST' })
  await until(async () => !(await b.models()).includes('gone-5:latest'))

  // What is put there again is not owed any more.
  const body = '{"model":"gone-3","stream":false}'
  expect((await ask(`${url}/api/pull`, { method: 'POST', body })).status).toBe(200)
  expect(await listed()).toContain('gone-3:latest')

  // When nobody can do it nothing is promised.
  for (const each of [a, b]) each.process.kill('SIGSTOP')
  await until(async () => (await stateOf('a')) === 'away' && (await stateOf('b')) === 'away')
  const refused = await deleted('keep')
  expect(refused.status).toBe(503)
  expect(refused.headers['retry-after']).toBeDefined()
  expect(JSON.parse(refused.text)).toEqual({ error: expect.stringMatching(/a, b/) })
  for (const each of [a, b]) each.process.kill('SIGCONT')
  await until(async () => (await stateOf('a')) === 'ready' && (await stateOf('b')) === 'ready')
  for (const each of [a, b]) expect(await each.models()).toContain('keep:latest')
}, 60_000)

function deleted(model: string): Promise<PlainAnswer> {
  return ask(`${url}/api/delete`, { method: 'DELETE', body: JSON.stringify({ model }) })
}

async function listed(): Promise<string[]> {
  const { models: list } = JSON.parse((await ask(`${url}/api/tags`)).text) as {
    models: { name: string }[]
  }
  return list.map(({ name }) => name)
}

async function stateOf(name: string): Promise<string | undefined> {
  const { backends } = JSON.parse((await ask(`${url}/queue-status`)).text) as {
    backends: { name: string; state: string }[]
  }
  return backends.find((each) => each.name === name)?.state
}

/** The same server on the same port, with the models that it had at first. */
async function bringBack(): Promise<void> {
  const { port } = new URL(b.url)
  b = remote('b', await startProcess(['simulate', '--port', port, '--name', 'b', ...arguments_]))
}
