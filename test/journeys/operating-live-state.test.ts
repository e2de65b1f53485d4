import { describe, expect, it } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { ConfigError } from '../../src/config/problem.ts'
import { readConfig } from '../../src/config/read.ts'
import type { Settings } from '../../src/core/settings.ts'
import { settingsFrom } from '../help/fleet.ts'
import { ask } from '../help/herd.ts'
import { openCall } from '../help/open-call.ts'
import { scratchFolder } from '../help/scratch.ts'
import { until } from '../help/until.ts'
import { asked, blind, chat, model, untilIdle, warmFleet } from '../help/warm-fleet.ts'

/** A fleet whose settings the test exchanges, by YAML beside its backends. */
async function reloadable(
  simulators: Parameters<typeof warmFleet>[0]['simulators'],
  config: string,
  backend?: Parameters<typeof warmFleet>[0]['backend'],
) {
  const folder = scratchFolder()
  const source: { read?: () => Settings } = {}
  const fleet = await warmFleet({
    simulators,
    config,
    ...(backend ? { backend } : {}),
    doors: { read: async () => source.read!() },
  })
  const { settings } = fleet.app
  return {
    fleet,
    url: fleet.url,
    app: fleet.app,
    async reload(text: string, more: Partial<Settings> = {}) {
      const read = readConfig(text, { fileName: 'test.yaml', env: {} })
      source.read = () => {
        if (!read.ok) throw new ConfigError(read.problems)
        const { backends, listen, dataDir, log } = settings
        return { ...settingsFrom(text, folder.path), backends, listen, dataDir, log, ...more }
      }
      return await fleet.app.reload('test')
    },
    async [Symbol.asyncDispose]() {
      await fleet[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}

const post = (url: string, body: object, headers: Record<string, string> = {}) =>
  ask(`${url}/api/chat`, { method: 'POST', body: JSON.stringify(body), headers })

describe('what has been learned of a backend', () => {
  it('outlives a reload: seats, breaker, what it holds, and the place in line', async () => {
    const config = `${blind}\nbreaker: {failures: 2, rest: 60s}\nretries: {further_attempts: 0}`
    const slow = { slots: 2, answerTokens: 400, decodeTokensPerSecond: 100 }
    await using it = await reloadable([slow, {}], config)
    const { app, fleet, url } = it
    const a = app.pool.endpoint('a')!
    const b = app.pool.endpoint('b')!

    // b rests: it failed twice. a has its one known seat taken, and somebody waits for it.
    app.pool.setEnabled(a, false)
    fleet.simulators[1]!.faults.replace([{ kind: 'status', path: '/api/chat', status: 500 }])
    for (let each = 0; each < 2; each++) await post(url, chat('one'))
    expect(b.breakerState === 'resting' || !b.admittingModel(`${model}:latest`)).toBe(true)
    app.pool.setEnabled(a, true)
    const running = openCall(`${url}/api/chat`, { body: chat('run', { stream: true }) })
    await until(() => running.lines().length > 0)
    const row = [...a.seatRows()].find((each) => each.used > 0)!
    const opened = [...a.leases]
    const resting = b.restUntilMs(`${model}:latest`)

    const reloaded = await it.reload(`${config}\nqueue: {max: 77}\nrouting: {picker: round-robin}`)
    expect(reloaded).toMatchObject({ result: 'applied' })
    expect(app.pool.endpoints).toEqual([a, b])
    expect([...a.leases]).toEqual(opened)
    expect([...a.seatRows()].find(({ model: name }) => name === row.model)).toEqual(row)
    expect([b.restUntilMs(`${model}:latest`), resting]).toEqual([resting, expect.any(Number)])
    expect([a.ready, a.onDisk.size > 0, a.inMemory.size > 0]).toEqual([true, true, true])

    // The operator's number holds from now on; the seat that is used stays used.
    await it.reload(config, {
      backends: app.settings.backends.map((each) => ({ ...each, slots: 5 })),
    })
    expect([...a.seatRows()].find(({ model: name }) => name === row.model)).toMatchObject({
      used: 1,
      limit: 5,
    })
    expect(app.pool.endpoint('a')).toBe(a)
    running.leave()
  })

  it('is not believed of another server under the same name', async () => {
    await using it = await reloadable([{}], blind)
    const { app } = it
    await using other = await startSimulator({ models: ['qwen3'] })
    const before = app.pool.endpoint('a')!
    await it.reload(blind, {
      backends: app.settings.backends.map((each) => ({ ...each, origin: other.url })),
    })
    const after = app.pool.endpoint('a')!
    expect(after).not.toBe(before)
    await until(() => after.ready && after.onDisk.has('qwen3:latest'))
    expect(after.onDisk.has('llama3.2:latest')).toBe(false)
  })
})

describe('a setting that changes', () => {
  const two = [{}, {}]

  it('limits what comes next', async () => {
    await using it = await reloadable([{}], blind)
    const long = chat('x'.repeat(3_000))
    expect((await post(it.url, long)).status).toBe(200)
    await it.reload(`${blind}\nlimits: {body_max: 2KiB, body_in_memory_max: 1KiB}`)
    expect((await post(it.url, long)).status).toBe(413)
    await it.reload(blind)
    expect((await post(it.url, long)).status).toBe(200)
  })

  it('opens and closes the door for pages and names', async () => {
    await using it = await reloadable([{}], blind)
    const from = async (headers: Record<string, string>) =>
      (await ask(`${it.url}/api/tags`, { headers })).status
    const page = { origin: 'https://app.example' }
    const name = { host: 'proxy.example' }
    expect([await from(page), await from(name)]).toEqual([403, 403])
    await it.reload(
      `${blind}\nallowed_origins: ["https://app.example"]\nallowed_hosts: [proxy.example]`,
    )
    expect([await from(page), await from(name)]).toEqual([200, 200])
    await it.reload(blind)
    expect([await from(page), await from(name)]).toEqual([403, 403])
  })

  it('is who may change the fleet', async () => {
    await using it = await reloadable([{}], blind)
    const drain = async (token: string) =>
      (
        await ask(`${it.url}/api/workers/nobody/drain`, {
          method: 'POST',
          headers: { 'x-forwarded-for': '1.2.3.4', 'x-chasqui-admin-token': token },
        })
      ).status
    expect(await drain('token-one')).toBe(403)
    await it.reload(`${blind}\nadmin_token: token-one`)
    expect(await drain('token-one')).toBe(404)
    await it.reload(`${blind}\nadmin_token: token-two`)
    expect([await drain('token-one'), await drain('token-two')]).toEqual([403, 404])
  })

  it('is the queue, the picker and the order of who waits', async () => {
    const slow = { answerTokens: 2_000, decodeTokensPerSecond: 100 }
    const one = (backend: Settings['backends'][number]) => ({ ...backend, slots: 1 })
    await using it = await reloadable([slow], blind, one)
    const running = openCall(`${it.url}/api/chat`, { body: chat('run', { stream: true }) })
    await until(() => running.lines().length > 0)
    const waiting = openCall(`${it.url}/api/chat`, { body: chat('wait', { stream: true }) })
    await until(() => it.app.queue.size === 1)

    await it.reload(`${blind}\nqueue: {max: 0}`)
    const refused = await post(it.url, chat('too many'))
    expect([refused.status, refused.text]).toEqual([503, expect.stringContaining('switched off')])
    expect(it.app.queue.size).toBe(1)
    await it.reload(`${blind}\nqueue: {max: 5, timeout: 50ms}`)
    const late = await post(it.url, chat('not long'))
    expect([late.status, late.text]).toEqual([503, expect.stringContaining('queue.timeout')])
    running.leave()
    await until(() => waiting.lines().length > 0)
    waiting.leave()
    await untilIdle(it.fleet)
  })

  it('is what a failure costs: attempts, rests, and how long a first byte may take', async () => {
    await using it = await reloadable(two, `${blind}\nretries: {further_attempts: 0}`)
    const [first] = it.fleet.simulators
    first!.faults.replace([{ kind: 'hang', path: '/api/chat' }])
    it.app.pool.setEnabled(it.app.pool.endpoint('b')!, false)
    const hung = openCall(`${it.url}/api/chat`, { body: chat('hang') })
    await until(() => asked(first) === 1)
    await it.reload(
      `${blind}\ntimeouts: {first_byte: 100ms}\nretries: {further_attempts: 1}\nbreaker: {failures: 1, rest: 50s}`,
    )
    it.app.pool.setEnabled(it.app.pool.endpoint('b')!, true)
    expect((await post(it.url, chat('again'))).status).toBe(200)
    await it.reload(`${blind}\nretries: {further_attempts: 0}`)
    hung.leave()
  })

  it('is refused as a whole with its place, and nothing of it counts', async () => {
    await using it = await reloadable([{}], blind)
    const before = { ...it.app.settings }
    const refused = await it.reload(`${blind}\nqueue: {max: 1}\nlimits: {body_max: 12 parsecs}`)
    expect(refused).toMatchObject({
      result: 'refused',
      problems: [{ line: 3, path: 'limits.body_max' }],
    })
    expect({ ...it.app.settings }).toEqual(before)
  })
})

describe('probes in a new measure', () => {
  it('begin at once, though the old ones would have waited for a minute', async () => {
    await using it = await reloadable([{}], blind)
    const [simulator] = it.fleet.simulators
    await it.reload('probes: {interval: 50ms, timeout: 40ms, fall: 2}')
    simulator!.faults.replace([{ kind: 'status', path: '/api/ps', status: 500 }])
    await until(() => !it.app.pool.endpoint('a')!.ready, 3_000)
  })
})
