import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ask, type Herd, startHerd } from '../help/herd.ts'
import { until } from '../help/until.ts'

/** Two proxies would only cost time: the token changes nothing for who does not send it. */
const token = 'the-operator-s-secret'
const blob = `sha256:${'0'.repeat(64)}`
let herd: Herd

const changes: [string, string, string][] = [
  ['POST', '/api/pull', '{"model":"walnut","stream":false}'],
  ['POST', '/api/push', '{"model":"llama3.2","stream":false}'],
  ['POST', '/api/create', '{"model":"made","from":"llama3.2","stream":false}'],
  ['POST', '/api/copy', '{"source":"llama3.2","destination":"copied"}'],
  ['DELETE', '/api/delete', '{"model":"copied"}'],
  ['POST', `/api/blobs/${blob}`, 'bytes'],
  ['POST', '/api/signout', ''],
  ['DELETE', '/api/user/keys/abc', ''],
]

const forwarded: Record<string, string>[] = [
  { 'X-Forwarded-For': '203.0.113.7' },
  { 'X-Forwarded-Proto': 'https' },
  { 'X-Real-IP': '203.0.113.7' },
  { Forwarded: 'for=203.0.113.7' },
  { Via: '1.1 a-cdn' },
]

beforeAll(async () => {
  herd = await startHerd({
    simulators: [
      ['--models', 'llama3.2,all-minilm'],
      ['--models', 'llama3.2'],
    ],
    env: { CHASQUI_ADMIN_TOKEN: token },
  })
}, 60_000)
afterAll(() => herd[Symbol.asyncDispose]())
beforeEach(() => herd.remotes[1]!.faults())

test.each(changes)('%s %s from behind another proxy is refused', async (method, path, body) => {
  for (const headers of forwarded) {
    const answer = await ask(herd.url + path, { method, headers, body })
    expect({ headers, status: answer.status }).toEqual({ headers, status: 403 })
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(JSON.parse(answer.text)).toEqual({ error: expect.stringMatching(/admin token/) })
  }
  for (const each of herd.remotes) {
    const reached = (await each.trace()).filter(({ route }) => route === path)
    expect(reached).toEqual([])
  }
})

test.each([
  { Authorization: 'Bearer wrong' },
  { 'X-Chasqui-Admin-Token': 'wrong' },
  { Authorization: `Basic ${token}` },
  { Authorization: 'Bearer ' },
])('a wrong token is none: %o', async (given) => {
  const headers = { 'X-Forwarded-For': '203.0.113.7', ...given } as Record<string, string>
  const body = '{"source":"llama3.2","destination":"copied"}'
  expect((await ask(`${herd.url}/api/copy`, { method: 'POST', headers, body })).status).toBe(403)
})

test.each([{ Authorization: `Bearer ${token}` }, { 'X-Chasqui-Admin-Token': token }])(
  'with the token the same calls are allowed from anywhere: %o',
  async (credential) => {
    const headers = { 'X-Forwarded-For': '203.0.113.7', ...credential } as Record<string, string>
    for (const [method, path, body] of changes) {
      const answer = await ask(herd.url + path, { method, headers, body })
      // What a backend makes of it is its own business.
      expect({ path, refused: answer.status === 403 }).toEqual({ path, refused: false })
    }
    for (const each of herd.remotes) {
      for (const { headers } of await each.trace())
        expect(JSON.stringify(headers)).not.toContain(token)
      await each.clearTrace()
    }
  },
)

test('from this machine itself no token is needed', async () => {
  const body = '{"source":"llama3.2","destination":"by-hand"}'
  expect((await ask(`${herd.url}/api/copy`, { method: 'POST', body })).status).toBe(200)
})

test('one backend, and the operator words, are for the operator as well', async () => {
  const headers = { 'X-Forwarded-For': '203.0.113.7' }
  const paths: [string, string][] = [
    ['GET', '/backends/a/api/tags'],
    ['POST', '/backends/a/api/generate'],
    ['POST', '/api/workers/a/drain'],
  ]
  for (const [method, path] of paths) {
    const answer = await ask(herd.url + path, { method, headers })
    expect({ path, status: answer.status }).toEqual({ path, status: 403 })
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/)
    expect(JSON.parse(answer.text)).toMatchObject({ code: 'admin_only', fix: expect.any(String) })
  }
})

test('straight through to one backend: the path, the query and the answer as they are', async () => {
  const headers = { 'X-Forwarded-For': '203.0.113.7', Authorization: `Bearer ${token}` }
  const [, b] = herd.remotes
  const direct = await ask(`${b!.url}/api/tags`)
  const through = await ask(`${herd.url}/backends/b/api/tags`, { headers })
  expect(through.text).toBe(direct.text)
  const body = '{"model" :"llama3.2", "prompt":"hi", "stream":false}'
  await b!.clearTrace()
  const generated = await ask(`${herd.url}/backends/b/api/generate`, { method: 'POST', body })
  expect(generated.status).toBe(200)
  const [entry] = (await b!.trace()).filter(({ route }) => route === '/api/generate')
  expect(entry!.bodyText).toBe(body)
  expect(
    new Map(entry!.headers.map(([name, value]) => [name.toLowerCase(), value])).get('host'),
  ).toBe(new URL(b!.url).host)
  const nobody = await ask(`${herd.url}/backends/nobody/api/tags`)
  expect(nobody.status).toBe(404)
  expect(JSON.parse(nobody.text)).toMatchObject({ code: 'backend_unknown' })
})

test.each([
  ['in the middle of the answer', { kind: 'trickle' as const, ms: 30 }],
  ['before the answer begins', { kind: 'hang' as const }],
])('who leaves %s frees the one backend', async (_, fault) => {
  const [, b] = herd.remotes
  await b!.clearTrace()
  await b!.faults({ ...fault, path: '/api/generate' })
  const leaving = new AbortController()
  const body = '{"model":"llama3.2","prompt":"go on and on"}'
  const call = fetch(`${herd.url}/backends/b/api/generate`, {
    method: 'POST',
    body,
    signal: leaving.signal,
  })
  const generations = async () =>
    (await b!.trace()).filter(({ route }) => route === '/api/generate')
  if (fault.kind === 'trickle') await (await call).body!.getReader().read()
  else await until(async () => (await generations()).length === 1)
  leaving.abort()
  await call.catch(() => {})
  await until(async () => (await generations()).some(({ cancelReason }) => cancelReason))
})

test('reading and inference stay open to everybody', async () => {
  const headers = { 'X-Forwarded-For': '203.0.113.7' }
  const open: [string, string, string][] = [
    ['GET', '/', ''],
    ['GET', '/api/tags', ''],
    ['GET', '/api/ps', ''],
    ['GET', '/api/version', ''],
    ['GET', '/v1/models', ''],
    ['GET', '/v1/models/llama3.2', ''],
    ['GET', '/queue-status', ''],
    ['POST', '/api/show', '{"model":"llama3.2"}'],
    ['POST', '/api/generate', '{"model":"llama3.2","prompt":"hi"}'],
    ['POST', '/api/chat', '{"model":"llama3.2","messages":[{"role":"user","content":"hi"}]}'],
    ['POST', '/api/embed', '{"model":"all-minilm","input":"hi"}'],
    ['POST', '/v1/embeddings', '{"model":"all-minilm","input":"hi"}'],
    ['POST', '/generate', '{"model":"llama3.2","prompt":"hi"}'],
  ]
  for (const [method, path, body] of open) {
    const answer = await ask(herd.url + path, { method, headers, ...(body ? { body } : {}) })
    expect({ path, status: answer.status }).toEqual({ path, status: 200 })
  }
  expect((await ask(`${herd.url}/api/blobs/${blob}`, { method: 'HEAD', headers })).status).toBe(404)
})
