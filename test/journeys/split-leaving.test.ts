import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bestOf } from '../help/best-of.ts'
import type { Fleet } from '../help/fleet.ts'
import { openCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { blind, chat, model, untilIdle, warmFleet } from '../help/warm-fleet.ts'
import { answer, startFakes } from './split-fakes.ts'
import { askSplit, linesOf, seats, workedAll } from './split-fleet.ts'

/** The promise: so long after its client has left nobody works for it any more. */
const heardMsMax = 200
const endless = { answerTokens: 100_000, decodeTokensPerSecond: 500 }
const split = { by: 'lines', size: 1 }
const lines = (count: number) => linesOf(count).join('\n')

const isOuter = ({ id }: { id: string }) => !id.includes('.')

describe('a client that leaves a run', () => {
  it.each([
    ['that it reads as a stream', { stream: true }],
    ['that it waits for', { stream: false }],
    ['of one part that it reads as it comes', { stream: true, split: true, input: 'one line' }],
  ])('%s ends all of it within 200 ms', async (_name, more) => {
    const single = 'input' in more
    await using fleet = await warmFleet({
      simulators: [endless, endless],
      config: blind,
      backend: seats(2),
    })
    const tookMs = await bestOf(3, async () => {
      for (const each of fleet.simulators) each.clearTrace()
      const call = openCall(`${fleet.url}/generate`, {
        body: { model, input: lines(100), split, ...more },
      })
      await until(() =>
        single
          ? call.lines().length > 10
          : workedAll(fleet).length >= 4 && fleet.app.queue.size > 0,
      )
      const leftWall = Date.now()
      call.leave()
      await untilIdle(fleet)
      return Math.max(...workedAll(fleet).map(({ endWall }) => endWall!)) - leftWall
    })
    expect(tookMs).toBeLessThan(heardMsMax)
    expect(fleet.simulators.map((each) => each.stats().openRequests)).toEqual([0, 0])
    const ended = () => fleet.ended.filter(isOuter)
    await until(() => ended().length === 3)
    expect(ended()).toMatchObject(Array(3).fill({ ending: 'client_closed', status: 499 }))
    // Nothing of it comes back later: what was cancelled last has told so, and nothing was begun since.
    expect(workedAll(fleet).every(({ cancelReason }) => cancelReason !== undefined)).toBe(true)
    expect(workedAll(fleet)).toHaveLength(single ? 1 : 4)
  })

  it('whose answers are being reduced ends the calls that do it', async () => {
    const open = new Set<object>()
    await using fakes = await startFakes([
      (prompt) =>
        prompt.startsWith('line')
          ? 'a long answer '.repeat(200)
          : (response) => {
              open.add(response)
              response.once('close', () => open.delete(response))
            },
    ])
    const call = openCall(`${fakes.url}/generate`, {
      body: { model, input: lines(12), split, combine: 'reduce' },
    })
    await until(() => open.size === 2)
    call.leave()
    await until(() => open.size === 0, 1_000)
    await untilIdle(fakes.fleet)
    await until(() => fakes.fleet.ended.some(isOuter))
    // The other groups of the level are never asked.
    expect(fakes.prompts.filter((prompt) => !prompt.startsWith('line'))).toHaveLength(2)
  })
})

describe('answers that wait for their turn', () => {
  const megabyte = 'x'.repeat(1_048_576)

  /** The first part is answered only when the test says so; all others at once, and at length. */
  async function held() {
    const first = Promise.withResolvers<void>()
    const fakes = await startFakes(
      [
        (prompt) =>
          prompt.trim() === 'line 1'
            ? (response) => void first.promise.then(() => answer(response, 'first'))
            : megabyte,
      ],
      { slots: 4 },
    )
    return { fakes, first, dataDir: fakes.dataDir }
  }

  it('go to a file beyond a bound, and come back from it whole', async () => {
    const { fakes, first, dataDir } = await held()
    await using _fakes = fakes
    const asking = askSplit(fakes.url, { input: lines(30), split })
    await until(() => spooled(dataDir).length > 0)
    first.resolve()
    const { status, fields } = await asking
    expect(status).toBe(200)
    expect(fields.response === ['first', ...Array(29).fill(megabyte)].join('\n')).toBe(true)
    // The answer is out before what it was kept in is gone.
    await until(() => spooled(dataDir).length === 0)
    await until(async () => (await heldBytes(fakes.fleet)) === 0)
  })

  it('leave no file behind when they can not be made one, while more of them come in', async () => {
    const { fakes, first, dataDir } = await held()
    await using _fakes = fakes
    const body = { input: lines(64), split, combine: 'json' }
    const asking = askSplit(fakes.url, body)
    await until(() => spooled(dataDir).length > 0)
    first.resolve()
    expect((await asking).status).toBe(502)
    await untilIdle(fakes.fleet)
    await until(() => spooled(dataDir).length === 0)
    await until(async () => (await heldBytes(fakes.fleet)) === 0)
  })

  it('leave no file behind when the client leaves', async () => {
    const { fakes, dataDir } = await held()
    await using _fakes = fakes
    const call = openCall(`${fakes.url}/generate`, {
      body: { model, input: lines(30), split },
    })
    await until(() => spooled(dataDir).length > 0)
    call.leave()
    await until(() => spooled(dataDir).length === 0)
    await untilIdle(fakes.fleet)
    await until(async () => (await heldBytes(fakes.fleet)) === 0)
  })
})

function spooled(dataDir: string): string[] {
  try {
    return readdirSync(join(dataDir, 'spool', String(process.pid)))
  } catch {
    return []
  }
}

async function heldBytes(fleet: Fleet): Promise<number> {
  const metrics = await (await fetch(`${fleet.url}/metrics`)).text()
  const held = [...metrics.matchAll(/^chasqui_\w*held\w*\{[^}]*\} (\S+)$/gm)]
  expect(held).toHaveLength(2)
  return held.reduce((sum, [, bytes]) => sum + Number(bytes), 0)
}

describe('a proxy that is stopped', () => {
  it.each([
    ['', {}],
    [', where holes may be too', { on_error: 'partial' }],
  ])('ends a stream with one honest line%s', async (_name, more) => {
    await using fleet = await warmFleet({
      simulators: [{ decodeTokensPerSecond: 50 }, { decodeTokensPerSecond: 50 }],
      config: blind,
    })
    const call = openCall(`${fleet.url}/generate`, {
      body: { model, input: lines(500), split, stream: true, ...more },
    })
    await until(() => call.lines().length > 2)
    await fleet.app.stop()
    expect(await call.ended).toBe('clean')
    const got = call.lines().map((line) => JSON.parse(line) as { error?: string; code?: string })
    expect(got.filter(({ error }) => error !== undefined)).toEqual([got.at(-1)])
    expect(got.at(-1)).toMatchObject({ code: 'stopping' })
    await untilIdle(fleet)
  })

  // While every part waited for its next try there was no exchange under way that the stop could have ended: the run
  // went on, and its client was cut without a word.
  it('answers in its own words a run whose parts all wait for their next try', async () => {
    await using fleet = await warmFleet({
      simulators: [endless],
      config: `${blind}\nqueue: { max: 0 }`,
      backend: seats(1),
    })
    const holder = openCall(`${fleet.url}/api/chat`, { body: chat('holder', { stream: true }) })
    await until(() => workedAll(fleet).length === 1)
    const call = openCall(`${fleet.url}/generate`, { body: { model, input: lines(4), split } })
    await until(() => fleet.ended.filter(({ code }) => code === 'all_busy').length > 20)
    const [{ status }] = await Promise.all([call.head, fleet.app.stop()])
    await call.ended
    expect([status, JSON.parse(call.text())]).toMatchObject([503, { code: 'stopping' }])
    holder.leave()
  })

  it('says so with a status where nothing was sent yet', async () => {
    await using fleet = await warmFleet({ simulators: [endless], config: blind })
    const call = openCall(`${fleet.url}/generate`, { body: { model, input: lines(50), split } })
    await until(() => workedAll(fleet).length > 0)
    const [{ status }] = await Promise.all([call.head, fleet.app.stop()])
    await call.ended
    expect([status, JSON.parse(call.text())]).toMatchObject([503, { code: 'stopping' }])
  })
})
