import { describe, expect, it } from 'vitest'
import type { Simulator } from '../../backends/simulator/server.ts'
import { scaledClock } from '../../src/core/clock.ts'
import { seededDice } from '../../src/core/dice.ts'
import { type Fleet, type FleetOptions, startFleet } from '../help/fleet.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { chat, inOrder } from '../help/warm-fleet.ts'

const three = ['ash', 'elm', 'oak']

/** A busy machine is not as fast as that: probes and clients may take their time. */
const patient =
  'continuation: false\nlimits: { head_timeout: 1h }\nprobes: { interval: 10s, timeout: 9s, fall: 50 }'

/** Proxy and servers live so many times as fast as life. */
async function fastFleet(times: number, options: FleetOptions): Promise<Fleet> {
  const fleet = await startFleet({
    ...options,
    config: `${patient}\n${options.config ?? ''}`,
    simulators: options.simulators.map((each) => ({ answerTokens: 5, clockSpeed: times, ...each })),
    doors: { ...options.doors, clock: scaledClock(times), dice: seededDice(7) },
  })
  await until(() => fleet.app.pool.endpoints.every(({ ready, onDisk }) => ready && onDisk.size > 0))
  return fleet
}

const ask = (fleet: Fleet, model: string, more: object = {}) =>
  wholeCall(`${fleet.url}/api/chat`, { body: chat('hello', { model, ...more }) })

const loads = (simulator: Simulator | undefined) =>
  simulator!.trace().filter(({ loadStart }) => loadStart !== undefined).length

const loadedOn = (simulator: Simulator | undefined) =>
  simulator!
    .stats()
    .runners.map(({ model }) => model.split(':')[0]!)
    .sort()

describe('residency', () => {
  it('models that do not fit together are served in batches, and do not push one another out for each request', async () => {
    const server = { models: three, maxLoaded: 1, loadMs: 4_000, decodeTokensPerSecond: 10 }
    await using fleet = await fastFleet(30, { simulators: [server, server] })
    const dice = seededDice(3)
    let asked = 0
    const client = async () => {
      while (asked < 90) {
        asked++
        const { status, text } = await ask(fleet, three[Math.floor(3 * dice.roll())]!)
        expect(`${status} ${status === 200 ? '' : text}`).toBe('200 ')
      }
    }
    await Promise.all([client(), client(), client(), client(), client(), client()])
    const count = fleet.simulators.reduce((sum, simulator) => sum + loads(simulator), 0)
    // With `residency.mode: off` it is 61 to 66 of 90.
    expect(count).toBeLessThanOrEqual(40)
  }, 30_000)

  it('a server whose loads hang is left out for them within a minute, serves what it has, and is tried again', async () => {
    const server = { models: ['ash', 'oak'], loadMs: 1_000 }
    const turns: string[] = []
    await using fleet = await fastFleet(60, {
      simulators: [server, server],
      config: inOrder,
      doors: {
        observer: { loadsHung: (backend, _model, hang) => void turns.push(`${backend} ${hang}`) },
      },
    })
    const [a, b] = fleet.simulators
    expect((await ask(fleet, 'ash')).headers['x-chasqui-backend']).toBe('a')
    a!.faults.add({ kind: 'loads-hang' })
    const startedMs = performance.now()
    const stuck = openCall(`${fleet.url}/api/chat`, { body: chat('hello', { model: 'oak' }) })
    await until(() => a!.stats().pending.length > 0)
    expect((await ask(fleet, 'ash')).headers['x-chasqui-backend']).toBe('a')
    expect(await stuck.ended).toBe('clean')
    expect((await stuck.head).headers['x-chasqui-backend']).toBe('b')
    // A minute of patience, a load elsewhere, and what the machine itself takes.
    expect(performance.now() - startedMs).toBeLessThan(75_000 / 60 + 1_000)
    expect(turns).toEqual(['a true'])
    expect(fleet.app.pool.endpoint('a')?.admitting).toBe(true)
    expect((await ask(fleet, 'ash')).headers['x-chasqui-backend']).toBe('a')
    const before = loads(b)
    expect((await ask(fleet, 'oak')).headers['x-chasqui-backend']).toBe('b')
    expect(loads(b)).toBe(before)
    a!.faults.clear()
    await until(() => turns.length === 2)
    expect(turns).toEqual(['a true', 'a false'])
    expect(loadedOn(a)).toEqual(['ash', 'oak'])
  }, 30_000)

  it('a request whose load is overdue goes where a seat is free and the model is there, and the load goes on', async () => {
    // It waited for the full minute until the load was given up, beside another server that had the model in memory and
    // nothing to do.
    const server = { models: ['ash'], loadMs: 1_000 }
    const turns: string[] = []
    await using fleet = await fastFleet(40, {
      simulators: [server, server],
      doors: {
        observer: { loadsHung: (backend, _model, hang) => void turns.push(`${backend} ${hang}`) },
      },
    })
    const [a] = fleet.simulators
    const [at, elsewhere] = fleet.app.pool.endpoints
    fleet.app.pool.setEnabled(at!, false)
    expect((await ask(fleet, 'ash')).headers['x-chasqui-backend']).toBe('b')
    fleet.app.pool.setEnabled(at!, true)
    fleet.app.pool.setEnabled(elsewhere!, false)
    a!.faults.add({ kind: 'loads-hang' })
    const stuck = openCall(`${fleet.url}/api/chat`, { body: chat('hello', { model: 'ash' }) })
    await until(() => a!.stats().pending.length > 0)
    fleet.app.pool.setEnabled(elsewhere!, true)
    expect(await stuck.ended).toBe('clean')
    expect((await stuck.head).headers['x-chasqui-backend']).toBe('b')
    expect(turns).toEqual([])
    expect(a!.stats().pending.length).toBeGreaterThan(0)
    expect(fleet.ended.at(-1)?.trail).toEqual(['a: refused 503 loadsHang'])
    expect([at!.admitting, at!.tally.answered, at!.tally.failed, at!.inFlight]).toEqual([
      true,
      0,
      0,
      0,
    ])
    a!.faults.clear()
    await until(() => at!.residentAs('ash:latest'))
  }, 30_000)

  it('a load that its server has read and forgotten is asked for again, and nobody waits for a minute', async () => {
    // Whoever came for that model waited for a load that nobody ended, on a server that answered everything else: in a
    // storm two clients had no answer after 45 s, while three other servers stood idle.
    const server = { models: ['ash'], loadMs: 1_000 }
    await using fleet = await fastFleet(20, { simulators: [server] })
    const [a] = fleet.simulators
    a!.faults.add({ kind: 'hang', count: 1 })
    const startedMs = performance.now()
    expect((await ask(fleet, 'ash')).status).toBe(200)
    // Three times what a load is expected to take.
    expect(performance.now() - startedMs).toBeLessThan(50_000 / 20)
    await until(() => a!.stats().openRequests === 0)
  }, 30_000)

  it('a request with another num_ctx goes where the model can be loaded so, and the loaded one stays as it is', async () => {
    // A load is dear and an answer short, and that is known: where a busy machine stands still in an answer of five tokens,
    // its server is believed to be slow, and for the 183 tokens that an unknown answer is expected to have the other
    // one's load of two seconds was cheaper.
    const server = { models: ['ash'], loadMs: 8_000 }
    const plainly = { num_predict: 5 }
    await using fleet = await fastFleet(8, { simulators: [server, server] })
    const plain = await ask(fleet, 'ash', { options: plainly })
    const first = plain.headers['x-chasqui-backend']
    const wide = { options: { ...plainly, num_ctx: 8_192 } }
    const other = (await ask(fleet, 'ash', wide)).headers['x-chasqui-backend']
    expect(other).not.toBe(first)
    for (let each = 0; each < 3; each++) {
      expect((await ask(fleet, 'ash', wide)).headers['x-chasqui-backend']).toBe(other)
      expect((await ask(fleet, 'ash', { options: plainly })).headers['x-chasqui-backend']).toBe(
        first,
      )
    }
    expect(fleet.simulators.map(loads)).toEqual([1, 1])
    // A context that is the loaded one's is no other one, however it is asked for.
    await until(() => fleet.app.pool.endpoint(String(first))?.contextLoaded('ash:latest') === 4_096)
    const same = await ask(fleet, 'ash', { options: { ...plainly, num_ctx: 4_096 } })
    expect(same.headers['x-chasqui-backend']).toBe(first)
    expect(fleet.simulators.map(loads)).toEqual([1, 1])
  }, 30_000)

  it('a request with another num_ctx is served at once by the only server, once that is idle', async () => {
    // It waited for half a minute there while nothing ran: the idle copy that it replaces was protected from it, since it
    // had just been loaded.
    const server = { models: ['ash'], loadMs: 2_000 }
    await using fleet = await fastFleet(10, { simulators: [server] })
    expect((await ask(fleet, 'ash')).status).toBe(200)
    // Seen there, or it is not known yet that anything would have to leave.
    await until(() => fleet.app.pool.endpoint('a')?.contextLoaded('ash:latest') === 4_096)
    const startedMs = performance.now()
    expect((await ask(fleet, 'ash', { options: { num_ctx: 8_192 } })).status).toBe(200)
    // Two seconds of load and one to give the memory back; protected it waited for thirty.
    expect(performance.now() - startedMs).toBeLessThan(15_000 / 10)
    expect(loads(fleet.simulators[0])).toBe(2)
  }, 30_000)
})
