import { describe, expect, it } from 'vitest'
import { openCall, wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { blind, chat, model, untilIdle, warmFleet } from '../help/warm-fleet.ts'
import { startFakes } from './split-fakes.ts'
import {
  askSplit,
  joined,
  linesOf,
  partsOf,
  seats,
  streamSplit,
  textsFor,
  worked,
  workedAll,
} from './split-fleet.ts'

const split = { by: 'lines', size: 1 }
const lines = (count: number) => linesOf(count).join('\n')
const endless = { answerTokens: 100_000, decodeTokensPerSecond: 500 }

describe('a run beside others', () => {
  it('waits for its turn while everybody is busy, and is done then', async () => {
    await using fleet = await warmFleet({
      simulators: [endless, endless],
      config: blind,
      backend: seats(1),
    })
    const holders = [1, 2].map((each) =>
      openCall(`${fleet.url}/api/chat`, { body: chat(`holder ${each}`, { stream: true }) }),
    )
    await until(() => fleet.simulators.every((each) => worked(each).length === 1))
    const options = { num_predict: 3 }
    const running = askSplit(fleet.url, { input: lines(12), split, options })
    await until(() => fleet.app.queue.size >= 2)
    expect(workedAll(fleet)).toHaveLength(2)
    for (const holder of holders) holder.leave()
    const { status, fields } = await running
    expect(status).toBe(200)
    expect(fields.response).toBe(
      joined(await textsFor(fleet.simulators[0]!, partsOf(12), { options })),
    )
  })

  it('waits as well where the queue takes nobody', async () => {
    await using fleet = await warmFleet({
      simulators: [endless],
      config: `${blind}\nqueue: { max: 0 }`,
      backend: seats(1),
    })
    const holder = openCall(`${fleet.url}/api/chat`, { body: chat('holder', { stream: true }) })
    await until(() => worked(fleet.simulators[0]!).length === 1)
    const body = { input: lines(4), split, options: { num_predict: 3 } }
    const running = askSplit(fleet.url, body)
    // Its first part is turned away, and comes again.
    await until(() => fleet.ended.some(({ code }) => code === 'all_busy'))
    holder.leave()
    const { status, fields } = await running
    expect([status, fields.split]).toMatchObject([200, { parts: 4, retried: 0, failed: [] }])
  })

  it('lets interactive chats through within about the time of one part', async () => {
    const partMs = 40
    const slow = { decodeTokensPerSecond: (5 * 1_000) / partMs, slots: 2 }
    await using fleet = await warmFleet({
      simulators: [slow, slow],
      config: blind,
      backend: seats(2),
    })
    const running = openCall(`${fleet.url}/generate`, {
      body: { model, input: lines(1_000), split, stream: true },
    })
    await until(() => running.lines().length >= 8)
    const waits: number[] = []
    for (let each = 0; each < 15; each++) {
      const { status } = await wholeCall(`${fleet.url}/api/chat`, {
        body: chat(`a person, ${each}`),
        headers: { 'x-chasqui-priority': 'interactive' },
      })
      expect(status).toBe(200)
      waits.push(fleet.ended.findLast(({ op }) => op === 'chat')!.waitMs)
    }
    // The middle one: a machine with much else to do may hold up some of them.
    expect(waits.toSorted((one, other) => one - other)[7]!).toBeLessThan(3 * partMs)
    // All of them were asked while the run went on, and it still does.
    const before = running.lines().length
    expect(before).toBeLessThan(900)
    await until(() => running.lines().length > before + 8)
    running.leave()
    await untilIdle(fleet)
  })

  it('steps back behind requests of the same client, unless it says otherwise', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind, backend: seats(1) })
    const priorityOf = async (body: object, headers = {}) => {
      const before = fleet.ended.length
      await askSplit(fleet.url, { input: lines(3), split, ...body }, { headers })
      return new Set(fleet.ended.slice(before).map(({ priority }) => priority))
    }
    expect(await priorityOf({})).toEqual(new Set(['batch']))
    expect(await priorityOf({ priority: 'interactive' })).toEqual(new Set(['interactive']))
    expect(await priorityOf({}, { 'x-chasqui-priority': 'normal' })).toEqual(new Set(['normal']))
  })

  it('has no more parts at work than max_parallel, whatever is free', async () => {
    await using fleet = await warmFleet({
      simulators: [{ slots: 4 }, { slots: 4 }],
      config: blind,
      backend: seats(4),
    })
    await askSplit(fleet.url, { input: lines(30), split: { ...split, max_parallel: 2 } })
    const moments = workedAll(fleet).flatMap(({ arrivalWall, endWall }) => [
      { atMs: arrivalWall, by: 1 },
      { atMs: endWall!, by: -1 },
    ])
    // Whole milliseconds: in the same one somebody goes before somebody comes.
    moments.sort((one, other) => one.atMs - other.atMs || one.by - other.by)
    const atOnce = moments.map((_, index) =>
      moments.slice(0, index + 1).reduce((sum, { by }) => sum + by, 0),
    )
    expect(Math.max(...atOnce)).toBe(2)
  })
})

describe('memory', () => {
  it('is not filled by a slow reader of a stream: the run waits for it', async () => {
    const parts = 400
    const text = 'x'.repeat(150_000)
    await using fakes = await startFakes([() => text], { slots: 4 })
    const call = openCall(`${fakes.url}/generate`, {
      body: { model, input: lines(parts), split, stream: true },
    })
    const paused = new Promise<void>((resume) =>
      call.request.on('response', (answer) => {
        answer.pause()
        resume()
      }),
    )
    await paused
    // Nothing is under way, although most of it is still to be asked.
    const { pool, queue } = fakes.fleet.app
    await until(() => queue.size === 0 && pool.endpoints[0]!.inFlight === 0)
    expect(fakes.prompts.length).toBeLessThan(parts * 0.6)
    call.leave()
    await untilIdle(fakes.fleet)
  })

  it('stays flat over ten thousand small parts, and the answer is right', async () => {
    const parts = 10_000
    await using fakes = await startFakes(
      [1, 2].map(() => (prompt: string) => `<${prompt.trim()}>`),
      {
        slots: 8,
      },
    )
    const body = { model, input: lines(parts), split, stream: true }
    const call = openCall(`${fakes.url}/generate`, { body })
    let most = 0
    const startBytes = process.memoryUsage().heapUsed
    const sampling = setInterval(() => {
      most = Math.max(most, process.memoryUsage().heapUsed - startBytes)
    }, 50)
    await call.ended
    clearInterval(sampling)
    const got = call.lines().map((line) => JSON.parse(line) as { response: string })
    expect(got.map(({ response }) => response).join('')).toBe(
      linesOf(parts)
        .map((line) => `<${line}>`)
        .join('\n'),
    )
    expect(got.at(-1)).toMatchObject({ done: true, split: { parts, failed: [] } })
    // Both ends, the client and its ten thousand lines are in this process as well.
    expect(most).toBeLessThan(200 * 1_048_576)
  }, 60_000)
})

describe('a backend with a smaller context', () => {
  it('is left out and named when it would more than double the parts', async () => {
    await using fleet = await warmFleet({
      simulators: [{ contextDefault: 8_192 }, { contextDefault: 1_024 }],
      config: 'probes: { interval: 200ms, timeout: 190ms }',
    })
    const contexts = () =>
      fleet.app.pool.endpoints.map((each) => each.model(`${model}:latest`)?.contextLoaded)
    await until(() => JSON.stringify(contexts()) === '[8192,1024]')
    const input = 'some words of a line that is rather long\n'.repeat(400)
    const wide = { input, split: { by: 'lines', size: 200 } }
    const { last } = await streamSplit(fleet.url, wide)
    expect(last.split).toMatchObject({ parts: 2, left_out: [{ backend: 'b', context: 1_024 }] })
    expect(last.split.backends).toEqual({ a: 2 })
    // Parts that fit it anyhow are its as well.
    const small = { input, split: { by: 'lines', size: 10 } }
    const { last: both } = await streamSplit(fleet.url, small)
    expect(both.split).not.toHaveProperty('left_out')
    expect(Object.keys(both.split.backends).toSorted()).toEqual(['a', 'b'])
  })
})
