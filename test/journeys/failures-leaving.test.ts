import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { Simulator } from '../../backends/simulator/server.ts'
import { seededDice } from '../../src/core/dice.ts'
import { bestOf } from '../help/best-of.ts'
import { type CallOptions, openCall, wholeCall } from '../help/open-call.ts'
import { seatsHeld, wholeAtOnce } from '../help/peak.ts'
import { until } from '../help/until.ts'
import { asked, blind, chat, model, untilIdle, warmFleet } from '../help/warm-fleet.ts'

/** The promise: so long after its client has left a backend knows. */
const heardMsMax = 200
const endless = { answerTokens: 100_000, decodeTokensPerSecond: 500 }
const oneSeat = (backend: object) => ({ ...backend, slots: 1 }) as never

const cancelled = (simulator: Simulator | undefined) =>
  simulator!.trace().filter(({ cancelReason }) => cancelReason !== undefined)

describe('a client that leaves', () => {
  it.each([
    { when: 'in the middle of a stream', stream: true, fault: undefined },
    { when: 'before the first byte of a whole answer', stream: false, fault: undefined },
    { when: 'while its prompt is read in silence', stream: true, fault: 'hang' as const },
  ])('$when is heard of at the backend within 200 ms', async ({ stream, fault }) => {
    await using fleet = await warmFleet({ simulators: [endless], config: blind })
    const [a] = fleet.simulators
    if (fault) a!.faults.add({ kind: fault })
    const tookMs = await bestOf(3, async () => {
      a!.clearTrace()
      const call = openCall(`${fleet.url}/api/chat`, { body: chat('hello', { stream }) })
      await until(() => asked(a) === 1 && (!stream || !!fault || call.lines().length >= 20))
      const leftWall = Date.now()
      call.leave()
      await untilIdle(fleet)
      const [entry] = a!.trace()
      expect(entry?.cancelReason).toContain('client')
      return entry!.endWall! - leftWall
    })
    expect(tookMs).toBeLessThan(heardMsMax)
    expect(a!.stats().openRequests).toBe(0)
    expect(fleet.ended[0]).toMatchObject({ ending: 'client_closed', status: 499 })
    expect(fleet.app.pool.endpoint('a')?.lastError).toBeUndefined()
  })

  it('while it waits leaves the queue at once, and no backend ever hears of it', async () => {
    await using fleet = await warmFleet({ simulators: [endless], config: blind, backend: oneSeat })
    const [a] = fleet.simulators
    const holder = openCall(`${fleet.url}/api/chat`, { body: chat('first') })
    await until(() => asked(a) === 1)
    const tookMs = await bestOf(3, async () => {
      const waiter = openCall(`${fleet.url}/api/chat`, { body: chat('second') })
      await until(() => fleet.app.queue.size === 1)
      const leftMs = performance.now()
      waiter.leave()
      await until(() => fleet.app.queue.size === 0)
      return performance.now() - leftMs
    })
    expect(tookMs).toBeLessThan(heardMsMax)
    holder.leave()
    await untilIdle(fleet)
    expect(asked(a)).toBe(1)
  })

  it('with half of its connection is taken to have left', async () => {
    await using fleet = await warmFleet({ simulators: [endless], config: blind })
    const [a] = fleet.simulators
    const socket = connect({ host: '127.0.0.1', port: fleet.app.port, allowHalfOpen: true })
    const body = JSON.stringify(chat('hello'))
    socket.on('error', () => {})
    socket.write(
      `POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    await until(() => asked(a) === 1)
    socket.end()
    await untilIdle(fleet)
    expect(cancelled(a)).toHaveLength(1)
    socket.destroy()
  })

  it('takes along all that it had asked for on one connection', async () => {
    await using fleet = await warmFleet({
      simulators: [{ ...endless, slots: 4 }],
      config: blind,
      backend: (backend) => ({ ...backend, slots: 4 }),
    })
    const [a] = fleet.simulators
    const socket = connect(fleet.app.port, '127.0.0.1')
    socket.on('error', () => {})
    const body = JSON.stringify(chat('hello', { stream: true }))
    const one = `POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    socket.write(one.repeat(3))
    await until(() => asked(a) === 3)
    socket.destroy()
    await untilIdle(fleet)
    expect(cancelled(a)).toHaveLength(3)
  })

  it('while it still sends is forgotten, and takes no seat', async () => {
    await using fleet = await warmFleet({ simulators: [endless], config: blind, backend: oneSeat })
    const [a] = fleet.simulators
    for (const length of [1_000, 5_000_000]) {
      const call = openCall(`${fleet.url}/api/chat`, { headers: { 'content-length': `${length}` } })
      call.request.write('{"model":')
      await until(() => heldBytes(fleet.url).then((held) => held > 0))
      expect(fleet.app.pool.endpoint('a')?.leases.size).toBe(0)
      call.leave()
      await until(() => heldBytes(fleet.url).then((held) => held === 0))
    }
    expect(a!.trace().filter(({ method }) => method === 'POST')).toHaveLength(0)
  })

  it('frees its seat for the next in line', async () => {
    await using fleet = await warmFleet({ simulators: [endless], config: blind, backend: oneSeat })
    const holder = openCall(`${fleet.url}/api/chat`, { body: chat('first') })
    await until(() => asked(fleet.simulators[0]) === 1)
    const next = wholeCall(`${fleet.url}/api/chat`, {
      body: chat('second', { options: { num_predict: 3 } }),
    })
    await until(() => fleet.app.queue.size === 1)
    holder.leave()
    expect((await next).status).toBe(200)
  })
})

describe('two thousand requests left at any moment', () => {
  it('leave nothing behind: no seat, no waiter, no request at a backend, no byte held', async () => {
    const pace = { answerTokens: 60, decodeTokensPerSecond: 2_000, slots: 4, loadMs: 20 }
    await using fleet = await warmFleet({
      simulators: [pace, pace, pace],
      config: 'queue: { max: 50 }\nprobes: { interval: 500ms, timeout: 400ms }',
      backend: (backend) => ({ ...backend, slots: 3 }),
    })
    for (const [index, { faults }] of fleet.simulators.entries())
      faults.add(
        { kind: 'reset', rate: 0.05 },
        { kind: 'reset-after-chunks', chunks: 3 + index, rate: 0.05 },
        { kind: 'busy', rate: 0.05 },
      )
    const held = fleet.app.pool.endpoints.map((endpoint) => seatsHeld(endpoint))
    const dice = seededDice(7)
    const big = 'x'.repeat(1_500_000)
    let left = 0
    const ask = async (index: number) => {
      const stream = dice.roll() < 0.7
      const text = dice.roll() < 0.01 ? big : `number ${index}`
      const options = dice.roll() < 0.02 ? { num_ctx: 8_192 } : {}
      const name = dice.roll() < 0.1 ? 'qwen3' : model
      const path = dice.roll() < 0.5 ? '/api/chat' : '/v1/chat/completions'
      const call: CallOptions = { body: chat(text, { stream, options, model: name }) }
      const open = openCall(fleet.url + path, call)
      const patienceMs = dice.roll() < 0.2 ? 60_000 : dice.roll() ** 2 * 120
      const timer = setTimeout(() => {
        left++
        open.leave()
      }, patienceMs)
      await open.ended
      clearTimeout(timer)
    }
    let next = 0
    const client = async () => {
      while (next < 2_000) await ask(next++)
    }
    await Promise.all(Array.from({ length: 60 }, client))
    expect(left).toBeGreaterThan(500)
    await untilIdle(fleet)
    expect(fleet.simulators.map((each) => each.stats().openRequests)).toEqual([0, 0, 0])
    expect(await heldBytes(fleet.url)).toBe(0)
    for (const endpoint of fleet.app.pool.endpoints)
      expect([...endpoint.seatRows()].every(({ used }) => used === 0)).toBe(true)
    // Never more at a backend than it has seats for: three for each of two models.
    for (const { most } of held) expect(most).toBeLessThanOrEqual(6)
    for (const simulator of fleet.simulators) {
      const most = wholeAtOnce(simulator)
      expect(most).toBeGreaterThan(1)
      expect(most).toBeLessThanOrEqual(3)
    }
    for (const { faults } of fleet.simulators) faults.clear()
    await until(() => fleet.app.pool.endpoints.some(({ admitting }) => admitting))
    expect((await wholeCall(`${fleet.url}/api/chat`, { body: chat('still there?') })).status).toBe(
      200,
    )
    expect(fleet.ended.filter(({ code }) => code === 'internal')).toEqual([])
  }, 180_000)
})

/** Bytes of bodies that the proxy holds, in memory and in files, as its metrics say. */
async function heldBytes(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const rows = [...text.matchAll(/^chasqui_\w*held\w*\{[^}]*\} (\S+)$/gm)]
  if (rows.length === 0) throw new Error('no metric of held bytes')
  return rows.reduce((sum, [, value]) => sum + Number(value), 0)
}
