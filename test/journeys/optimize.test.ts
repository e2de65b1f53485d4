import { describe, expect, it } from 'vitest'
import { runCli } from '../../src/cli/program.ts'
import { scaledClock } from '../../src/core/clock.ts'
import { type Fleet, startFleet } from '../help/fleet.ts'
import { wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { chat } from '../help/warm-fleet.ts'

interface Row {
  readonly kind: string
  readonly backend: string
  readonly model: string | null
  readonly gain_s_per_hour?: number
  readonly why: string
}

interface Optimized {
  readonly advice: Row[]
  readonly applied: Row[]
  readonly not_applied: (Row & { note: string })[]
}

/** Two servers; only the first has been used, and the loop of the proxy loads nothing by itself. */
async function oneUsed(): Promise<Fleet> {
  const server = {
    models: ['ash', 'oak'],
    loadMs: 200,
    decodeTokensPerSecond: 100,
    answerTokens: 20,
  }
  const fleet = await startFleet({
    simulators: [server, server],
    config: 'continuation: false\nresidency: { mode: off }',
    // Slowly, so that nothing is thought over by itself meanwhile.
    doors: { clock: scaledClock(1) },
  })
  const { endpoints } = fleet.app.pool
  await until(() => endpoints.every(({ ready, onDisk }) => ready && onDisk.size > 0))
  return fleet
}

async function optimized(fleet: Fleet, body?: object, headers: Record<string, string> = {}) {
  const response = await fetch(`${fleet.url}/api/distributed/cluster/optimize`, {
    method: 'POST',
    headers: { ...headers, ...(body ? { 'content-type': 'application/json' } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  return { status: response.status, body: (await response.json()) as Optimized }
}

describe('optimizing a fleet', () => {
  it('says what would help, does it when told to, and then has nothing more to say', async () => {
    await using fleet = await oneUsed()
    const ask = () => wholeCall(`${fleet.url}/api/chat`, { body: chat('hello', { model: 'ash' }) })
    // One after another, so that one server has it and the other never needs to.
    for (let each = 0; each < 20; each++) expect((await ask()).status).toBe(200)
    const used = (await ask()).headers['x-chasqui-backend']
    const other = used === 'a' ? 'b' : 'a'
    const { status, body } = await optimized(fleet)
    expect(status).toBe(200)
    expect(body.advice).toMatchObject([
      { kind: 'preload', backend: other, model: 'ash:latest', safe: true },
    ])
    expect(body.advice[0]!.gain_s_per_hour).toBeGreaterThan(0)
    expect(body.advice[0]!.why).toContain('ash:latest is asked for more')
    expect(body.applied).toEqual([])
    const endpoint = fleet.app.pool.endpoint(other)!
    expect(endpoint.residentAs('ash:latest')).toBe(false)

    const done = await optimized(fleet, { apply: true })
    expect(done.body.applied).toMatchObject([
      { kind: 'preload', backend: other, model: 'ash:latest' },
    ])
    expect(done.body.not_applied).toEqual([])
    expect(endpoint.residentAs('ash:latest')).toBe(true)
    expect((await optimized(fleet)).body.advice).toEqual([])
  }, 20_000)

  it('is for operators; the state of the cluster is for everybody', async () => {
    await using fleet = await oneUsed()
    expect((await optimized(fleet, undefined, { 'x-forwarded-for': '203.0.113.9' })).status).toBe(
      403,
    )
    expect((await optimized(fleet, { apply: 'yes' })).status).toBe(400)
    const status = await (await fetch(`${fleet.url}/api/distributed/cluster/status`)).json()
    expect(status).toMatchObject({
      status: 'healthy',
      healthy_agents: 2,
      total_agents: 2,
      pending_tasks: 0,
      agents: [
        { name: 'a', state: 'ready' },
        { name: 'b', state: 'ready' },
      ],
    })
  })

  it('is a command as well', async () => {
    await using fleet = await oneUsed()
    expect(await runCli(['optimize', '--url', fleet.url, '--json'], {}, '0.0.0')).toBe(0)
    expect(await runCli(['optimize', '--url', 'http://127.0.0.1:1'], {}, '0.0.0')).toBe(4)
  })
})
