import { describe, expect, it } from 'vitest'
import { undisturbedClock } from '../help/clock.ts'
import type { Fleet, FleetOptions } from '../help/fleet.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { asked, blind, chat, model, untilIdle, warmFleet } from '../help/warm-fleet.ts'

// What people complain of in balancers for model servers, each as a journey: who gets the requests.

const seats = (slots: number) => (backend: object) => ({ ...backend, slots }) as never
const path = '/api/chat'

const servedBy = ({ ended }: Fleet) =>
  ['a', 'b', 'c'].map((name) => ended.filter(({ backend }) => backend === name).length)

async function ask(fleet: Fleet, count: number, sideBySide: number): Promise<void> {
  const one = async () => {
    for (let each = 0; each < count / sideBySide; each++) {
      const { status } = await wholeCall(`${fleet.url}${path}`, { body: chat('hello') })
      expect(status).toBe(200)
    }
  }
  await Promise.all(Array.from({ length: sideBySide }, one))
}

/**
 * Three that are equal in what they say of themselves, too: an answer takes some milliseconds here, and a server that a
 * busy machine let stand still in its first one, or in two of them, seems to be slow, or to work for others, and is
 * rightly asked less for a while.
 */
function equalFleet(options: Omit<FleetOptions, 'simulators'>, server: object = {}) {
  const simulatorDoors = () => ({ clock: undisturbedClock() })
  return warmFleet({ ...options, simulatorDoors, simulators: [server, server, server] })
}

describe('equal backends', () => {
  it('share what comes one after another, and what comes at once', async () => {
    await using fleet = await equalFleet({ config: blind, backend: seats(4) }, { slots: 4 })
    await ask(fleet, 30, 1)
    expect(Math.max(...servedBy(fleet)) - Math.min(...servedBy(fleet))).toBeLessThanOrEqual(6)
    await ask(fleet, 60, 6)
    const served = servedBy(fleet)
    expect(served.reduce((one, other) => one + other)).toBe(90)
    expect(Math.min(...served)).toBeGreaterThanOrEqual(20)
  })

  // Elsewhere each change of the list began the round anew, so that the first one carried every quiet hour.
  it('go on sharing where they were when their list is read again after every request', async () => {
    await using fleet = await equalFleet({ config: blind })
    const { pool } = fleet.app
    for (let each = 0; each < 30; each++) {
      await ask(fleet, 1, 1)
      pool.reconcile(pool.endpoints.map(({ backend }) => ({ ...backend })))
    }
    expect(Math.max(...servedBy(fleet)) - Math.min(...servedBy(fleet))).toBeLessThanOrEqual(6)
  })

  // A cursor that moved with each try as well sent every second request's retry to the same one of three.
  it('share the retries of a third that refuses everything', async () => {
    await using fleet = await equalFleet({
      config: `${blind}\nbreaker: { failures: 1000, window: 1000 }\nretries: { budget_floor: 1000 }`,
    })
    fleet.simulators[0]!.faults.add({ kind: 'status', status: 500, text: 'broken' })
    await ask(fleet, 40, 1)
    const [, b = 0, c = 0] = servedBy(fleet)
    expect(b + c).toBe(40)
    expect(Math.min(b, c)).toBeGreaterThanOrEqual(12)
  })
})

describe('a loaded model', () => {
  // Where each server has one model loaded, "loaded" means "busy" half of the time.
  it('that is busy does not draw a request while an equal server is idle', async () => {
    await using fleet = await warmFleet({
      simulators: [{}, {}],
      config: blind,
      backend: seats(1),
    })
    const [a] = fleet.simulators
    a!.faults.add({ kind: 'hang', count: 1 })
    fleet.simulators[1]!.faults.add({ kind: 'hang', count: 1 })
    const holder = openCall(`${fleet.url}${path}`, { body: chat('long') })
    await until(() => asked(fleet.simulators[0]) + asked(fleet.simulators[1]) === 1)
    const busy = asked(fleet.simulators[0]) === 1 ? 0 : 1
    fleet.simulators[1 - busy]!.faults.clear()
    await ask(fleet, 4, 1)
    expect(asked(fleet.simulators[1 - busy])).toBe(4)
    holder.leave()
    await untilIdle(fleet)
  })
})

describe('a backend that is not ready', () => {
  it('gets nothing until it is, though it is listed', async () => {
    await using fleet = await warmFleet({
      simulators: [{}, {}],
      config: 'probes: { interval: 500ms, timeout: 490ms, fall: 1 }',
    })
    const [a, b] = fleet.simulators
    a!.faults.add({ kind: 'status', status: 503, text: 'starting', path: '*' })
    await until(() => !fleet.app.pool.endpoints[0]!.ready)
    b!.clearTrace()
    await ask(fleet, 10, 2)
    expect(servedBy(fleet)).toEqual([0, 10, 0])
    expect(fleet.ended.every(({ attempts }) => attempts === 1)).toBe(true)
  })
})

describe('streams', () => {
  it('come token by token on every route, not in one lump', async () => {
    const server = { slots: 4, answerTokens: 30, decodeTokensPerSecond: 25 }
    await using fleet = await warmFleet({
      simulators: [server],
      config: blind,
      backend: seats(4),
    })
    const messages = [{ role: 'user', content: 'hello' }]
    const routes = {
      '/api/chat': { model, messages },
      '/api/generate': { model, prompt: 'hello' },
      '/v1/chat/completions': { model, messages, stream: true },
      '/v1/messages': { model, messages, max_tokens: 30, stream: true },
    }
    const shares = Object.entries(routes).map(async ([route, body]) => {
      const startedMs = performance.now()
      const call = openCall(`${fleet.url}${route}`, { body })
      await until(() => call.text() !== '')
      const firstMs = performance.now() - startedMs
      expect(await call.ended).toBe('clean')
      return firstMs / (performance.now() - startedMs)
    })
    for (const share of await Promise.all(shares)) expect(share).toBeLessThan(0.5)
  })

  // Another proxy's pool of workers ended at 504 of them, and nobody was told.
  it('run side by side beyond a thousand', async () => {
    const server = { slots: 400, answerTokens: 4, decodeTokensPerSecond: 1_000 }
    await using fleet = await warmFleet({
      simulators: [server, server, server],
      config: blind,
      backend: seats(400),
    })
    for (const { faults } of fleet.simulators) faults.add({ kind: 'stall-after-chunks', chunks: 1 })
    const body = chat('hello', { stream: true })
    const calls = Array.from({ length: 1_050 }, () => openCall(`${fleet.url}${path}`, { body }))
    await until(() => calls.every((call) => call.text() !== ''), 20_000)
    const inFlight = fleet.app.pool.endpoints.map((endpoint) => endpoint.inFlight)
    expect(inFlight.reduce((one, other) => one + other)).toBe(1_050)
    expect(fleet.app.queue.size).toBe(0)
    for (const call of calls) call.leave()
    await untilIdle(fleet, 15_000)
  })
})
