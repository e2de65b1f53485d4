import { describe, expect, it } from 'vitest'
import type { Simulator } from '../../backends/simulator/server.ts'
import { type Fleet, type FleetOptions, startFleet } from '../help/fleet.ts'
import { startHerd } from '../help/herd.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { chat, inOrder, model, untilIdle } from '../help/warm-fleet.ts'

/** Two models beside the usual one. */
const models = [model, 'qwen3', 'gemma3']
const quickProbes = 'probes: { interval: 200ms, timeout: 150ms }'
const oneSlow = { models, loadMs: 600, answerTokens: 5 }

async function coldFleet(options: FleetOptions): Promise<Fleet> {
  const fleet = await startFleet(options)
  await until(() => fleet.app.pool.endpoints.every(({ ready, onDisk }) => ready && onDisk.size > 0))
  return fleet
}

/** Requests that cost a load, oldest first. */
const loads = (simulator: Simulator | undefined) =>
  simulator!.trace().filter(({ loadStart }) => loadStart !== undefined)

const isLoading = (simulator: Simulator | undefined) =>
  loads(simulator).some(({ loadEnd, end }) => loadEnd === undefined && end === undefined)

describe('a model load', () => {
  it('that takes long is waited for: no retry, no second load elsewhere, nobody is given up', async () => {
    const slow = { ...oneSlow, loadMs: 3_000 }
    await using fleet = await coldFleet({ simulators: [slow, slow], config: quickProbes })
    const call = openCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    await until(() => fleet.simulators.some(isLoading))
    let away = 0
    const watch = setInterval(() => {
      if (fleet.app.pool.endpoints.some(({ ready }) => !ready)) away++
    }, 20)
    expect(await call.ended).toBe('clean')
    clearInterval(watch)
    expect(away).toBe(0)
    expect((await call.head).status).toBe(200)
    expect((await call.head).headers['x-chasqui-attempts']).toBe('1')
    expect(fleet.simulators.flatMap(loads)).toHaveLength(1)
  }, 60_000)

  it('goes on when its client leaves: the next request finds the model there', async () => {
    await using fleet = await coldFleet({ simulators: [oneSlow], config: quickProbes })
    const [a] = fleet.simulators
    const leaver = openCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    await until(() => isLoading(a))
    leaver.leave()
    await until(() => fleet.ended.length === 1)
    expect(isLoading(a)).toBe(true)
    expect(fleet.app.pool.endpoint('a')?.inFlight).toBe(0)
    const next = await wholeCall(`${fleet.url}/api/chat`, { body: chat('is it there?') })
    expect(next.status).toBe(200)
    expect(loads(a)).toHaveLength(1)
    expect(a!.trace().filter(({ cancelReason }) => cancelReason)).toEqual([])
    // The one who left took its own request along: it was never sent.
    expect(a!.trace().filter(({ route }) => route.endsWith('/api/chat'))).toHaveLength(1)
  })

  it('dies with its client where the rescue is switched off, as with a bare server', async () => {
    await using fleet = await coldFleet({
      simulators: [oneSlow],
      config: `${quickProbes}\nrouting: { load_rescue: false }`,
    })
    const [a] = fleet.simulators
    const leaver = openCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    await until(() => isLoading(a))
    leaver.leave()
    await untilIdle(fleet)
    expect(loads(a)).toHaveLength(1)
    expect(loads(a)[0]?.cancelReason).toBeDefined()
    expect(loads(a)[0]?.loadEnd).toBeUndefined()
    expect(a!.stats().runners).toEqual([])
  })

  it('is one at a time for each backend, whoever asks for what', async () => {
    await using fleet = await coldFleet({ simulators: [oneSlow], config: quickProbes })
    const [a] = fleet.simulators
    const answers = await Promise.all(
      models.map((name) =>
        wholeCall(`${fleet.url}/api/chat`, { body: chat('hi', { model: name }) }),
      ),
    )
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    const spans = loads(a)
    expect(spans).toHaveLength(3)
    for (const [index, { arrival }] of spans.entries())
      if (index > 0) expect(arrival).toBeGreaterThanOrEqual(spans[index - 1]!.loadEnd!)
  })

  it('is shared by all who wait for it', async () => {
    await using fleet = await coldFleet({
      simulators: [{ ...oneSlow, slots: 4 }],
      config: quickProbes,
      backend: (backend) => ({ ...backend, slots: 4 }),
    })
    const [a] = fleet.simulators
    const calls = ['one', 'two', 'three'].map((text) =>
      openCall(`${fleet.url}/api/chat`, { body: chat(text) }),
    )
    await until(() => isLoading(a) && fleet.app.pool.endpoint('a')?.inFlight === 3)
    calls[0]!.leave()
    expect(await Promise.all(calls.map(({ ended }) => ended))).toEqual(['cut', 'clean', 'clean'])
    expect(loads(a)).toHaveLength(1)
  })

  it('is begun for nobody: who left while it waited its turn needs none', async () => {
    await using fleet = await coldFleet({ simulators: [oneSlow], config: quickProbes })
    const [a] = fleet.simulators
    const first = wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    await until(() => isLoading(a))
    const leaver = openCall(`${fleet.url}/api/chat`, { body: chat('hi', { model: 'qwen3' }) })
    await until(() => fleet.app.queue.size === 1)
    leaver.leave()
    expect((await first).status).toBe(200)
    const third = await wholeCall(`${fleet.url}/api/chat`, {
      body: chat('hi', { model: 'gemma3' }),
    })
    expect(third.status).toBe(200)
    expect(loads(a).map((entry) => entry.model)).toEqual([model, 'gemma3'])
  })

  it('comes before a request for another context, with the options of that request', async () => {
    await using fleet = await coldFleet({ simulators: [oneSlow], config: quickProbes })
    const [a] = fleet.simulators
    await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    const wanted = chat('hello', { options: { num_ctx: 9_000, temperature: 0 }, keep_alive: '7m' })
    for (let times = 0; times < 2; times++)
      expect((await wholeCall(`${fleet.url}/api/chat`, { body: wanted })).status).toBe(200)
    expect(loads(a)).toHaveLength(2)
    const ours = loads(a)[1]
    expect(ours?.route).toContain('/api/generate')
    expect(JSON.parse(ours?.bodyText ?? '')).toEqual({
      model,
      stream: false,
      options: { num_ctx: 9_000 },
      keep_alive: '7m',
    })
    expect(a!.stats().runners.map(({ contextTokens }) => contextTokens)).toEqual([9_000])
    // And back, for one who names none.
    await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    expect(loads(a)).toHaveLength(3)
    expect(loads(a).every(({ route }) => route.includes('/api/generate'))).toBe(true)
  })

  it('that fails on one backend is made on another', async () => {
    await using fleet = await coldFleet({
      simulators: [oneSlow, oneSlow],
      config: `${quickProbes}\n${inOrder}`,
    })
    fleet.simulators[0]!.faults.add({ kind: 'load-failure', text: 'out of memory' })
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    expect(answer.status).toBe(200)
    expect(answer.headers['x-chasqui-backend']).toBe('b')
  })

  it('that nobody can make is refused in the words of the route that was asked', async () => {
    await using fleet = await coldFleet({ simulators: [oneSlow], config: quickProbes })
    const direct = await wholeCall(`${fleet.simulators[0]!.url}/api/embed`, {
      body: { model: 'all-minilm', input: 'x' },
    })
    const through = await wholeCall(`${fleet.url}/api/embed`, {
      body: { model: 'all-minilm', input: 'x' },
    })
    expect(through.status).toBe(direct.status)
    expect(through.text).toBe(direct.text)
  })

  it('on a backend that stands still is left for another that is well', async () => {
    const server = ['--models', model, '--load-seconds', '1', '--answer-tokens', '5']
    await using herd = await startHerd({
      simulators: [server, server],
      env: { CHASQUI_PROBES_FALL: '2' },
    })
    const call = openCall(`${herd.url}/api/chat`, { body: chat('hello') })
    const loading = async () => {
      const { backends } = await herd.status()
      return backends.find(({ in_flight }) => in_flight > 0)?.name
    }
    await until(async () => (await loading()) !== undefined)
    const first = herd.remotes.find(({ name }) => name === herd.remotes[0]!.name)!
    const holder = (await loading()) === first.name ? first : herd.remotes[1]!
    holder.process.kill('SIGSTOP')
    expect(await call.ended).toBe('clean')
    const { status, headers } = await call.head
    expect(status).toBe(200)
    expect(headers['x-chasqui-backend']).not.toBe(holder.name)
    holder.process.kill('SIGCONT')
  }, 60_000)
})
