import { describe, expect, it } from 'vitest'
import { startAgent } from '../../backends/agent/agent.ts'
import { type SimulatorSettings, startSimulator } from '../../backends/simulator/server.ts'
import { startApp } from '../../src/app.ts'
import { backendAt } from '../../src/core/backend.ts'
import { settingsFrom } from '../help/fleet.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'

const token = 'a-shared-token-of-this-test'
const chat = { model: 'm', messages: [{ role: 'user', content: 'hello' }] }

/** A proxy, an agent that has joined it, and the agent's Ollama, all in this process with real sockets between them. */
async function joined(simulated: Partial<SimulatorSettings>, slots?: number) {
  const folder = scratchFolder()
  const simulator = await startSimulator({ models: ['m'], ...simulated })
  const config = `join: { token: ${token}, allow: [{ name: "*" }], allow_addresses: [127.0.0.0/8] }
continuation: false`
  const proxy = await startApp(settingsFrom(config, folder.path))
  const settings = {
    ...settingsFrom('', folder.path),
    backends: [backendAt('ollama', simulator.url)],
  }
  const agent = await startAgent({
    settings,
    read: async () => settings,
    version: '0.0.0',
    env: {},
    name: 'walnut',
    labels: [],
    slots,
    join: { origin: proxy.url, token, advertise: undefined },
    manage: undefined,
    say: () => {},
  })
  agent.join()
  await until(() => proxy.pool.endpoint('walnut')?.onDisk.has('m:latest') === true)
  return {
    proxy,
    agent,
    simulator,
    async [Symbol.asyncDispose]() {
      await agent.stop(0)
      await proxy.stop()
      await simulator.close()
      folder[Symbol.dispose]()
    },
  }
}

describe('a proxy and an agent that has joined it', () => {
  it('know together how many slots there are, though nobody told them', async () => {
    await using it = await joined({ slots: 3, answerTokens: 40, decodeTokensPerSecond: 200 })
    const { proxy, agent, simulator } = it
    const peak = () => simulator.stats().models['m:latest']?.runningPeak ?? 0
    let wanted = true
    const client = async () => {
      while (wanted)
        expect((await wholeCall(`${proxy.url}/api/chat`, { body: chat })).status).toBe(200)
    }
    const clients = Array.from({ length: 6 }, client)
    await until(() => peak() === 3, 15_000).finally(() => {
      wanted = false
    })
    await Promise.all(clients)
    expect(simulator.stats().models['m:latest']!.totalPeak).toBeLessThanOrEqual(4)
    expect(agent.app.queue.size + proxy.queue.size).toBe(0)
  })

  it('pass a priority on, so that it counts in the line of the agent as well', async () => {
    await using it = await joined({ slots: 1, answerTokens: 30, decodeTokensPerSecond: 60 }, 1)
    const { proxy, agent } = it
    const direct = (url: string, headers: Record<string, string> = {}) =>
      openCall(`${url}/api/chat`, { body: chat, headers })
    const running = direct(agent.app.url)
    await until(() => running.lines().length > 0)
    const waiting = direct(agent.app.url, { 'x-chasqui-priority': 'interactive' })
    await until(() => agent.app.queue.size === 1)
    const urgent = direct(proxy.url, { 'x-chasqui-priority': 'interactive' })
    await until(() => agent.app.queue.size === 2)
    expect(agent.app.queue.byPriority()).toEqual({ interactive: 1, normal: 1, batch: 0 })
    await until(() => urgent.lines().length > 0)
    expect(waiting.lines()).toEqual([])
    for (const call of [running, waiting, urgent]) expect(await call.ended).toBe('clean')
  })

  it('change the disk of the agent: what an operator asks of the proxy is done there', async () => {
    await using it = await joined({})
    const { proxy, simulator } = it
    const names = async () => await (await fetch(`${simulator.url}/api/tags`)).text()
    const pull = await wholeCall(`${proxy.url}/api/pull`, { body: { model: 'n', stream: false } })
    expect(pull.status).toBe(200)
    expect(await names()).toContain('n:latest')
    const gone = await fetch(`${proxy.url}/api/delete`, { method: 'DELETE', body: '{"model":"n"}' })
    expect(gone.status).toBe(200)
    expect(await names()).not.toContain('n:latest')
    const pinned = await wholeCall(`${proxy.url}/backends/walnut/api/pull`, {
      body: { model: 'o', stream: false },
    })
    expect(pinned.status).toBe(200)
    expect(await names()).toContain('o:latest')
  })
})
