import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { request, type ServerResponse } from 'node:http'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { backendAt } from '../../src/core/backend.ts'
import { scaledClock } from '../../src/core/clock.ts'
import { doneLine, fakeModel, startFakeOllama } from '../help/fake-ollama.ts'
import { startFleet } from '../help/fleet.ts'
import { freePort } from '../help/ports.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'
import { chat, warmFleet } from '../help/warm-fleet.ts'

const tokens = 60
const betweenMs = 50
const lateMsMax = 20

/** A token every 50 ms, each of which says when it was written. */
async function tick(response: ServerResponse): Promise<void> {
  response.setHeader('content-type', 'application/x-ndjson')
  for (let token = 0; token < tokens && !response.destroyed; token++) {
    await sleep(betweenMs)
    const message = { role: 'assistant', content: `${performance.now()}` }
    response.write(`${JSON.stringify({ model: fakeModel, message, done: false })}\n`)
  }
  response.end(doneLine)
}

/** How late the tokens came, in milliseconds, and in how many reads of the client. */
async function lateness(url: string): Promise<{ lateMs: number[]; reads: number }> {
  const call = request(`${url}/api/chat`, { method: 'POST', agent: false })
  call.end(JSON.stringify({ ...chat('tell me'), stream: true }))
  const [answer] = await once(call, 'response')
  const lateMs: number[] = []
  let reads = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    const nowMs = performance.now()
    reads++
    for (const line of chunk.toString().split('\n').slice(0, -1)) {
      const { message, done } = JSON.parse(line) as { message: { content: string }; done: boolean }
      if (!done) lateMs.push(nowMs - Number(message.content))
    }
  }
  return { lateMs, reads }
}

async function tickingFleet() {
  const ollama = await startFakeOllama((_request, response) => void tick(response))
  const fleet = await startFleet({
    simulators: [],
    config: 'continuation: false',
    settings: (settings) => ({ ...settings, backends: [backendAt('a', ollama.url)] }),
  })
  await until(() => fleet.app.pool.endpoint('a')!.ready)
  const stack = new AsyncDisposableStack()
  stack.use(ollama)
  stack.use(fleet)
  return { url: fleet.url, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** The 99th of a hundred; a second try where the first was late: what others on the machine need is not ours. */
async function p99LateMs(url: string, tries = 2): Promise<number> {
  const { lateMs, reads } = await lateness(url)
  expect(lateMs).toHaveLength(tokens)
  const p99Ms = lateMs.toSorted((a, b) => a - b)[Math.ceil(tokens * 0.99) - 1]!
  // Each on its own, but for the last one and the end, which may meet.
  const isGood = p99Ms < lateMsMax && reads >= tokens * 0.95
  if (!isGood && tries > 1) return await p99LateMs(url, tries - 1)
  expect(reads).toBeGreaterThanOrEqual(tokens * 0.95)
  return p99Ms
}

const nginx = spawnSync('nginx', ['-v']).error === undefined

/** As Debian ships it: what it is given it collects, unless it is told not to. */
async function nginxBefore(url: string) {
  const folder = scratchFolder()
  const port = await freePort()
  const file = join(folder.path, 'nginx.conf')
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${folder.path}/${kind};`)
    .join(' ')
  writeFileSync(
    file,
    `daemon off; worker_processes 1; pid ${folder.path}/pid; error_log stderr crit;
     ${userInfo().uid === 0 ? 'user root;' : ''}
     events {}
     http { access_log off; ${temp}
       server { listen 127.0.0.1:${port}; location / { proxy_pass ${url}; proxy_http_version 1.1; } } }`,
  )
  const child = spawn('nginx', ['-p', folder.path, '-c', file, '-e', 'stderr'], { stdio: 'ignore' })
  const listening = async () =>
    await fetch(`http://127.0.0.1:${port}/livez`).then(
      ({ ok }) => ok,
      () => false,
    )
  while (!(await listening())) {
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode}`)
    await sleep(20)
  }
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      if (child.exitCode === null) await once(child, 'exit')
      folder[Symbol.dispose]()
    },
  }
}

describe('a stream of tokens', () => {
  it('lets each one out as it comes, within 20 ms', async () => {
    await using fleet = await tickingFleet()
    expect(await p99LateMs(fleet.url)).toBeLessThan(lateMsMax)
  })

  it.skipIf(!nginx)(
    `does so behind an nginx that buffers${nginx ? '' : ' (skipped: there is no nginx here)'}`,
    async () => {
      await using fleet = await tickingFleet()
      await using front = await nginxBefore(fleet.url)
      expect(await p99LateMs(front.url)).toBeLessThan(lateMsMax)
    },
  )

  it('goes on for half an hour with a token every 20 s: no timer of ours ends it', async () => {
    const clockSpeed = 600
    await using fleet = await warmFleet({
      simulators: [{ clockSpeed, decodeTokensPerSecond: 1 / 20, answerTokens: 90 }],
      // Five seconds to connect would be eight milliseconds of a busy machine here.
      config: 'probes: { interval: 1h, timeout: 55m }\ntimeouts: { connect: 30m }',
      doors: { clock: scaledClock(clockSpeed) },
    })
    const clock = scaledClock(clockSpeed)
    const startedMs = clock.now()
    const body = JSON.stringify({ ...chat('tell me'), stream: true })
    const answer = await fetch(`${fleet.url}/api/chat`, { method: 'POST', body })
    const lines = (await answer.text()).trim().split('\n')
    expect(clock.now() - startedMs).toBeGreaterThan(29 * 60_000)
    expect(lines).toHaveLength(91)
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ done: true, done_reason: 'stop' })
    expect(fleet.ended.at(-1)).toMatchObject({ ending: 'ok', attempts: 1 })
  })
})
