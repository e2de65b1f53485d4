import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { remote } from '../help/herd.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { freePort, takenPort } from '../help/ports.ts'
import {
  type RunningProcess,
  runCommand,
  startProcess,
  startSimulatorProcess,
} from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

const quick = { CHASQUI_LOG_LEVEL: 'warn', CHASQUI_TIMEOUTS_DRAIN: '5s' }

function startAgentProcess(
  ollama: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<RunningProcess> {
  return startProcess(['agent', '--ollama', ollama, '--listen', '127.0.0.1:0', ...args], {
    ...quick,
    ...env,
  })
}

const chat = (model = 'm') => ({ model, messages: [{ role: 'user', content: 'hello' }] })

describe('an agent in front of a server with three slots', () => {
  it.each([
    ['that somebody has told', 200, '1000', ['--slots', '3'], {}],
    ['that its own process was told', 30, '1000', [], { OLLAMA_NUM_PARALLEL: '3' }],
    // Slower, so that what a request waits unseen is longer than a busy machine stands still.
    ['that nobody has told', 100, '400', [], {}],
  ])(
    '%s never lets more requests in, under %i clients',
    async (_how, clients, speed, args, env) => {
      // Only Linux shows the environment of another process; elsewhere the agent is told by its own.
      const [theirs, ours] = process.platform === 'linux' ? [env, {}] : [{}, env]
      await using simulator = await startProcess(
        [
          ...['simulate', '--port', '0', '--models', 'm', '--slots', '3'],
          ...['--answer-tokens', '20', '--speed', speed],
        ],
        theirs,
      )
      const { state } = remote('a', simulator)
      await using agent = await startAgentProcess(simulator.url, args, {
        ...ours,
        CHASQUI_QUEUE_MAX: '500',
      })
      const answers = await Promise.all(
        Array.from({ length: clients }, () => wholeCall(`${agent.url}/api/chat`, { body: chat() })),
      )
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
      expect(answers.every(({ lines }) => lines.at(-1)?.includes('"done":true'))).toBe(true)
      const peaks = (await state()).models['m:latest']!
      const isTold = args.length > 0 || Object.keys(env).length > 0
      expect(peaks.runningPeak).toBeLessThanOrEqual(3)
      // How soon all are found depends on how busy the machine is.
      expect(peaks.runningPeak).toBeGreaterThanOrEqual(isTold ? 3 : 2)
      // Running and waiting together. To find out that there is no fourth slot, one request at a time is tried there.
      expect(peaks.totalPeak).toBeLessThanOrEqual(isTold ? 3 : 4)
    },
  )
})

describe('an agent', () => {
  it('answers whoever calls it: Ollama’s API, /generate with commands, and what it is running', async () => {
    await using simulator = await startSimulatorProcess([
      ...['--models', 'm', '--slots', '1', '--answer-tokens', '60', '--speed', '60'],
    ])
    const port = await freePort()
    await using agent = await startAgentProcess(simulator.url, ['--slots', '1'], {
      PORT: String(port),
    })
    expect(agent.url).toBe(`http://127.0.0.1:${port}`)
    const running = openCall(`${agent.url}/api/chat`, {
      body: chat(),
      headers: { 'x-request-id': 'the-one-that-runs' },
    })
    await until(() => running.lines().length > 0)
    const commands = openCall(`${agent.url}/generate`, {
      body: { model: 'm', commands: 'apt update\napt install -y nginx' },
    })
    let status: Record<string, unknown> = {}
    await until(async () => {
      status = (await (await fetch(`${agent.url}/queue-status`)).json()) as typeof status
      return status['queue_size'] === 1
    })
    expect(Object.keys(status).slice(0, 2)).toEqual(['queue_size', 'active'])
    expect(status).toMatchObject({
      active: true,
      join: 'alone',
      running: [{ id: 'the-one-that-runs', model: 'm:latest' }],
    })
    expect(await running.ended).toBe('clean')
    expect((await commands.head).status).toBe(200)
    await commands.ended
    expect(JSON.parse(commands.text())).toMatchObject({ done: true })
    agent.kill('SIGTERM')
    expect(await agent.exited()).toBe(0)
    expect(agent.stdout()).toBe(`ready ${agent.url}\n`)
  })

  it('finishes the load that its client has left', async () => {
    await using simulator = await startSimulatorProcess([
      ...['--models', 'm', '--load-seconds', '0.6', '--answer-tokens', '5'],
    ])
    const { trace } = remote('a', simulator)
    await using agent = await startAgentProcess(simulator.url, ['--slots', '1'])
    const leaver = openCall(`${agent.url}/api/chat`, { body: chat() })
    await until(async () => (await trace()).some(({ loadStart }) => loadStart !== undefined))
    leaver.leave()
    const next = await wholeCall(`${agent.url}/api/chat`, { body: chat() })
    expect(next.status).toBe(200)
    const entries = await trace()
    expect(entries.filter(({ loadStart }) => loadStart !== undefined)).toHaveLength(1)
    expect(entries.filter(({ cancelReason }) => cancelReason !== undefined)).toEqual([])
  })

  it('starts without its Ollama, says so, and serves as soon as there is one', async () => {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}`
    await using agent = await startAgentProcess(url, [], {
      CHASQUI_PROBES_INTERVAL: '300ms',
      CHASQUI_PROBES_TIMEOUT: '250ms',
    })
    expect(agent.stderr()).toContain(`no Ollama answers at ${url} yet`)
    const refused = await wholeCall(`${agent.url}/api/chat`, { body: chat() })
    expect(refused.status).toBe(503)
    await using _simulator = await startProcess([
      'simulate',
      '--port',
      String(port),
      '--models',
      'm',
    ])
    await until(
      async () => (await wholeCall(`${agent.url}/api/chat`, { body: chat() })).status === 200,
    )
  })

  // It had no ear for SIGHUP, which then ended it with every answer under way.
  it('reads its file again at SIGHUP, and goes on', async () => {
    const slow = ['--models', 'm', '--answer-tokens', '100000', '--speed', '50']
    await using simulator = await startSimulatorProcess(slow)
    using folder = scratchFolder()
    const file = join(folder.path, 'agent.yaml')
    writeFileSync(file, 'queue: { max: 7 }\n')
    const args = ['--config', file, '--slots', '1']
    await using agent = await startAgentProcess(simulator.url, args, {
      CHASQUI_LOG_LEVEL: 'info',
      CHASQUI_LOG_FORMAT: 'json',
    })
    writeFileSync(file, 'queue: { max: }\nqueu: 1\n')
    agent.kill('SIGHUP')
    await until(() => agent.stderr().includes('not reloaded'), 10_000)
    writeFileSync(file, 'queue: { max: 0 }\n')
    agent.kill('SIGHUP')
    await until(() => agent.stderr().includes('"result":"applied"'), 10_000)
    const held = openCall(`${agent.url}/api/chat`, { body: chat() })
    await held.head
    expect((await wholeCall(`${agent.url}/api/chat`, { body: chat() })).status).toBe(503)
    held.leave()
  })

  it('says what to do when it can not start', async () => {
    await using taken = await takenPort()
    const agent = (...args: string[]) =>
      runCommand(['agent', '--ollama', `http://127.0.0.1:${taken.port}`, ...args])
    const [port, noToken, noProxy, notHere, served] = await Promise.all([
      agent('--listen', `127.0.0.1:${taken.port}`, '--ollama', 'http://127.0.0.1:1'),
      agent('--join', 'http://127.0.0.1:1'),
      agent('--join', 'http://127.0.0.1:1/path', '--token', 't'),
      agent('--manage', '--ollama', 'http://192.0.2.1:11434'),
      agent('--listen', '127.0.0.1:0', '--manage'),
    ])
    expect(port).toMatchObject({ code: 1 })
    expect(port.stderr).toContain(`port ${taken.port} on 127.0.0.1 is taken`)
    expect(noToken).toMatchObject({ code: 2, stdout: '' })
    expect(noToken.stderr).toContain('--join needs the token of the proxy')
    expect(noProxy).toMatchObject({ code: 2 })
    expect(noProxy.stderr).toContain('--join needs the URL of the proxy')
    expect(notHere).toMatchObject({ code: 1 })
    expect(notHere.stderr).toContain('is not on this machine')
    expect(served).toMatchObject({ code: 1 })
    expect(served.stderr).toContain('serves 127.0.0.1')
  })
})
