import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { startApp } from '../../src/app.ts'
import { backendAt } from '../../src/core/backend.ts'
import { scaledClock } from '../../src/core/clock.ts'
import { backendsYaml, type Configured, startConfigured } from '../help/configured.ts'
import { settingsFrom } from '../help/fleet.ts'
import { ask, statusOf } from '../help/herd.ts'
import { openCall } from '../help/open-call.ts'
import { freePort, takesConnections } from '../help/ports.ts'
import { startProcess } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { steadyLoad } from '../help/steady-load.ts'
import { until } from '../help/until.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const model = 'llama3.2'
const body = JSON.stringify({
  model,
  stream: false,
  messages: [{ role: 'user', content: 'hello' }],
})

/** The servers behind a supervisor. */
function serversOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
  return children === '' ? [] : children.split(' ').map(Number)
}

const startSupervised = async (backends: Parameters<typeof backendsYaml>[0]) => {
  const house = await startConfigured(backendsYaml(backends), {
    args: ['--supervised'],
    // This is not about a busy machine that misses its probes.
    env: { CHASQUI_PROBES_INTERVAL: '2s', CHASQUI_PROBES_TIMEOUT: '1900ms' },
  })
  await until(async () => (await statusOf(house.url)).active_backends === backends.length)
  return house
}

describe.skipIf(process.platform !== 'linux')('a server behind a supervisor', () => {
  it('is replaced under load, twice: nobody is refused, nothing fails, a stream ends where it began', {
    timeout: 120_000,
  }, async () => {
    await using simulator = await startSimulator({
      models: [model, 'slow'],
      slots: 100,
      answerTokens: 3,
      decodeTokensPerSecond: 2_000,
      slowdownAlpha: 0,
    })
    await using long = await startSimulator({
      models: ['long'],
      answerTokens: 150,
      decodeTokensPerSecond: 40,
    })
    await using house = await startSupervised([
      { name: 'a', url: simulator.url, more: 'slots: 100' },
      { name: 'b', url: long.url },
    ])
    const { proxy, url } = house
    const [first] = serversOf(proxy.pid)
    const stream = openCall(`${url}/api/generate`, {
      body: { model: 'long', prompt: 'a long one' },
    })
    await until(() => stream.lines().length > 2)

    const load = steadyLoad(`${url}/api/chat`, { perSecond: 200, body })
    await until(() => load.sent() > 100)
    const checks = healthChecks(`${url}/readyz`)
    const taken = () => proxy.stderr().split('the new server has taken over').length - 1
    for (const times of [1, 2]) {
      proxy.kill('SIGUSR2')
      await until(() => taken() === times, 45_000)
      const before = load.sent()
      await until(() => load.sent() > before + 100)
    }
    const { sent, ok, failed } = await load.stop()
    expect({ failed, ok }).toEqual({ failed: {}, ok: sent })
    expect(await checks.stop()).toEqual(new Set([200]))
    expect(sent).toBeGreaterThan(400)

    expect(await stream.ended).toBe('clean')
    expect(JSON.parse(stream.lines().at(-1)!)).toMatchObject({ done: true, eval_count: 150 })
    // The old ones go when their last answer has been given.
    await until(() => serversOf(proxy.pid).length === 1, 20_000)
    expect(serversOf(proxy.pid)).not.toContain(first)
    expect(proxy.stdout()).toBe(`ready ${url}\n`)
    proxy.kill('SIGTERM')
    expect(await proxy.exited()).toBe(0)
  })

  it('leaves when its supervisor is killed, and the port is free for the next start', async () => {
    const port = await freePort()
    await using simulator = await startSimulator({
      models: [model],
      answerTokens: 60,
      decodeTokensPerSecond: 40,
    })
    const args = ['up', '--supervised', '--listen', `127.0.0.1:${port}`, '--backend', simulator.url]
    await using proxy = await startProcess(args)
    await until(async () => (await statusOf(proxy.url)).active_backends === 1)
    const [server] = serversOf(proxy.pid)
    const stream = openCall(`${proxy.url}/api/generate`, { body: { model, prompt: 'x' } })
    await until(() => stream.text() !== '')
    process.kill(proxy.pid, 'SIGKILL')
    await until(async () => !(await takesConnections(port)), 3_000)
    await using next = await startProcess(args)
    expect((await ask(`${next.url}/livez`)).status).toBe(200)
    // What ran goes on until it is done.
    expect(await stream.ended).toBe('clean')
    expect(JSON.parse(stream.lines().at(-1)!)).toMatchObject({ done: true })
    await until(() => !lives(server!), 10_000)
  })

  it('works as the first process of a container, where nobody else would end it', async (test) => {
    if (!mayUnshare()) test.skip('this user may make no namespaces')
    using folder = scratchFolder()
    const main = join(import.meta.dirname, '../../src/main.mjs')
    const inside = ['--fork', '--pid', '--mount-proc', '--user', '--map-root-user', '--kill-child']
    const child = spawn(
      'unshare',
      [...inside, process.execPath, main, 'up', '--listen', '127.0.0.1:0'],
      {
        cwd: folder.path,
        env: { ...process.env, CHASQUI_SUPERVISED: '1', CHASQUI_DATA: folder.path },
      },
    )
    try {
      const said = collect(child)
      await until(() => /^ready \S+\n$/.test(said.out), 30_000)
      const url = said.out.slice('ready '.length, -1)
      const [supervisor] = serversOf(child.pid!)
      const [server] = serversOf(supervisor!)
      process.kill(supervisor!, 'SIGUSR2')
      await until(() => said.err.includes('the new server has taken over'), 20_000)
      await until(() => serversOf(supervisor!).length === 1, 20_000)
      expect(serversOf(supervisor!)).not.toEqual([server])
      expect((await ask(`${url}/livez`)).status).toBe(200)
      process.kill(supervisor!, 'SIGTERM')
      await until(() => child.exitCode !== null, 10_000)
      expect([child.exitCode, said.out]).toEqual([0, `ready ${url}\n`])
    } finally {
      child.kill('SIGKILL')
    }
  })
})

describe.skipIf(process.platform !== 'linux')('a supervisor', () => {
  let house: Configured
  beforeAll(async () => {
    house = await startSupervised([])
  })
  afterAll(() => house[Symbol.asyncDispose]())

  it('keeps the server whose successor does not come up, and replaces it when that is mended', async () => {
    const { proxy } = house
    const [first] = serversOf(proxy.pid)
    // Wrong for a reload and for a successor alike.
    house.write('queue: {maxx: 3}\n')
    proxy.kill('SIGUSR2')
    await until(() => proxy.stderr().includes('the old one goes on'), 20_000)
    expect(proxy.stderr()).toContain(`${house.file}:1:9: queue.maxx is no known key`)
    expect([serversOf(proxy.pid), (await ask(`${house.url}/livez`)).status]).toEqual([[first], 200])
    house.write('queue: {max: 3}\n')
    proxy.kill('SIGUSR2')
    await until(() => proxy.stderr().includes('the new server has taken over'), 20_000)
    expect(serversOf(proxy.pid).at(-1)).not.toBe(first)
    expect(proxy.stdout()).toBe(`ready ${house.url}\n`)
  })

  it('starts a server again that is killed: who connects in between waits and is not refused', async () => {
    const { proxy, url } = house
    // A successor would wait for this one; here everybody waits for the server.
    house.write('queue: {max: 3}\nbackends: [{url: "http://127.0.0.1:9"}]\n')
    await until(async () => (await statusOf(url)).total_backends === 1)
    for (let round = 1; round <= 2; round++) {
      process.kill(serversOf(proxy.pid).at(-1)!, 'SIGKILL')
      await until(() => proxy.stderr().split('SIGKILL').length - 1 === round)
      const startedMs = performance.now()
      const waiting = await Promise.all([1, 2, 3].map(() => ask(`${url}/livez`)))
      expect(waiting.map(({ status }) => status)).toEqual([200, 200, 200])
      expect(performance.now() - startedMs).toBeLessThan(5_000)
    }
    expect(proxy.stdout()).toBe(`ready ${url}\n`)
    // Reload reaches the one that serves.
    house.write('queue: {max: 4}\n')
    proxy.kill('SIGHUP')
    await until(() => proxy.stderr().includes('queue.max 3 → 4'))
  })

  it('ends with the word of a first server that can not start and its code', async () => {
    const taken = startProcess(['up', '--supervised', '--listen', house.url.replace('http://', '')])
    await expect(taken).rejects.toThrow(/ended with 1:[\s\S]*port \d+ on 127\.0\.0\.1 is taken/)
    const wrong = startProcess(['up'], { CHASQUI_SUPERVISED: 'perhaps' })
    await expect(wrong).rejects.toThrow(/ended with 3:[\s\S]*CHASQUI_SUPERVISED must be 1 or 0/)
  })
})

it('a successor does not take over where it finds less than the one that serves', async () => {
  using folder = scratchFolder()
  const closed = await freePort()
  const settings = {
    ...settingsFrom('', folder.path),
    backends: [backendAt('here', `http://127.0.0.1:${closed}`)],
  }
  // Fifty times as fast as life: it waits long before it gives up.
  const doors = (otherFinds: string[]) => ({
    clock: scaledClock(50),
    inherited: { fd: -1, otherFinds },
  })
  await expect(startApp(settings, doors(['here', 'removed']))).rejects.toThrow(
    'here can be reached from the server that is to be replaced, and not from this one',
  )
  // What the other one does not find either is no reason; then it is the socket that is missing.
  await expect(startApp(settings, doors(['removed']))).rejects.not.toThrow('can be reached')
})

/** What a load balancer sees that asks all the time, each time on a new connection. */
function healthChecks(url: string): { stop(): Promise<Set<number | string | undefined>> } {
  const seen = new Set<number | string | undefined>()
  let over = false
  const asking = (async () => {
    while (!over) {
      const asked = await ask(url).catch((error: NodeJS.ErrnoException) => ({ status: error.code }))
      seen.add(asked.status)
      await new Promise((resolve) => setTimeout(resolve, 3))
    }
  })()
  return {
    async stop() {
      over = true
      await asking
      return seen
    },
  }
}

function lives(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

function mayUnshare(): boolean {
  try {
    execFileSync(
      'unshare',
      ['--fork', '--pid', '--mount-proc', '--user', '--map-root-user', 'true'],
      { stdio: 'ignore' },
    )
    return true
  } catch {
    return false
  }
}

function collect(child: ChildProcess): { out: string; err: string } {
  const said = { out: '', err: '' }
  child.stdout?.on('data', (bytes) => (said.out += bytes))
  child.stderr?.on('data', (bytes) => (said.err += bytes))
  return said
}
