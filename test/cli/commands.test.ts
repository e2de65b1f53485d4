import { once } from 'node:events'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Simulator, startSimulator } from '../../backends/simulator/server.ts'
import { runCli } from '../../src/cli/program.ts'
import { freePort } from '../help/ports.ts'
import { type RunningProcess, runCommand, startProxyProcess } from '../help/processes.ts'
import { until } from '../help/until.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

describe('a command line that is wrong', () => {
  it.each([
    [['strat'], 'Did you mean start?'],
    [['start', '--lissten', '127.0.0.1:0'], 'Did you mean --listen?'],
    [['backend', 'drian', 'a'], 'Did you mean drain?'],
    [['config', 'validat'], 'Did you mean validate?'],
    [['up', '--slots', 'many'], 'a whole number from 1 on'],
    [['up', 'extra'], 'too many arguments'],
    [['backend', 'drain'], 'missing required argument'],
    [['up', '--listen'], 'argument missing'],
    [['simulate', '--prot', '1'], '--prot'],
    [[], 'Usage: chasqui'],
  ])('%j: exit 2, said on stderr alone', async (args, said) => {
    let [stdout, stderr] = ['', '']
    using _out = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      stdout += text
      return true
    })
    using _err = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
      stderr += text
      return true
    })
    expect(await runCli(args, {}, '0.0.0')).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toContain(said)
    expect(stderr).not.toMatch(/^\s+at /m)
  })

  it('is said by the process as it is by the function', async () => {
    expect(await runCommand(['strat'])).toEqual({
      code: 2,
      stdout: '',
      stderr: "error: unknown command 'strat'\n(Did you mean start?)\n",
    })
  })

  it('is no reason to print help on stderr when help was asked for', async () => {
    const [help, version] = await Promise.all([runCommand(['--help']), runCommand(['--version'])])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    for (const name of [
      'start',
      'up',
      'demo',
      'simulate',
      'split',
      'status',
      'backend',
      'config',
      'ping',
    ])
      expect(help.stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'))
    expect(version).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  })
})

describe('config', () => {
  it('schema prints a JSON Schema that knows every section', async () => {
    const { code, stdout, stderr } = await runCommand(['config', 'schema'])
    expect([code, stderr]).toEqual([0, ''])
    const { properties } = JSON.parse(stdout) as { properties: object }
    expect(Object.keys(properties)).toEqual(expect.arrayContaining(['listen', 'backends', 'queue']))
  })

  it('print shows what is in force, from wherever it came, and warns on stderr', async () => {
    const run = await runCommand(['config', 'print'], {
      CHASQUI_QUEUE_MAX: '7',
      CHASQUI_BACKENDS: 'http://127.0.0.1:1,name=den',
      CHASQUI_QUEU_MAX: '8',
    })
    expect(run.code).toBe(0)
    expect(run.stdout).toContain('max: 7')
    expect(run.stdout).toContain('name: den')
    expect(run.stderr).toBe(
      'chasqui: CHASQUI_QUEU_MAX is no setting and was ignored; did you mean CHASQUI_QUEUE_MAX?\n',
    )
  })
})

describe('commands for a running proxy', () => {
  let simulators: Simulator[] = []
  let proxy: RunningProcess
  beforeAll(async () => {
    simulators = await Promise.all(
      ['a', 'b'].map((name) =>
        startSimulator({ name, models: ['llama3.2'], answerTokens: 60, decodeTokensPerSecond: 40 }),
      ),
    )
    proxy = await startProxyProcess(
      simulators.map(({ url }, index) => `${url},name=${'ab'[index]},slots=2`),
      [],
      // Every request is counted here, so nobody may measure how the model goes on.
      { CHASQUI_CONTINUATION: 'false' },
    )
    const health = async () => await (await fetch(`${proxy.url}/health`)).text()
    await until(async () => (await health()).includes('"ok"'), 30_000)
  })
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]()
    await Promise.all(simulators.map((each) => each.close()))
  })

  const run = (...args: string[]) =>
    runCommand(args, { CHASQUI_LISTEN: proxy.url.replace('http://', '') })
  const asked = (simulator: Simulator) =>
    simulator.trace().filter(({ route }) => route === '/api/chat').length
  const chat = async () => {
    const messages = [{ role: 'user', content: 'hello' }]
    const body = JSON.stringify({ model: 'llama3.2', messages })
    const answer = await fetch(`${proxy.url}/api/chat`, { method: 'POST', body })
    return await answer.text()
  }

  it('ping is silent and 0; without a proxy 4 and one sentence', async () => {
    expect(await run('ping')).toEqual({ code: 0, stdout: '', stderr: '' })
    const nobody = `127.0.0.1:${await freePort()}`
    expect(await run('ping', '--url', nobody)).toEqual({
      code: 4,
      stdout: '',
      stderr: `chasqui: nothing answers at http://${nobody}; is it running? (chasqui up, or --url)\n`,
    })
  })

  it('status says it for eyes, and as JSON what /queue-status says', async () => {
    const forEyes = await run('status')
    expect(forEyes).toMatchObject({ code: 0, stderr: '' })
    expect(forEyes.stdout).toMatch(/^2 of 2 backends serve, 0 run, 0 wait\n/)
    expect(forEyes.stdout).toMatch(/^a +ready +0 running .* 1 models?\n/m)
    const asJson = await run('status', '--json', '--url', `${proxy.url}/`)
    expect(asJson).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(asJson.stdout)).toMatchObject({
      queue_size: 0,
      active: false,
      active_backends: 2,
      total_backends: 2,
    })
  })

  it('say who may not, and what is no URL', async () => {
    const refusal = JSON.stringify({ detail: 'this is for the operator', fix: 'Send the token.' })
    const server = createServer((_request, response) => response.writeHead(403).end(refusal))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    try {
      expect(await run('backend', 'drain', 'a', '--url', `127.0.0.1:${port}`)).toEqual({
        code: 8,
        stdout: '',
        stderr: 'chasqui: this is for the operator\n  fix: Send the token.\n',
      })
    } finally {
      server.closeAllConnections()
      server.close()
    }
    expect(await run('ping', '--url', 'http://:nonsense')).toMatchObject({ code: 2, stdout: '' })
  })

  it('status says when something else answers there', async () => {
    const server = createServer((_request, response) => response.end('{"hello": 1}'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    try {
      expect(await run('status', '--url', `127.0.0.1:${port}`)).toEqual({
        code: 1,
        stdout: '',
        stderr: `chasqui: what answers at http://127.0.0.1:${port} is no Chasqui\n`,
      })
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })

  it('backend drain sends nothing new there and lets what runs end; resume takes it back', async () => {
    const [a, b] = simulators as [Simulator, Simulator]
    const running = [chat(), chat()]
    await until(() => asked(a) === 1 && asked(b) === 1)
    const drained = await run('backend', 'drain', 'a')
    expect(drained).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(drained.stdout)).toMatchObject({ name: 'a', state: 'draining' })
    expect((await run('status')).stdout).toMatch(/^a +draining \(drained by the operator\)/m)
    running.push(chat(), chat())
    for (const text of await Promise.all(running)) expect(text).toContain('"done":true')
    expect([asked(a), asked(b)]).toEqual([1, 3])
    expect(a.trace().every(({ cancelReason }) => cancelReason === undefined)).toBe(true)

    const resumed = await run('backend', 'resume', 'a')
    expect(JSON.parse(resumed.stdout)).toMatchObject({ name: 'a', state: 'ready' })
    await Promise.all([chat(), chat()])
    expect([asked(a), asked(b)]).toEqual([2, 4])
  })

  it('backend drain of a name that there is not: exit 1, the sentence and what to do', async () => {
    expect(await run('backend', 'drain', 'c/d')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'chasqui: there is no backend "c/d"\n  fix: See GET /queue-status for the names.\n',
    })
  })
})
