import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Worker } from '../../src/http/workers.ts'
import { logged } from '../help/configured.ts'
import { ask, type PlainAnswer } from '../help/herd.ts'
import { freePort } from '../help/ports.ts'
import {
  type RunningProcess,
  runCommand,
  startProcess,
  startSimulatorProcess,
} from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { steadyLoad } from '../help/steady-load.ts'
import { until } from '../help/until.ts'
import { chat } from '../help/warm-fleet.ts'

const token = 'a-token-of-enough-signs'
const model = 'llama3.2:latest'

/** A proxy, three agents before three servers, and one server without an agent; every one of them a process. */
const data = scratchFolder()
const owned: RunningProcess[] = []
let port: number
let proxy: RunningProcess
let bare: RunningProcess
const servers: RunningProcess[] = []
const agents: Record<string, RunningProcess> = {}

async function startProxy(): Promise<RunningProcess> {
  return await startProcess(['up', '--backend', `${bare.url},name=bare`], {
    CHASQUI_LISTEN: `127.0.0.1:${port}`,
    CHASQUI_DATA: data.path,
    CHASQUI_JOIN_TOKEN: token,
    CHASQUI_JOIN_ALLOW_ADDRESSES: '127.0.0.0/8',
    CHASQUI_CONTINUATION: 'false',
    CHASQUI_PROBES_INTERVAL: '1s',
    CHASQUI_PROBES_TIMEOUT: '950ms',
    CHASQUI_LOG_FORMAT: 'json',
  })
}

async function startAgent(
  name: string,
  server: string,
  more: readonly string[] = [],
): Promise<RunningProcess> {
  const agent = await startProcess(
    ['agent', '--ollama', server, '--name', name, '--labels', name, '--join', proxy.url, ...more],
    { CHASQUI_JOIN_TOKEN: token, CHASQUI_TIMEOUTS_DRAIN: '20s' },
  )
  owned.push(agent)
  return agent
}

const onAnyPort = ['--listen', '127.0.0.1:0']

async function workers(): Promise<Record<string, Worker>> {
  const { text } = await ask(`${proxy.url}/api/workers`)
  const { workers: all } = JSON.parse(text) as { workers: Worker[] }
  return Object.fromEntries(all.map((worker) => [worker.id, worker]))
}

const stateOf = async (name: string) => (await workers())[name]?.state

const isReady = (name: string, ms = 10_000) =>
  until(async () => (await stateOf(name)) === 'ready', ms, `${name} is ready`)

const backend = (...args: string[]) => runCommand(['backend', ...args, '--url', proxy.url])

const chatOnce = (text: string, headers: Record<string, string> = {}): Promise<PlainAnswer> =>
  ask(`${proxy.url}/api/chat`, { method: 'POST', body: JSON.stringify(chat(text)), headers })

/** Each agent has its own name for a label. A process that has just started may be slow to answer its probes. */
async function answeredBy(name: string): Promise<void> {
  let said = ''
  const isAnswered = async () => {
    const { status, headers, text } = await chatOnce('who', { 'x-chasqui-labels': name })
    said = `${status} by ${headers['x-chasqui-backend']}${status === 200 ? '' : `: ${text}`}`
    return said === `200 by ${name}`
  }
  await until(isAnswered, 5_000).catch(() => {
    throw new Error(`${name} does not answer: ${said}`)
  })
}

beforeAll(async () => {
  port = await freePort()
  const [plain, ...others] = await Promise.all(
    [0, 1, 2, 3].map(() =>
      startSimulatorProcess([
        '--slots',
        '2',
        '--answer-tokens',
        '40',
        '--speed',
        '100',
        '--load-seconds',
        '0',
      ]),
    ),
  )
  bare = plain!
  servers.push(...others)
  owned.push(bare, ...others)
  proxy = await startProxy()
  const started = await Promise.all(
    ['ash', 'elm', 'oak'].map((name, at) => startAgent(name, servers[at]!.url, onAnyPort)),
  )
  for (const [at, name] of ['ash', 'elm', 'oak'].entries()) agents[name] = started[at]!
}, 30_000)

afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]()
  await Promise.all(owned.map((each) => each[Symbol.asyncDispose]()))
  data[Symbol.dispose]()
})

describe('agents before their servers', () => {
  it('wait to be accepted, and say so; serve when they are', async () => {
    await until(async () => Object.keys(await workers()).length === 4)
    expect(await workers()).toMatchObject({
      bare: { kind: 'plain', how: 'configured' },
      ash: { kind: 'agent', how: 'joined', state: 'pending', status: 'offline' },
    })
    await until(() => agents['ash']!.stderr().includes('chasqui backend accept ash'))
    for (const name of ['ash', 'elm', 'oak']) {
      const accepted = await backend('accept', name)
      expect([accepted.code, accepted.stderr]).toEqual([0, ''])
    }
    for (const name of ['ash', 'elm', 'oak']) await isReady(name)
    const listed = await backend('list')
    expect(listed.stdout).toMatch(/^ash +ready +agent +http:\/\/127\.0\.0\.1:\d+ /m)
    expect(listed.stdout).toMatch(/^bare +ready +plain, configured/m)
    for (const name of ['ash', 'elm', 'oak']) await answeredBy(name)
    await until(async () => (await workers())['ash']?.load?.slots[model] !== undefined)
  })

  it('can not join with another token, nor before the proxy itself', async () => {
    const strange = await startProcess(
      ['agent', '--ollama', servers[0]!.url, '--name', 'yew', '--join', proxy.url, ...onAnyPort],
      { CHASQUI_JOIN_TOKEN: 'another-token-of-signs' },
    )
    owned.push(strange)
    const loop = await startAgent('fir', proxy.url, onAnyPort)
    await until(() => strange.stderr().includes('signed with another token'))
    await until(() => /is this proxy itself/.test(loop.stderr()))
    expect(Object.keys(await workers()).sort()).toEqual(['ash', 'bare', 'elm', 'oak'])
    strange.kill('SIGKILL')
    loop.kill('SIGKILL')
  })

  it('are drained and taken back by name', async () => {
    expect((await backend('drain', 'elm')).stdout).toContain('"agent":"done"')
    const direct = await ask(`${agents['elm']!.url}/api/chat`, {
      method: 'POST',
      body: JSON.stringify(chat('direct')),
    })
    expect(direct.status).toBe(503)
    for (let each = 0; each < 3; each++)
      expect((await chatOnce('x')).headers['x-chasqui-backend']).not.toBe('elm')
    await backend('resume', 'elm')
    await answeredBy('elm')
    const restarted = await backend('restart', 'elm')
    expect([restarted.code, restarted.stderr]).toEqual([1, expect.stringContaining('--manage')])
  })

  it('leave without a lost answer when they are told to stop under load', async () => {
    const body = JSON.stringify(chat('load'))
    const load = steadyLoad(`${proxy.url}/api/chat`, { perSecond: 15, body })
    await until(async () => ((await workers())['oak']?.running ?? 0) > 0)
    agents['oak']!.kill('SIGTERM')
    expect(await agents['oak']!.exited()).toBe(0)
    const { sent, ok, failed } = await load.stop()
    expect([ok, failed]).toEqual([sent, {}])
    await until(async () => (await workers())['oak'] === undefined)
  }, 30_000)

  it('are gone after ten seconds without a word, killed or frozen, and back with the first', async () => {
    const listen = ['--listen', new URL(agents['elm']!.url).host]
    agents['elm']!.kill('SIGKILL')
    agents['ash']!.kill('SIGSTOP')
    await agents['elm']!.exited()
    for (let each = 0; each < 3; each++) expect((await chatOnce('still')).status).toBe(200)
    await until(async () => (await stateOf('elm')) === 'away')
    const reasons = async () => {
      const { ash, elm } = await workers()
      return [ash?.reason, elm?.reason]
    }
    const silent = 'no heartbeat'
    await until(async () => (await reasons()).every((reason) => reason === silent), 15_000)

    agents['ash']!.kill('SIGCONT')
    agents['elm'] = await startAgent('elm', servers[1]!.url, listen)
    await isReady('elm', 3_000)
    await answeredBy('elm')
    await isReady('ash', 7_000)
    await answeredBy('ash')
  }, 60_000)

  it('return by themselves when the proxy was killed, and serve at once', async () => {
    proxy.kill('SIGKILL')
    await proxy.exited()
    proxy = await startProxy()
    const startedMs = performance.now()
    await isReady('ash', 3_000)
    expect(await workers()).toMatchObject({ ash: { how: 'joined' }, elm: { how: 'joined' } })
    expect((await chatOnce('at once')).status).toBe(200)
    // They were plain servers until then.
    const joined = () => logged(proxy, 'backend').filter(({ state }) => state === 'joined')
    await until(
      () => joined().length === 2,
      10_000 - (performance.now() - startedMs),
      'both have joined again within ten seconds',
    )
    expect(
      joined()
        .map(({ backend: name }) => name)
        .sort(),
    ).toEqual(['ash', 'elm'])
  }, 20_000)

  it('let no secret into a log', () => {
    for (const { stderr, stdout } of [proxy, ...owned])
      for (const text of [stderr(), stdout()]) expect(text).not.toContain(token)
  })
})
