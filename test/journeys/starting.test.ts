import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get, type IncomingMessage, request } from 'node:http'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { freePort, takesConnections } from '../help/ports.ts'
import {
  type RunningProcess,
  runCommand,
  startProcess,
  startProxyProcess,
} from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const home = resolve(import.meta.dirname, '../..')
const quick = { CHASQUI_PROBES_INTERVAL: '500ms', CHASQUI_PROBES_TIMEOUT: '490ms' }
/** For a machine with much else to do: the first look must not be missed where the banner is read. */
const patient = { CHASQUI_PROBES_INTERVAL: '10s', CHASQUI_PROBES_TIMEOUT: '9s' }
const hasCurl = spawnSync('curl', ['--version']).status === 0

/** The indented line of a banner that starts with these words. */
function lineOf(process: RunningProcess, start: string): string {
  const found = process
    .stderr()
    .split('\n')
    .map((line) => line.trim())
    .find((line) => line.startsWith(start))
  if (found === undefined) throw new Error(`no "${start}" in:\n${process.stderr()}`)
  return found
}

async function shell(line: string): Promise<string> {
  const { stdout } = await promisify(execFile)('sh', ['-c', line])
  return stdout
}

const post = (url: string, body: object) =>
  fetch(url, { method: 'POST', body: JSON.stringify(body) })

/** An answer that has begun and goes on for a while; its text comes when it has ended. */
async function runningStream(url: string, model: string): Promise<{ rest: Promise<string> }> {
  await until(() => isReady(url), 30_000)
  const asking = request(`${url}/api/generate`, { method: 'POST', agent: false })
  asking.end(JSON.stringify({ model, prompt: 'tell me' }))
  const [incoming] = (await once(asking, 'response')) as [IncomingMessage]
  incoming.setEncoding('utf8')
  let text = ''
  incoming.on('data', (chunk: string) => (text += chunk))
  const ended = new Promise<string>((resolve) => incoming.on('close', () => resolve(text)))
  await until(() => text !== '')
  return { rest: ended }
}

async function idleConnection(url: string): Promise<Agent> {
  const agent = new Agent({ keepAlive: true })
  const [incoming] = (await once(get(`${url}/livez`, { agent }), 'response')) as [IncomingMessage]
  incoming.resume()
  await once(incoming, 'end')
  await until(() => Object.keys(agent.freeSockets).length === 1)
  return agent
}

describe('start without any Ollama', () => {
  it('serves the demo, says so plainly, and its lines work when pasted', async (test) => {
    if (await takesConnections(11434)) test.skip('something listens on 127.0.0.1:11434')
    await using proxy = await startProcess(['start', '--listen', '127.0.0.1:0'], patient)
    expect(proxy.stdout()).toBe(`ready ${proxy.url}\n`)
    expect(proxy.stderr()).toContain('no Ollama answers on this machine')
    expect(proxy.stderr()).toContain('These are simulated servers')
    expect(proxy.stderr()).toContain('Nothing here runs on a real model')
    for (const name of ['den', 'attic', 'studio', 'shed'])
      expect(proxy.stderr()).toMatch(new RegExp(`✓ ${name} +127\\.0\\.0\\.1:\\d+ +v\\d`))

    const curl = lineOf(proxy, 'curl -X POST')
    const [, url = '', body = ''] = /POST (\S+) -d '(.*)'$/.exec(curl) ?? []
    const answer = hasCurl
      ? (JSON.parse(await shell(`${curl} --silent --show-error`)) as object)
      : await (await fetch(url, { method: 'POST', body })).json()
    expect(answer).toMatchObject({ done: true, response: expect.stringMatching(/\w/) })

    const host = await shell(`${lineOf(proxy, 'export OLLAMA_HOST=')}; printf %s "$OLLAMA_HOST"`)
    expect(`http://${host}`).toBe(proxy.url)
    expect(await (await fetch(`http://${host}/`)).text()).toBe('Ollama is running')

    const add = lineOf(proxy, 'npm start -- ')
    const flags = add.replace('npm start -- ', '').split(' ')
    expect(flags).toEqual(['--backend', 'http://OTHER-HOST:11434'])
    const health = (await (await fetch(`${proxy.url}/health`)).json()) as object
    expect(health).toMatchObject({ status: 'ok', demo: true })
    expect(proxy.stdout()).toBe(`ready ${proxy.url}\n`)
  })

  it('serves the demo for CHASQUI_DEMO=1, and says which backends it leaves out', async () => {
    const backends = { CHASQUI_BACKENDS: 'http://127.0.0.1:9' }
    await using proxy = await startProcess(['up', '--listen', '127.0.0.1:0'], {
      ...backends,
      CHASQUI_DEMO: '1',
    })
    expect(proxy.stderr()).toContain('the backends that are configured are left out')
    expect(proxy.stderr()).toContain('These are simulated servers')
    expect(proxy.stderr()).not.toContain('127.0.0.1:9 ')
  })
})

describe('start with an Ollama on this machine', () => {
  it('takes it; while it has no model, says so and prints a pull that works', async (test) => {
    const simulator = await startSimulator({ port: 11434, models: [] }).catch(() => undefined)
    if (!simulator)
      return test.skip('127.0.0.1:11434 is taken, so no Ollama can be simulated there')
    try {
      await using proxy = await startProcess(['start', '--listen', '127.0.0.1:0'], patient)
      expect(proxy.stderr()).toMatch(/✓ local +127\.0\.0\.1:11434 +v\S+ +0 models/)
      expect(proxy.stderr()).not.toContain('These are simulated servers')
      expect(proxy.stderr()).toContain('No backend has a model that writes text yet')
      const add = lineOf(proxy, 'npm start -- ')
      expect(add).toBe(
        'npm start -- --backend http://127.0.0.1:11434 --backend http://OTHER-HOST:11434',
      )
      const pull = lineOf(proxy, `curl ${proxy.url}/api/pull`)
      if (hasCurl) expect(await shell(`${pull} --silent`)).toContain('"status":"success"')
      else {
        const pulled = await post(`${proxy.url}/api/pull`, { model: 'llama3.2' })
        expect(await pulled.text()).toContain('"status":"success"')
      }
      const [, body = ''] = / -d '(.*)'$/.exec(lineOf(proxy, 'curl -X POST')) ?? []
      const answer = await fetch(`${proxy.url}/generate`, { method: 'POST', body })
      expect([answer.status, await answer.json()]).toMatchObject([200, { done: true }])
      // OLLAMA_HOST points at us, so it never makes a backend.
      const args = ['start', '--listen', '127.0.0.1:0', ...add.split(' ').slice(3)]
      await using other = await startProcess(args, { OLLAMA_HOST: proxy.url })
      expect(other.stderr()).toMatch(/ 127\.0\.0\.1-11434 .*\n.* other-host-11434 /)
      expect(other.stderr()).not.toContain(`${proxy.url.replace('http://', '')} `)
    } finally {
      await simulator.close()
    }
  })
})

describe('start while every backend is down', () => {
  it('starts, says so, answers 503 at once, and recovers by itself', async () => {
    const port = await freePort()
    await using proxy = await startProxyProcess([`http://127.0.0.1:${port},name=den`], [], quick)
    expect(proxy.stderr()).toMatch(/○ den +127\.0\.0\.1:\d+ +away: \S+/)
    expect(proxy.stderr()).toContain('No backend answers yet')
    const ready = await fetch(`${proxy.url}/readyz`)
    expect([ready.status, await ready.json()]).toEqual([503, { status: 'no backend is ready' }])
    expect((await fetch(`${proxy.url}/livez`)).status).toBe(200)

    const messages = [{ role: 'user', content: 'hello' }]
    const asks: readonly (readonly [path: string, shape: object])[] = [
      ['/api/chat', { error: expect.any(String) }],
      ['/v1/chat/completions', { error: { code: 'all_away', message: expect.any(String) } }],
      ['/v1/messages', { type: 'error', error: { type: 'overloaded_error' } }],
      ['/generate', { code: 'all_away', status: 503, fix: expect.any(String) }],
    ]
    for (const [path, shape] of asks) {
      const input = path === '/generate' ? { prompt: 'hello' } : { messages, max_tokens: 5 }
      let fastestMs = Number.POSITIVE_INFINITY
      // The fastest of three: the limit is about what we do, not about what else this machine does.
      for (let round = 0; round < 3; round++) {
        const startedMs = performance.now()
        const answer = await post(`${proxy.url}${path}`, { model: 'llama3.2', ...input })
        const body: unknown = await answer.json()
        fastestMs = Math.min(fastestMs, performance.now() - startedMs)
        expect([path, answer.status]).toEqual([path, 503])
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
        expect(body).toMatchObject(shape)
      }
      expect(fastestMs).toBeLessThan(100)
    }

    const simulator = await startSimulator({ port, models: ['llama3.2'] })
    try {
      await until(async () => (await fetch(`${proxy.url}/readyz`)).status === 200, 30_000)
      const answer = await post(`${proxy.url}/api/chat`, { model: 'llama3.2', messages })
      expect(answer.status).toBe(200)
      expect(await answer.text()).toContain('"done":true')
    } finally {
      await simulator.close()
    }
  })

  it('starts without any backend, and says how to add one', async () => {
    await using proxy = await startProxyProcess([])
    expect(proxy.stderr()).toContain('no backend yet')
    expect(lineOf(proxy, 'npm start -- ')).toBe('npm start -- --backend http://OTHER-HOST:11434')
    const answer = await post(`${proxy.url}/generate`, { model: 'llama3.2', prompt: 'hello' })
    expect([answer.status, await answer.json()]).toMatchObject([503, { code: 'no_backend' }])
  })
})

describe('stop', () => {
  it('exits with 0 within a second while clients keep idle connections (case 76)', async () => {
    await using proxy = await startProxyProcess([])
    const agents = await Promise.all(Array.from({ length: 5 }, () => idleConnection(proxy.url)))
    const startedMs = performance.now()
    proxy.kill('SIGTERM')
    expect(await proxy.exited()).toBe(0)
    expect(performance.now() - startedMs).toBeLessThan(1_000)
    expect(proxy.stdout()).toBe(`ready ${proxy.url}\n`)
    expect(proxy.stderr()).toContain('chasqui: SIGTERM, stopping')
    for (const agent of agents) agent.destroy()
  })

  it('lets a running stream finish; readiness has failed by then', async () => {
    await using simulator = await startSimulator({
      models: ['llama3.2'],
      answerTokens: 40,
      decodeTokensPerSecond: 30,
    })
    await using proxy = await startProxyProcess([simulator.url], [], quick)
    const stream = await runningStream(proxy.url, 'llama3.2')
    const idle = await idleConnection(proxy.url)
    let over = false
    void stream.rest.then(() => (over = true))
    proxy.kill('SIGTERM')
    await until(async () => !(await isReady(proxy.url)))
    expect(over).toBe(false)
    expect(await stream.rest).toMatch(/"done":true.*\n$/)
    expect(await proxy.exited()).toBe(0)
    idle.destroy()
  })

  it('ends a stream with one line of error when the drain limit is over', async () => {
    await using simulator = await startSimulator({
      models: ['llama3.2'],
      answerTokens: 10_000,
      decodeTokensPerSecond: 20,
    })
    const limit = { CHASQUI_TIMEOUTS_DRAIN: '300ms' }
    await using proxy = await startProxyProcess([simulator.url], [], { ...quick, ...limit })
    const stream = await runningStream(proxy.url, 'llama3.2')
    const startedMs = performance.now()
    proxy.kill('SIGTERM')
    expect(await proxy.exited()).toBe(0)
    expect(performance.now() - startedMs).toBeLessThan(2_000)
    const lines = (await stream.rest).trim().split('\n')
    expect(lines.filter((line) => line.includes('"done":true'))).toEqual([])
    expect(JSON.parse(lines.at(-1)!)).toEqual({ error: expect.stringContaining('the proxy stops') })
  })

  it('is orderly while it still starts', async () => {
    // A backend that never answers keeps the start waiting for its first look.
    await using simulator = await startSimulator({ faults: [{ kind: 'hang', path: '*' }] })
    using folder = scratchFolder()
    const port = await freePort()
    const args = ['up', '--listen', `127.0.0.1:${port}`, '--backend', simulator.url]
    const child = spawn(process.execPath, [join(home, 'src/main.mjs'), ...args], {
      cwd: folder.path,
      stdio: 'ignore',
    })
    const exited = once(child, 'exit')
    await until(() => takesConnections(port), 30_000)
    child.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
  })
})

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`)).ok
  } catch {
    return false
  }
}

describe('listening wider', () => {
  it('says in one line what it means without a token, and nothing of it with one', async () => {
    await using open = await startProcess(['up', '--listen', '0.0.0.0:0'])
    expect(open.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    const lines = open.stderr().split('\n')
    expect(lines.filter((line) => line.includes('CHASQUI_ADMIN_TOKEN'))).toHaveLength(1)
    expect(lines.some((line) => line.includes('Listening beyond this machine'))).toBe(true)
    await using closed = await startProcess(['up'], {
      CHASQUI_LISTEN: '0.0.0.0:0',
      CHASQUI_ADMIN_TOKEN: 'a-token-of-somebody',
    })
    expect(closed.stderr()).not.toContain('CHASQUI_ADMIN_TOKEN')
    expect(closed.stderr()).not.toContain('a-token-of-somebody')
  })

  it('takes --listen before CHASQUI_LISTEN before the file', async () => {
    const [byFlag, byEnv] = [await freePort(), await freePort()]
    const env = { CHASQUI_LISTEN: `127.0.0.1:${byEnv}` }
    await using first = await startProcess(['up', '--listen', `127.0.0.1:${byFlag}`], env)
    expect(first.url).toBe(`http://127.0.0.1:${byFlag}`)
    await using second = await startProcess(['up'], env)
    expect(second.url).toBe(`http://127.0.0.1:${byEnv}`)
    // Commands look for the proxy where it would listen.
    expect((await runCommand(['ping'], env)).code).toBe(0)
  })
})
