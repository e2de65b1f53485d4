import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Herd, startHerd } from '../help/herd.ts'
import { scratchFolder } from '../help/scratch.ts'

const run = promisify(execFile)
const hasCurl = await run('curl', ['--version']).then(
  () => true,
  () => false,
)
if (!hasCurl) console.warn('skipped: there is no curl on this machine, so nothing here was tried')

let herd: Herd

beforeAll(async () => {
  if (hasCurl) herd = await startHerd({ simulators: [['--models', 'codellama:13b,qwen3']] })
}, 60_000)
afterAll(() => herd?.[Symbol.asyncDispose]())

const answerOf = (...args: string[]) => curl('--fail-with-body', ...args)

async function curl(...args: string[]): Promise<string> {
  const { stdout } = await run('curl', ['-sS', '--max-time', '10', ...args])
  return stdout
}

test.skipIf(!hasCurl)(
  '/generate takes a prompt, with the type that curl sends by itself',
  async () => {
    const request = '{"model":"codellama:13b","prompt":"Say hello"}'
    const answer = JSON.parse(await answerOf(`${herd.url}/generate`, '-d', request))
    expect(answer).toMatchObject({ model: 'codellama:13b', done: true, done_reason: 'stop' })
    expect(answer.response).not.toBe('')
    expect(answer.eval_count).toBeGreaterThan(0)
  },
)

test.skipIf(!hasCurl)('/generate takes commands, without a Content-Type too', async () => {
  const request = JSON.stringify({
    model: 'codellama:13b',
    commands: 'apt update\napt install nginx',
    instruction: 'Turn these shell commands into Ansible tasks',
  })
  const bare = await answerOf(`${herd.url}/generate`, '-H', 'Content-Type:', '-d', request)
  expect(JSON.parse(bare)).toMatchObject({ model: 'codellama:13b', done: true })
})

test.skipIf(!hasCurl)('/generate streams lines when it is asked to', async () => {
  const request = '{"model":"codellama:13b","prompt":"Say hello","stream":true}'
  const lines = (await answerOf('-N', `${herd.url}/generate`, '-d', request)).trimEnd().split('\n')
  const chunks = lines.map((line) => JSON.parse(line) as { done: boolean })
  expect(chunks.length).toBeGreaterThan(5)
  expect(chunks.map(({ done }) => done).indexOf(true)).toBe(chunks.length - 1)
})

test.skipIf(!hasCurl)('/generate says what is wrong as a problem with a fix', async () => {
  const answer = await curl(`${herd.url}/generate`, '-d', '{"model":"m","promt":"x"}', '-i')
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  expect(head).toMatch(/^HTTP\/1\.1 400 /)
  expect(head).toMatch(/content-type: application\/problem\+json/i)
  expect(JSON.parse(body)).toMatchObject({
    status: 400,
    code: 'request_invalid',
    fix: expect.any(String),
    detail: expect.stringMatching(/did you mean "prompt"/),
  })
  expect(await curl('-o', '/dev/null', '-w', '%{http_code}', `${herd.url}/generate`)).toBe('405')
})

test.skipIf(!hasCurl)('/queue-status begins with the four fields that it always had', async () => {
  const status = JSON.parse(await answerOf(`${herd.url}/queue-status`)) as object
  expect(Object.keys(status).slice(0, 4)).toEqual([
    'queue_size',
    'active',
    'active_backends',
    'total_backends',
  ])
  expect(status).toMatchObject({
    queue_size: 0,
    active: false,
    active_backends: 1,
    total_backends: 1,
  })
})

test.skipIf(!hasCurl)('HEAD /api/tags has the head of GET and no body', async () => {
  const head = await answerOf('-I', `${herd.url}/api/tags`)
  expect(head).toMatch(/^HTTP\/1\.1 200 /)
  expect(head).toMatch(/content-type: application\/json; charset=utf-8/i)
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1])
  expect(length).toBe(Buffer.byteLength(await answerOf(`${herd.url}/api/tags`)))
})

test.skipIf(!hasCurl)('copy and delete work with the bodies that people type', async () => {
  await answerOf(`${herd.url}/api/copy`, '-d', '{"source":"qwen3","destination":"for-curl"}')
  expect(await answerOf(`${herd.url}/api/tags`)).toContain('for-curl:latest')
  await answerOf('-X', 'DELETE', `${herd.url}/api/delete`, '-d', '{"name":"for-curl"}')
  expect(await answerOf(`${herd.url}/api/tags`)).not.toContain('for-curl:latest')
})

test.skipIf(!hasCurl)(
  'a large file is uploaded as curl does it: asked for first, then sent',
  async () => {
    using folder = scratchFolder()
    const file = join(folder.path, 'weights.gguf')
    const bytes = Buffer.alloc(3 * 2 ** 20, 'weights')
    writeFileSync(file, bytes)
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    const url = `${herd.url}/api/blobs/${digest}`
    const expecting = ['-H', 'Expect: 100-continue', '-X', 'POST', '-T', file, '-v', url]
    const { stderr } = await run('curl', ['-sS', '--max-time', '10', ...expecting])
    expect(stderr).toMatch(/< HTTP\/1\.1 100 Continue/)
    expect(stderr).toMatch(/< HTTP\/1\.1 201/)
    expect(await answerOf('-I', url)).toMatch(/^HTTP\/1\.1 200/)
  },
)

test.skipIf(!hasCurl)('HTTP/1.0 clients get a whole answer', async () => {
  const request = '{"model":"codellama:13b","prompt":"Say hello"}'
  const lines = await answerOf('--http1.0', `${herd.url}/api/generate`, '-d', request)
  expect(JSON.parse(lines.trimEnd().split('\n').at(-1)!)).toMatchObject({ done: true })
})
