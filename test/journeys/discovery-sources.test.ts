import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import type { Worker } from '../../src/http/workers.ts'
import { backendsYaml, logged, startConfigured } from '../help/configured.ts'
import { startFleet } from '../help/fleet.ts'
import { ask } from '../help/herd.ts'
import { openCall } from '../help/open-call.ts'
import { runCommand } from '../help/processes.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'
import { chat } from '../help/warm-fleet.ts'

const quick = 'continuation: false\nprobes: {interval: 200ms, timeout: 150ms}'
const portOf = (url: string) => Number(new URL(url).port)

async function workersAt(url: string): Promise<Record<string, Worker>> {
  const { workers } = JSON.parse((await ask(`${url}/api/workers`)).text) as { workers: Worker[] }
  return Object.fromEntries(workers.map((worker) => [worker.id, worker]))
}

const serving = async (url: string) =>
  Object.values(await workersAt(url))
    .filter(({ state }) => state === 'ready')
    .map(({ id }) => id)
    .sort()

describe('a name in DNS', () => {
  it('is as many backends as it has places; one that it loses ends what it has begun', async () => {
    await using one = await startSimulator({ answerTokens: 60, decodeTokensPerSecond: 60 })
    await using two = await startSimulator({ answerTokens: 60, decodeTokensPerSecond: 60 })
    const [first, second] = [one, two].map(({ url }) => `127.0.0.1-${portOf(url)}`) as [
      string,
      string,
    ]
    const places = [one, two].map(({ url }) => portOf(url))
    await using fleet = await startFleet({
      simulators: [],
      config: `${quick}\ndiscover: {dns: [_ollama._tcp.herd.example], dns_every: 100ms}`,
      doors: {
        names: {
          resolve: async () => [{ address: '127.0.0.1', family: 4 }],
          resolveSrv: async () =>
            places.map((port) => ({ name: 'herd.example', port, priority: 0, weight: 0 })),
        },
      },
    })
    await until(async () => (await serving(fleet.url)).length === 2)
    expect(await serving(fleet.url)).toEqual([first, second].sort())

    fleet.app.pool.setEnabled(fleet.app.pool.endpoint(second)!, false)
    const running = openCall(`${fleet.url}/api/chat`, { body: chat('run', { stream: true }) })
    await until(() => running.lines().length > 0)
    places.shift()
    await until(async () => (await workersAt(fleet.url))[first]?.state === 'leaving')
    fleet.app.pool.setEnabled(fleet.app.pool.endpoint(second)!, true)
    expect(await running.ended).toBe('clean')
    expect(running.text()).toContain('"done":true')
    await until(async () => (await workersAt(fleet.url))[first] === undefined)
    expect(await serving(fleet.url)).toEqual([second])

    // This proxy itself is never its own backend.
    places.push(fleet.app.port)
    places.push(portOf(one.url))
    await until(async () => (await serving(fleet.url)).length === 2)
    expect(Object.keys(await workersAt(fleet.url)).sort()).toEqual([first, second].sort())
  })
})

describe('a folder of backends', () => {
  it('serves what is put into it, keeps it through nonsense and a reload, and lets it go', async () => {
    await using one = await startSimulator({})
    await using two = await startSimulator({})
    using scratch = scratchFolder()
    const folder = join(scratch.path, 'backends.d')
    mkdirSync(folder)
    const put = (text: string) => writeFileSync(join(folder, 'ash.yaml'), text)
    const config = `${backendsYaml([{ name: 'base', url: one.url }])}${quick}\ndiscover: {folder: "${folder}"}\n`
    await using it = await startConfigured(config)
    await until(async () => (await serving(it.url)).length === 1)
    put(`name: ash\nurl: ${two.url}\nlabels: [late]\n`)
    await until(async () => (await serving(it.url)).includes('ash'))
    put(`name: ash\nurl: ${two.url}\nlabel: late\n`)
    const complaints = () =>
      logged(it.proxy, 'a backend file can not be used; what was before it stays')
    await until(() => complaints().length === 1)
    expect(complaints()[0]?.['report']).toMatch(/ash\.yaml:3:1: .*did you mean "labels"/s)
    it.write(config.replace('name: base', 'name: first'))
    await until(async () => (await serving(it.url)).includes('first'))
    expect(await serving(it.url)).toEqual(['ash', 'first'])
    rmSync(join(folder, 'ash.yaml'))
    await until(async () => !(await serving(it.url)).includes('ash'))
    expect(complaints()).toHaveLength(1)
  })
})

describe('a scan', () => {
  it('finds a server, which waits to be accepted, and serves again after a restart', async () => {
    await using box = await startSimulator({})
    using scratch = scratchFolder()
    const name = `127.0.0.1-${portOf(box.url)}`
    const config = `${quick}\ndiscover: {scan: [127.0.0.1/32], port: ${portOf(box.url)}}\njoin: {allow_addresses: [127.0.0.1]}\n`
    const env = { CHASQUI_DATA: join(scratch.path, 'data') }
    {
      await using it = await startConfigured(config, { env })
      await until(async () => (await workersAt(it.url))[name]?.state === 'pending')
      expect((await workersAt(it.url))[name]).toMatchObject({ how: 'scan', status: 'offline' })
      const said = { backend: name, reason: `chasqui backend accept ${name}` }
      // The log comes by a pipe, a little after the fact.
      await until(() =>
        logged(it.proxy, 'backend').some(
          (line) => line['backend'] === said.backend && line['reason'] === said.reason,
        ),
      )
      const accepted = await runCommand(['backend', 'accept', name, '--url', it.url])
      expect([accepted.code, accepted.stderr]).toEqual([0, ''])
      await until(async () => (await serving(it.url)).includes(name))
    }
    // Nothing is looked for any more; what was accepted stays so.
    await using again = await startConfigured(quick, { env })
    await until(async () => (await serving(again.url)).includes(name))
    const rejected = await runCommand(['backend', 'reject', name, '--url', again.url])
    expect(rejected.code).toBe(0)
    await until(async () => (await serving(again.url)).length === 0)
  })

  it('by hand says what it found, as a table and as JSON, and changes nothing', async () => {
    await using box = await startSimulator({})
    const args = ['discover', '--scan', '127.0.0.1', '--port', String(portOf(box.url))]
    const [shown, json] = await Promise.all([runCommand(args), runCommand([...args, '--json'])])
    expect([shown.code, shown.stdout]).toEqual([0, expect.stringContaining(box.url)])
    expect(shown.stderr).toContain(`chasqui up --backend ${box.url}`)
    const { servers } = JSON.parse(json.stdout) as { servers: object[] }
    expect(servers).toEqual([
      expect.objectContaining({ url: box.url, version: expect.any(String) }),
    ])
    const wrong = await runCommand(['discover', '--scan', '8.8.8.0/24'])
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('private ranges')])
  })
})
