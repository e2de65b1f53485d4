import { renameSync, symlinkSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { backendsYaml, logged, startConfigured } from '../help/configured.ts'
import { fakeModel, startFakeOllama } from '../help/fake-ollama.ts'
import { ask, statusOf } from '../help/herd.ts'
import { openCall } from '../help/open-call.ts'
import { runCommand, startProcess } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const namesAt = async (url: string) => (await statusOf(url)).backends.map(({ name }) => name)
const chat = (model: string, more: object = {}) =>
  JSON.stringify({ model, stream: false, messages: [{ role: 'user', content: 'hello' }], ...more })
const metric = async (url: string, name: string) =>
  Number((await ask(`${url}/metrics`)).text.match(new RegExp(`^${name} (\\S+)$`, 'm'))?.[1])

describe('a file that says something else', () => {
  it('is in force within a second: a backend that is added serves, one that is removed does not', async () => {
    await using a = await startSimulator({ models: ['only-a'], answerTokens: 3 })
    await using b = await startSimulator({ models: ['only-b'], answerTokens: 3 })
    await using house = await startConfigured(backendsYaml([{ name: 'a', url: a.url }]))
    const { url } = house
    const post = (model: string) => ask(`${url}/api/chat`, { method: 'POST', body: chat(model) })
    await until(async () => (await post('only-a')).status === 200)
    expect((await post('only-b')).status).toBe(404)

    const startedMs = performance.now()
    house.write(
      backendsYaml([
        { name: 'a', url: a.url },
        { name: 'b', url: b.url },
      ]),
    )
    await until(async () => (await post('only-b')).status === 200, 5_000)
    expect(performance.now() - startedMs).toBeLessThan(1_000)

    writeFileSync(`${house.file}.new`, backendsYaml([{ name: 'b', url: b.url }]))
    renameSync(`${house.file}.new`, house.file)
    await until(async () => (await namesAt(url)).join() === 'b', 5_000)
    expect((await post('only-a')).status).toBe(404)
    await until(() => logged(house.proxy, 'reload').length === 2)
    expect(logged(house.proxy, 'reload').map(({ cause, changes }) => [cause, changes])).toEqual([
      ['file', ['backend b added']],
      ['file', ['backend a removed']],
    ])
  })

  it('changes nothing when it is wrong, says where, and is taken when it is mended', async () => {
    await using a = await startSimulator({ models: ['m'], answerTokens: 3 })
    const good = backendsYaml([{ name: 'a', url: a.url }])
    await using house = await startConfigured(good)
    const { url, proxy } = house
    await until(async () => (await statusOf(url)).active_backends === 1)
    const config = async () =>
      ((await (await fetch(`${url}/health`)).json()) as { config: string }).config
    expect(await config()).toBe('current')

    house.write('backends: []\nqueue:\n  max: many\n  tiemout: 3s\n')
    await until(() => proxy.stderr().includes('not reloaded'), 5_000)
    for (const place of [`${house.file}:3:8: queue.max`, `${house.file}:4:3: queue.tiemout`])
      expect(proxy.stderr()).toContain(place)
    expect(proxy.stderr()).toContain('did you mean "timeout"?')
    expect([await namesAt(url), await config()]).toEqual([['a'], 'refused'])
    expect(await metric(url, 'chasqui_config_last_reload_success')).toBe(0)
    expect((await ask(`${url}/api/chat`, { method: 'POST', body: chat('m') })).status).toBe(200)

    house.write(`${good}queue: {max: 7}\n`)
    await until(async () => (await config()) === 'current', 5_000)
    // The text of the numbers is made once a second.
    await until(async () => (await metric(url, 'chasqui_config_last_reload_success')) === 1, 3_000)
    const total = (result: string) =>
      metric(url, `chasqui_config_reloads_total{result="${result}"}`)
    expect([await total('applied'), await total('refused')]).toEqual([1, 1])
  })
})

describe('a reload that is asked for', () => {
  it('happens at SIGHUP and by the command, which names what changed or all that is wrong', async () => {
    // The watched folder holds a link only, so that nobody but who is asked looks at the file soon.
    using folder = scratchFolder()
    using elsewhere = scratchFolder()
    const real = join(elsewhere.path, 'real.yaml')
    const file = join(folder.path, 'fleet.yaml')
    writeFileSync(real, 'queue: {max: 1}\n')
    symlinkSync(real, file)
    const env = { CHASQUI_QUEUE_TIMEOUT: '9s' }
    const args = [
      'up',
      '--config',
      file,
      '--listen',
      '127.0.0.1:0',
      '--backend',
      'http://127.0.0.1:9,name=z',
    ]
    await using proxy = await startProcess(args, env)
    const reloads = () => logged(proxy, 'reload')

    writeFileSync(real, 'queue: {max: 2}\n')
    proxy.kill('SIGHUP')
    await until(() => reloads().length === 1, 3_000)
    expect(reloads()[0]).toMatchObject({ cause: 'SIGHUP', changes: ['queue.max 1 → 2'] })

    // Flags and variables still win: neither the backends nor the timeout of the file count.
    writeFileSync(
      real,
      'listen: "127.0.0.1:1"\ndata: /elsewhere\nqueue: {max: 3, timeout: 5s}\nbackends: [{url: "http://127.0.0.1:8"}]\n',
    )
    const done = await runCommand(['config', 'reload', '--url', proxy.url])
    expect([done.code, JSON.parse(done.stdout)]).toEqual([
      0,
      { result: 'applied', changes: ['queue.max 2 → 3'], needs_restart: [] },
    ])
    expect(await namesAt(proxy.url)).toEqual(['z'])

    writeFileSync(real, 'queue: {max: 3}\nlog: {format: pretty}\nretries: {budget_share: 9}\n')
    const wrong = await runCommand(['config', 'reload', '--url', proxy.url])
    const validated = await runCommand(['config', 'validate', '--config', file])
    expect([wrong.code, wrong.stdout, validated.code]).toEqual([3, '', 3])
    expect(wrong.stderr).toContain(validated.stderr.trim())
    expect(wrong.stderr).toContain(`${file}:3:25: retries.budget_share`)
    expect(wrong.stderr).toContain('nothing was changed')

    writeFileSync(real, 'queue: {max: 3}\nlog: {format: pretty}\n')
    const later = await runCommand(['config', 'reload', '--url', proxy.url])
    expect(JSON.parse(later.stdout)).toEqual({
      result: 'unchanged',
      changes: [],
      needs_restart: ['log.format auto → pretty'],
    })
  })

  it('is for the operator, and no route of Ollama is hidden by it', async () => {
    await using house = await startConfigured('')
    const path = `${house.url}/chasqui/reload`
    expect((await ask(path, { method: 'POST' })).status).toBe(200)
    const foreign = await ask(path, { method: 'POST', headers: { 'x-forwarded-for': '1.2.3.4' } })
    expect([foreign.status, JSON.parse(foreign.text)]).toMatchObject([403, { code: 'admin_only' }])
    expect((await ask(path)).status).toBe(404)
  })

  it('keeps what was there when the file is gone', async () => {
    using folder = scratchFolder()
    const file = join(folder.path, 'gone.yaml')
    writeFileSync(file, 'backends: [{url: "http://127.0.0.1:9", name: z}]\n')
    await using proxy = await startProcess(['up', '--config', file, '--listen', '127.0.0.1:0'])
    renameSync(file, `${file}.old`)
    const { code, stderr } = await runCommand(['config', 'reload', '--url', proxy.url])
    expect([code, stderr]).toEqual([3, expect.stringContaining(`${file}: the file does not exist`)])
    expect(await namesAt(proxy.url)).toEqual(['z'])
  })
})

describe('an answer that runs', () => {
  it('goes on byte for byte for ten seconds over five reloads, one of which removes its backend', async () => {
    const line = (index: number) =>
      `${JSON.stringify({ model: fakeModel, message: { role: 'assistant', content: `piece ${index} ü` }, done: false })}\n`
    const last = `${JSON.stringify({ model: fakeModel, message: { role: 'assistant', content: '' }, done: true, done_reason: 'stop' })}\n`
    let open: ServerResponse | undefined
    let sent = ''
    const send = (text: string) => {
      sent += text
      open?.write(text)
    }
    await using slow = await startFakeOllama((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' })
      open = response
      send(line(0))
    })
    await using other = await startSimulator({ models: ['llama3.2'], answerTokens: 3 })
    const a = { name: 'a', url: slow.url }
    const b = { name: 'b', url: other.url }
    await using house = await startConfigured(backendsYaml([a]))
    await until(async () => (await statusOf(house.url)).active_backends === 1)

    const startedMs = performance.now()
    const call = openCall(`${house.url}/api/chat`, {
      body: { model: 'llama3.2', messages: [{ role: 'user', content: 'go on' }] },
    })
    await until(() => open !== undefined && call.lines().length === 1)
    const reloads = [
      backendsYaml([{ ...a, more: 'slots: 3' }]),
      `${backendsYaml([a, b])}queue: {max: 5}\n`,
      `${backendsYaml([b])}queue: {max: 5}\n`,
      `${backendsYaml([b])}timeouts: {idle: 1s, first_byte: 1s}\nlimits: {body_max: 1KiB, body_in_memory_max: 1KiB}\n`,
      backendsYaml([a, b]),
    ]
    let pieces = 1
    for (const [index, text] of reloads.entries()) {
      house.write(text)
      await until(() => logged(house.proxy, 'reload').length === index + 1, 5_000)
      expect(logged(house.proxy, 'reload').at(-1)).toMatchObject({ result: 'applied' })
      if (index === 2) {
        const { leaving, backends } = await statusOf(house.url)
        expect([leaving, backends.map(({ name }) => name)]).toEqual([
          [{ name: 'a', running: 1 }],
          ['b'],
        ])
        // What comes now goes elsewhere.
        const next = await ask(`${house.url}/api/chat`, { method: 'POST', body: chat('llama3.2') })
        expect([next.status, next.headers['x-chasqui-backend'], slow.asked()]).toEqual([
          200,
          'b',
          1,
        ])
      }
      const untilMs = startedMs + (index + 1) * 2_000
      while (performance.now() < untilMs) {
        send(line(pieces++))
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
    }
    expect(performance.now() - startedMs).toBeGreaterThan(10_000)
    sent += last
    open?.end(last)
    expect(await call.ended).toBe('clean')
    expect(call.text()).toBe(sent)
    // The same server came back under its name while the old one was still leaving.
    await until(async () => (await statusOf(house.url)).leaving.length === 0)
    await until(() => logged(house.proxy, 'exchange').length === 2)
    expect(logged(house.proxy, 'exchange').map(({ outcome }) => outcome)).toEqual(['ok', 'ok'])
  })
})

it('a folder full of other files is no reason to reload', async () => {
  await using house = await startConfigured('')
  for (let index = 0; index < 20; index++) writeFileSync(`${house.file}.${index}`, String(index))
  house.write('queue: {max: 3}\n')
  await until(() => logged(house.proxy, 'reload').length > 0)
  expect(logged(house.proxy, 'reload')).toMatchObject([{ changes: ['queue.max 1000 → 3'] }])
})
