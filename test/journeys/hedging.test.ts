import { describe, expect, it } from 'vitest'
import type { Fault } from '../../backends/simulator/server.ts'
import type { Fleet, FleetOptions } from '../help/fleet.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { asked, blind, chat, inOrder, model, untilIdle, warmFleet } from '../help/warm-fleet.ts'
import { kindsFleet, routes, tell } from './continuing-fleet.ts'

const switchedOn = inOrder.replace('routing: {', 'routing: { hedge: on,')
const config = `${blind}\n${switchedOn}`
const quick = { prefillTokensPerSecond: 1e6, decodeTokensPerSecond: 10_000 }
const streamed = (text: string) => chat(text, { stream: true })
/** Far beyond the quarter of a second by which nothing is late. */
const slowMs = 5_000

/** Two or more equal servers, the first of which has answered so often that it is known; the fiftieth may be hedged. */
async function knownFleet(more: Partial<FleetOptions> = {}, count = 2): Promise<Fleet> {
  const simulators = Array.from({ length: count }, () => quick)
  const fleet = await warmFleet({ config, simulators, ...more })
  await getKnown(fleet)
  return fleet
}

async function getKnown(fleet: Fleet): Promise<void> {
  const body = JSON.stringify(streamed('hello'))
  for (let each = 0; each < 49; each++) {
    await (await fetch(`${fleet.url}/api/chat`, { method: 'POST', body })).text()
    await untilSeatsAreFree(fleet)
  }
  for (const simulator of fleet.simulators) simulator.clearTrace()
  expect(fleet.ended.every(({ backend, attempts }) => backend === 'a' && attempts === 1)).toBe(true)
}

async function untilSeatsAreFree({ app }: Fleet): Promise<void> {
  await until(() => app.pool.endpoints.every(({ inFlight }) => inFlight === 0))
}

/** This happens to the next request at each. */
function faults(fleet: Fleet, ...ofEach: readonly (readonly Fault[])[]): void {
  for (const [index, some] of ofEach.entries())
    fleet.simulators[index]!.faults.replace(some.map((fault) => ({ count: 1, ...fault })))
}

async function hedgesOf(fleet: Fleet): Promise<string[]> {
  const text = await (await fetch(`${fleet.url}/metrics`)).text()
  return text.split('\n').filter((line) => line.startsWith('chasqui_hedges_total{'))
}

const isHit = (fleet: Fleet) => fleet.simulators.map((each) => asked(each))

describe('a request whose answer is late to begin', () => {
  it('is sent a second time elsewhere, whose answer is the client’s; the first server hears that nobody waits', async () => {
    await using fleet = await knownFleet()
    faults(fleet, [{ kind: 'hang', ms: slowMs }])
    const answer = await wholeCall(`${fleet.url}/api/chat`, {
      body: streamed('hello'),
      headers: { 'X-Request-Id': 'late' },
    })
    expect(answer).toMatchObject({ status: 200, ended: 'clean' })
    expect(answer.tookMs).toBeLessThan(slowMs / 2)
    expect(answer.headers).toMatchObject({ 'x-chasqui-backend': 'b', 'x-chasqui-attempts': '2' })
    expect(answer.lines.filter((line) => line.includes('"done":true'))).toHaveLength(1)
    await untilIdle(fleet)
    expect(isHit(fleet)).toEqual([1, 1])
    expect(fleet.simulators[0]!.trace()[0]?.cancelReason).toBeDefined()
    expect(fleet.ended.at(-1)).toMatchObject({
      ending: 'ok',
      backend: 'b',
      attempts: 2,
      trail: ['a: overtaken by another backend'],
    })
    expect(await hedgesOf(fleet)).toEqual(['chasqui_hedges_total{result="won"} 1'])
    const { pool } = fleet.app
    expect(pool.endpoint('a')).toMatchObject({ lastError: undefined, breakerState: 'admitting' })
    const said = await fetch(`${fleet.url}/api/distributed/decisions/late`)
    const { decisions } = (await said.json()) as { decisions: object[] }
    // The slower server was once said to have failed the request, of which nothing was true.
    expect(decisions).toMatchObject([
      { backend: 'a', beside: null, barred: [] },
      { backend: 'b', beside: 'a', barred: [{ backend: 'a', reason: 'underWay' }] },
    ])
  })

  it('is answered where it was first when that comes first, and the second is ended', async () => {
    await using fleet = await knownFleet()
    faults(fleet, [{ kind: 'hang', ms: 900 }], [{ kind: 'hang', ms: slowMs }])
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: streamed('hello') })
    expect(answer.headers['x-chasqui-backend']).toBe('a')
    expect(answer.tookMs).toBeLessThan(slowMs / 2)
    await untilIdle(fleet)
    expect(isHit(fleet)).toEqual([1, 1])
    expect(await hedgesOf(fleet)).toEqual(['chasqui_hedges_total{result="lost"} 1'])
    expect(fleet.ended.at(-1)?.trail).toEqual(['b: overtaken by another backend'])
  })

  it('is sent once unless it is switched on, however late it is', async () => {
    await using fleet = await knownFleet({ config: `${blind}\n${inOrder}` })
    faults(fleet, [{ kind: 'hang', ms: 700 }])
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: streamed('hello') })
    expect(answer.headers['x-chasqui-attempts']).toBe('1')
    expect(isHit(fleet)).toEqual([1, 0])
    expect(await hedgesOf(fleet)).toEqual([])
  })

  it('is answered by the second when the first dies meanwhile, whose death is its own', async () => {
    await using fleet = await knownFleet()
    faults(
      fleet,
      [
        { kind: 'hang', ms: 900 },
        { kind: 'reset-after-chunks', chunks: 0 },
      ],
      [{ kind: 'hang', ms: 1_300 }],
    )
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: streamed('hello') })
    expect(answer).toMatchObject({ status: 200, ended: 'clean' })
    expect(answer.headers['x-chasqui-backend']).toBe('b')
    await untilIdle(fleet)
    expect(isHit(fleet)).toEqual([1, 1])
    expect(fleet.ended.at(-1)?.trail).toEqual(['a: broke off before its answer'])
    expect(fleet.app.pool.endpoint('a')?.lastError).toBe('broke off before its answer')
    expect(await hedgesOf(fleet)).toEqual(['chasqui_hedges_total{result="won"} 1'])
  })

  it('is asked once more of a third when both fail, each counted once', async () => {
    await using fleet = await knownFleet({}, 3)
    faults(
      fleet,
      [
        { kind: 'hang', ms: 800 },
        { kind: 'reset-after-chunks', chunks: 0 },
      ],
      [{ kind: 'busy' }],
    )
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: streamed('hello') })
    expect(answer).toMatchObject({ status: 200, ended: 'clean' })
    expect(answer.headers).toMatchObject({ 'x-chasqui-backend': 'c', 'x-chasqui-attempts': '3' })
    await untilIdle(fleet)
    expect(isHit(fleet)).toEqual([1, 1, 1])
    expect(fleet.ended.at(-1)?.trail).toEqual([
      'b: refused 503 busy',
      'a: broke off before its answer',
    ])
    expect(await hedgesOf(fleet)).toEqual(['chasqui_hedges_total{result="lost"} 1'])
  })

  it('is held to be the killer when the runners of both die, as one after another', async () => {
    await using fleet = await knownFleet({}, 3)
    const dies: Fault[] = [
      { kind: 'hang', ms: 900 },
      { kind: 'reset-after-chunks', chunks: 0 },
    ]
    faults(fleet, dies, dies)
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: streamed('hello') })
    expect(answer.text).toContain('two model runners died under this request')
    await untilIdle(fleet)
    expect(isHit(fleet)).toEqual([1, 1, 0])
    for (const name of ['a', 'b'])
      expect(fleet.app.pool.endpoint(name)?.breakerState).toBe('admitting')
  })

  it.each(['its client leaves', 'its deadline passes'] as const)(
    'is ended at both servers when %s',
    async (how) => {
      await using fleet = await knownFleet()
      faults(fleet, [{ kind: 'hang', ms: slowMs }], [{ kind: 'hang', ms: slowMs }])
      const leaves = how === 'its client leaves'
      const headers = leaves ? {} : { 'X-Chasqui-Deadline': '1200ms' }
      const call = openCall(`${fleet.url}/api/chat`, { body: streamed('hello'), headers })
      await until(() => isHit(fleet).every((count) => count === 1))
      if (leaves) call.leave()
      await until(() => fleet.ended.length === 50)
      await untilIdle(fleet, slowMs / 2)
      const ending = leaves ? 'client_closed' : 'upstream_timeout'
      expect(fleet.ended.at(-1)).toMatchObject({ ending, attempts: 2 })
      for (const simulator of fleet.simulators)
        expect(simulator.trace()[0]?.cancelReason).toBeDefined()
      expect(await hedgesOf(fleet)).toEqual(['chasqui_hedges_total{result="lost"} 1'])
    },
  )

  it('is sent once when the budget is used up', async () => {
    await using fleet = await knownFleet()
    fleet.simulators[0]!.faults.replace([{ kind: 'hang', ms: 700, count: 2 }])
    const first = await wholeCall(`${fleet.url}/api/chat`, { body: streamed('one') })
    const second = await wholeCall(`${fleet.url}/api/chat`, { body: streamed('two') })
    expect(first.headers['x-chasqui-backend']).toBe('b')
    expect(second.headers).toMatchObject({ 'x-chasqui-backend': 'a', 'x-chasqui-attempts': '1' })
    expect(isHit(fleet)).toEqual([2, 1])
  })

  it('is sent once where the model would have to be loaded elsewhere', async () => {
    await using fleet = await knownFleet()
    const unload = JSON.stringify({ model, keep_alive: 0 })
    const [, b] = fleet.simulators
    await (await fetch(`${b!.url}/api/generate`, { method: 'POST', body: unload })).text()
    fleet.app.pool.endpoint('b')!.learnInMemory([])
    b!.clearTrace()
    faults(fleet, [{ kind: 'hang', ms: 800 }])
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: streamed('hello') })
    expect(answer.headers['x-chasqui-backend']).toBe('a')
    expect(b!.trace()).toEqual([])
  })

  it('is sent once where no seat is free elsewhere', async () => {
    const backend: FleetOptions['backend'] = (one) => ({ ...one, slots: 1 })
    await using fleet = await knownFleet({ backend })
    faults(fleet, [{ kind: 'hang', ms: 800 }], [{ kind: 'hang' }])
    const late = openCall(`${fleet.url}/api/chat`, { body: streamed('hello') })
    await until(() => asked(fleet.simulators[0]) === 1)
    const holder = openCall(`${fleet.url}/api/chat`, { body: streamed('another') })
    await until(() => asked(fleet.simulators[1]) === 1)
    expect(await late.ended).toBe('clean')
    expect(isHit(fleet)).toEqual([1, 1])
    holder.leave()
    await untilIdle(fleet)
    expect(await hedgesOf(fleet)).toEqual([])
  })

  it('is sent once when its answer comes in one piece, which tells nothing on its way', async () => {
    await using fleet = await knownFleet()
    faults(fleet, [{ kind: 'hang', ms: 700 }])
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    expect(answer.headers['x-chasqui-attempts']).toBe('1')
    expect(isHit(fleet)).toEqual([1, 0])
  })

  it('is gone on with elsewhere when the one that won breaks off', async () => {
    const name = 'm-continues'
    const route = routes['/api/chat']
    await using fleet = await kindsFleet(
      { simulators: [{}, {}, {}], settings: (settings) => ({ ...settings, hedge: true }) },
      [name],
    )
    const body = route.body(name, 'tell me')
    const whole = await tell(fleet.simulators[2]!.url, route, body)
    const short = route.body(name, 'hello', { options: { num_predict: 4 } })
    for (let each = 0; each < 49; each++) await tell(fleet.url, route, short)
    // What measures how the model goes on would meet the fault below, and hold a seat for as long as that lasts.
    await until(() => fleet.app.conformance.rows.size > 0, 15_000)
    await untilSeatsAreFree(fleet)
    const { path } = route
    fleet.simulators[0]!.faults.replace([{ kind: 'hang', ms: slowMs, path }])
    fleet.simulators[1]!.faults.replace([{ kind: 'reset-after-chunks', chunks: 8, path }])
    const startedMs = performance.now()
    const told = await tell(fleet.url, route, body)
    // Who was late is not the one that is asked for the rest, where there is somebody else.
    expect(performance.now() - startedMs).toBeLessThan(slowMs / 2)
    expect(told).toMatchObject({ text: whole.text, ends: 1, errors: [] })
    const last = fleet.ended.at(-1)
    expect(last?.trail).toEqual([
      'a: overtaken by another backend',
      'b: broke off in the middle of its answer',
    ])
    expect(last?.continued).toMatchObject([{ from: 'b', to: 'c', result: 'whole' }])
    await untilSeatsAreFree(fleet)
  })
})

describe('embeddings that are late', () => {
  it('are asked for a second time as well', async () => {
    const embedder = 'all-minilm'
    const inTheirOrder = switchedOn.replace('chat:', 'embed: [a, b], chat:')
    await using fleet = await warmFleet({
      config: `${blind}\n${inTheirOrder}\nembed: { split: off }`,
      simulators: [0, 1].map(() => ({ ...quick, models: [model, embedder] })),
    })
    const body = { model: embedder, input: 'a text to embed '.repeat(40) }
    for (const [index, { url }] of fleet.simulators.entries()) {
      await wholeCall(`${url}/api/embed`, { body: { ...body, keep_alive: -1 } })
      fleet.app.pool.endpoints[index]!.learnLoaded(`${embedder}:latest`)
    }
    for (let each = 0; each < 49; each++) await wholeCall(`${fleet.url}/api/embed`, { body })
    await untilSeatsAreFree(fleet)
    for (const simulator of fleet.simulators) simulator.clearTrace()
    faults(fleet, [{ kind: 'hang', ms: slowMs }])
    const answer = await wholeCall(`${fleet.url}/api/embed`, { body })
    expect(answer.headers['x-chasqui-backend']).toBe('b')
    expect(JSON.parse(answer.text)).toMatchObject({ embeddings: [expect.any(Array)] })
    await untilIdle(fleet)
    expect(fleet.ended.at(-1)?.trail).toEqual(['a: overtaken by another backend'])
  })
})
