import { describe, expect, it } from 'vitest'
import { decisionLines } from '../../src/cli/why-words.ts'
import { scaledClock } from '../../src/core/clock.ts'
import { seededDice } from '../../src/core/dice.ts'
import type { ExplainedDecision } from '../../src/routing/decisions.ts'
import type { Fleet } from '../help/fleet.ts'
import { until } from '../help/until.ts'
import { asked, untilIdle } from '../help/warm-fleet.ts'
import { kindsFleet, modelOf, routes, tell } from './continuing-fleet.ts'

const model = modelOf('continues')
const chat = routes['/api/chat']
const batch = { 'x-chasqui-priority': 'batch' }
const person = { 'x-chasqui-priority': 'interactive' }

/** So many times as fast as life. */
const times = 8

/** One seat, whose answers take some seconds of life, and how its model goes on is known. */
async function oneSeat(name = model): Promise<Fleet> {
  const pace = { answerTokens: 100, decodeTokensPerSecond: 40, clockSpeed: times }
  const fleet = await kindsFleet(
    {
      simulators: [{ slots: 1, ...pace }],
      backend: (backend) => ({ ...backend, slots: 1 }),
      doors: { clock: scaledClock(times) },
    },
    [name],
  )
  const body = chat.body(name, 'a first one', { options: { num_predict: 4, temperature: 0 } })
  await tell(fleet.url, chat, body, batch)
  await until(() => fleet.app.conformance.rows.size > 0, 15_000)
  await untilIdle(fleet)
  for (const simulator of fleet.simulators) simulator.clearTrace()
  return fleet
}

/** In the middle of an answer: as long as nobody cuts it, at most. */
const stall = (ms = 40_000, chunks = 30) =>
  ({ kind: 'stall-after-chunks', chunks, ms, count: 1 }) as const

const saysSomething = (fleet: Fleet) => {
  const [simulator] = fleet.simulators
  return until(() => simulator!.trace().at(-1)?.firstToken !== undefined)
}

/** A batch answer that stands still in its middle. */
async function begunBatch(fleet: Fleet, route = chat) {
  fleet.simulators[0]!.faults.replace([stall()])
  const body = route.body(model, 'tell me all of it', { temperature: 0 })
  let isOver = false
  const headers = { ...batch, 'x-request-id': 'the-long-one' }
  const running = tell(fleet.url, route, body, headers).finally(() => {
    isOver = true
  })
  await saysSomething(fleet)
  return { body, running, isOver: () => isOver }
}

const short = (name = model) =>
  chat.body(name, 'quick one', { options: { num_predict: 3, temperature: 0 } })

const askQuickly = (fleet: Fleet, name = model) =>
  tell(fleet.url, chat, short(name), { ...person, 'x-request-id': 'the-quick-one' })

const gaveWay = 'a: gave its seat to a person'
const trails = (fleet: Fleet) =>
  fleet.ended.slice(-2).map(({ id, trail, ending }) => ({ id, trail, ending }))

describe('a batch answer under way on the only seat', () => {
  it('gives it to a person, and goes on later where it was', async () => {
    await using fleet = await oneSeat()
    const { body, running, isOver } = await begunBatch(fleet)
    expect(await askQuickly(fleet)).toMatchObject({ ends: 1, errors: [] })
    expect(isOver()).toBe(false)
    const told = await running
    expect(told).toMatchObject({ ends: 1, errors: [] })
    expect(trails(fleet)).toEqual([
      { id: 'the-quick-one', trail: [], ending: 'ok' },
      { id: 'the-long-one', trail: [gaveWay], ending: 'ok' },
    ])
    expect(asked(fleet.simulators[0])).toBe(3)
    expect(told.text).toBe((await tell(fleet.simulators[0]!.url, chat, body)).text)
    const why = await fetch(`${fleet.url}/api/distributed/decisions/the-long-one`)
    const { decisions } = (await why.json()) as { decisions: ExplainedDecision[] }
    expect(decisions).toMatchObject([{ gave_way: { to: 'the-quick-one' } }, { gave_way: null }])
    expect(decisionLines(decisions[0]!).join(' ')).toMatch(
      /it gave its seat to the-quick-one, which waited \d+\.\d+ s less for \d+\.\d+ s of reading again/,
    )
    const metrics = await (await fetch(`${fleet.url}/metrics`)).text()
    expect(metrics).toContain('chasqui_gave_way_total{backend="a"} 1')
    await untilIdle(fleet)
    // It was nobody's failure.
    expect(fleet.app.pool.endpoints[0]!.breakerState).toBe('admitting')
  }, 30_000)

  it.each(['/api/generate', '/v1/chat/completions', '/v1/messages', '/v1/responses'] as const)(
    'does so on %s, to the letter',
    async (path) => {
      await using fleet = await oneSeat()
      const route = routes[path]
      const { body, running } = await begunBatch(fleet, route)
      await askQuickly(fleet)
      const told = await running
      expect(told).toMatchObject({ ends: 1, errors: [] })
      expect(trails(fleet).at(-1)).toMatchObject({ id: 'the-long-one', trail: [gaveWay] })
      expect(told.text).toBe((await tell(fleet.simulators[0]!.url, route, body)).text)
    },
    30_000,
  )

  it('does so once: the second person waits for it', async () => {
    await using fleet = await oneSeat()
    const { running } = await begunBatch(fleet)
    await askQuickly(fleet)
    fleet.simulators[0]!.faults.replace([stall(8_000, 5)])
    await until(() => asked(fleet.simulators[0]) === 3)
    await askQuickly(fleet)
    await running
    expect(fleet.ended.at(-1)?.id).toBe('the-quick-one')
    expect(asked(fleet.simulators[0])).toBe(4)
  }, 30_000)

  it('leaves nothing behind when its client leaves while it waits to go on', async () => {
    await using fleet = await oneSeat()
    const [simulator] = fleet.simulators
    simulator!.faults.replace([stall()])
    const leaving = new AbortController()
    const answer = await fetch(fleet.url + chat.path, {
      method: 'POST',
      headers: batch,
      body: JSON.stringify(chat.body(model, 'tell me all of it')),
      signal: leaving.signal,
    })
    await saysSomething(fleet)
    simulator!.faults.replace([stall(5_000, 1)])
    const quick = askQuickly(fleet)
    await until(() => fleet.app.queue.size === 1 && asked(simulator) === 2)
    leaving.abort()
    await answer.text().catch(() => {})
    await until(() => fleet.app.queue.size === 0)
    expect(await quick).toMatchObject({ ends: 1, errors: [] })
    await untilIdle(fleet)
    expect(asked(simulator)).toBe(2)
    expect(fleet.app.pool.endpoints[0]!.inFlight).toBe(0)
  }, 30_000)
})

describe('a batch answer that keeps its seat', () => {
  const waits = async (fleet: Fleet, batch: Promise<unknown>, name = model) => {
    const quick = askQuickly(fleet, name)
    await batch
    await quick
    expect(trails(fleet).map(({ trail }) => trail)).toEqual([[], []])
    expect(asked(fleet.simulators[0])).toBe(2)
  }

  it('is one that its client wants to be left alone', async () => {
    await using fleet = await oneSeat()
    fleet.simulators[0]!.faults.replace([stall(4_000)])
    const body = chat.body(model, 'tell me all of it')
    const running = tell(fleet.url, chat, body, { ...batch, 'x-chasqui-continue': 'off' })
    await saysSomething(fleet)
    await waits(fleet, running)
  }, 30_000)

  it('is one whose model would begin anew', async () => {
    const anew = modelOf('begins-anew')
    await using fleet = await oneSeat(anew)
    fleet.simulators[0]!.faults.replace([stall(4_000)])
    const running = tell(fleet.url, chat, chat.body(anew, 'tell me all of it'), batch)
    await saysSomething(fleet)
    await waits(fleet, running, anew)
  }, 30_000)

  it('is one that comes in one piece', async () => {
    await using fleet = await oneSeat()
    const [simulator] = fleet.simulators
    const body = chat.body(model, 'tell me all of it', { stream: false })
    const running = tell(fleet.url, chat, body, batch)
    await until(() => asked(simulator) === 1)
    await waits(fleet, running)
  }, 30_000)
})

it('a crowd of both, with broken connections and clients who leave, is answered to the letter', async () => {
  const pace = { slots: 1, answerTokens: 60, decodeTokensPerSecond: 40, clockSpeed: times }
  await using fleet = await kindsFleet(
    {
      simulators: [pace, pace],
      backend: (backend) => ({ ...backend, slots: 1 }),
      doors: { clock: scaledClock(times) },
    },
    [model],
  )
  const dice = seededDice(11)
  const first = chat.body(model, 'a first one', { options: { num_predict: 4, temperature: 0 } })
  await tell(fleet.url, chat, first, batch)
  await until(() => fleet.app.conformance.rows.size > 0, 15_000)
  await untilIdle(fleet)
  // Of one only: where two break off nobody is left.
  fleet.simulators[0]!.faults.add({ kind: 'reset-after-chunks', chunks: 20, count: 5, skip: 4 })
  const right = new Map<string, string>()
  const counts = { whole: 0, left: 0 }
  const job = async (index: number) => {
    await new Promise((done) => setTimeout(done, 500 * dice.roll()))
    const body = chat.body(model, `job ${index}`, { options: { temperature: 0 } })
    const leaving = new AbortController()
    if (index % 5 === 0) setTimeout(() => leaving.abort(), 2_500 * dice.roll())
    try {
      const answer = await fetch(fleet.url + chat.path, {
        method: 'POST',
        headers: batch,
        body: JSON.stringify(body),
        signal: leaving.signal,
      })
      const told = chat.told({ text: await answer.text() })
      expect(told).toMatchObject({ ends: 1, errors: [] })
      right.set(`job ${index}`, told.text)
      counts.whole++
    } catch (error) {
      if (!leaving.signal.aborted) throw error
      counts.left++
    }
  }
  const question = chat.body(model, 'quick one', { options: { num_predict: 20, temperature: 0 } })
  const someone = async () => {
    await new Promise((done) => setTimeout(done, 2_500 * dice.roll()))
    expect(await tell(fleet.url, chat, question, person)).toMatchObject({ ends: 1, errors: [] })
  }
  await Promise.all([
    ...Array.from({ length: 24 }, (_, index) => job(index)),
    ...Array.from({ length: 16 }, someone),
  ])
  await untilIdle(fleet)
  for (const [question, text] of right) {
    const body = chat.body(model, question, { options: { temperature: 0 } })
    expect(text).toBe((await tell(fleet.simulators[0]!.url, chat, body)).text)
  }
  expect(counts.whole).toBeGreaterThanOrEqual(19)
  const interrupted = fleet.ended.filter(({ trail }) => trail.some((each) => each.includes('gave')))
  expect(interrupted.length).toBeGreaterThan(3)
  for (const endpoint of fleet.app.pool.endpoints) expect(endpoint.inFlight).toBe(0)
  expect(fleet.app.queue.size).toBe(0)
}, 60_000)
