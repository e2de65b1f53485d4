import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { canonicalName } from '../../src/core/model-name.ts'
import { bestOf } from '../help/best-of.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { asked, blind, chat, inOrder, model, untilIdle, warmFleet } from '../help/warm-fleet.ts'

const two = { simulators: [{}, {}], config: `${blind}\n${inOrder}` }

describe('a failure before the first byte', () => {
  it('moves a request on when the first choice refuses connections', async () => {
    await using fleet = await warmFleet(two)
    fleet.simulators[0]!.faults.add({ kind: 'refuse' })
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    expect(answer.status).toBe(200)
    expect(answer.headers['x-chasqui-backend']).toBe('b')
    expect(answer.headers['x-chasqui-attempts']).toBe('2')
    expect(fleet.ended[0]?.trail).toEqual(['a: unreachable: connection refused'])
  })

  it.each([
    { kind: 'reset' },
    { kind: 'close-after-read' },
    { kind: 'busy' },
    { kind: 'status', status: 500 },
    { kind: 'status', status: 502 },
    { kind: 'reset-after-chunks', chunks: 0 },
    { kind: 'end-after-chunks', chunks: 0 },
  ] as const)('moves an inference on after %o, whose body was sent', async (fault) => {
    await using fleet = await warmFleet(two)
    fleet.simulators[0]!.faults.add(fault)
    const body = chat('hello', { stream: true })
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body })
    expect(answer.status).toBe(200)
    expect(answer.ended).toBe('clean')
    expect(answer.headers['x-chasqui-backend']).toBe('b')
    expect(answer.lines.at(-1)).toContain('"done":true')
    expect(asked(fleet.simulators[1])).toBe(1)
  })

  it('makes at most two further attempts, and tells what the last backend said', async () => {
    await using fleet = await warmFleet({ ...two, simulators: [{}, {}, {}, {}] })
    for (const { faults } of fleet.simulators)
      faults.add({ kind: 'status', status: 500, text: 'no luck today' })
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    expect(answer.status).toBe(500)
    expect(answer.text).toBe('{"error":"no luck today"}')
    expect(fleet.simulators.reduce((sum, each) => sum + asked(each), 0)).toBe(3)
  })

  it('never sends a management call again once it has left', async () => {
    await using fleet = await warmFleet(two)
    for (const { faults } of fleet.simulators)
      faults.add({ kind: 'close-after-read', path: '/api/push' })
    const answer = await wholeCall(`${fleet.url}/api/push`, { body: { model } })
    expect(answer.status).toBe(502)
    expect(fleet.simulators.map((each) => asked(each, '/api/push'))).toEqual([1, 0])
  })

  it('does not take an error of the request itself elsewhere', async () => {
    await using fleet = await warmFleet(two)
    const body = chat('hello', { options: { temperature: 'hot' } })
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body })
    expect(answer.status).toBe(500)
    expect(answer.text).toContain('must be of type')
    expect(asked(fleet.simulators[1])).toBe(0)
    expect(fleet.app.pool.endpoint('a')?.lastError).toBeUndefined()
  })

  it('starts no further attempt for a client that left while the retry waited', async () => {
    await using fleet = await warmFleet({
      ...two,
      backend: (backend) => ({ ...backend, slots: 1 }),
    })
    const [a, b] = fleet.simulators
    b!.faults.add({ kind: 'hang', count: 1 })
    // Holds the only seat of b.
    a!.faults.add({ kind: 'busy', count: 2 })
    const holder = openCall(`${fleet.url}/api/chat`, { body: chat('first') })
    await until(() => asked(b) === 1)
    const leaver = openCall(`${fleet.url}/api/chat`, { body: chat('second') })
    await until(() => asked(a) === 2 && fleet.app.queue.size === 1)
    leaver.leave()
    await until(() => fleet.app.queue.size === 0)
    holder.leave()
    await untilIdle(fleet)
    expect(asked(b)).toBe(1)
    expect(fleet.ended.map(({ ending }) => ending)).toEqual(['client_closed', 'client_closed'])
  })

  it('answers in the words of each family, at once and with Retry-After, when all are down', async () => {
    await using fleet = await warmFleet(two)
    for (const { faults } of fleet.simulators) faults.add({ kind: 'refuse' })
    const shapes: [string, object, RegExp][] = [
      ['/api/chat', chat('hello'), /^\{"error":"[^"]+"\}$/],
      ['/v1/chat/completions', chat('hello'), /^\{"error":\{"message":"[^"]+","type":"api_error"/],
      ['/v1/messages', { ...chat('hello'), max_tokens: 9 }, /"type":"overloaded_error"/],
    ]
    for (const [path, body, shape] of shapes) {
      const tookMs = await bestOf(3, async () => {
        const answer = await wholeCall(fleet.url + path, { body })
        expect(answer.status).toBe(503)
        expect(answer.text).toMatch(shape)
        expect(answer.text).not.toMatch(/127\.0\.0\.1|ECONN/)
        expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
        return answer.tookMs
      })
      expect(tookMs).toBeLessThan(100)
    }
  })

  it('asks a backend no more for a model that was removed there, and holds nothing against it', async () => {
    await using fleet = await warmFleet(two)
    const [a, b] = fleet.simulators
    a!.removeModel(model)
    const first = await wholeCall(`${fleet.url}/api/chat`, { body: chat('one') })
    expect(first.status).toBe(200)
    expect(first.headers['x-chasqui-attempts']).toBe('2')
    for (let index = 0; index < 5; index++)
      expect((await wholeCall(`${fleet.url}/api/chat`, { body: chat('more') })).status).toBe(200)
    expect(asked(a)).toBe(1)
    expect(asked(b)).toBe(6)
    const endpoint = fleet.app.pool.endpoint('a')
    expect(endpoint?.breakerState).toBe('admitting')
    expect(endpoint?.lastError).toBeUndefined()
    expect(endpoint?.onDisk.size).toBe(2)
  })

  it('replays a body of 5 MiB from its file, byte for byte', async () => {
    const quick = { prefillTokensPerSecond: 1e9 }
    await using fleet = await warmFleet({ ...two, simulators: [quick, quick] })
    const [a, b] = fleet.simulators
    a!.faults.add({ kind: 'close-after-read' })
    const body = JSON.stringify(chat('ünd so weiter '.repeat(380_000)))
    const sha256 = createHash('sha256').update(body).digest('hex')
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body })
    expect(answer.status).toBe(200)
    expect(answer.headers['x-chasqui-backend']).toBe('b')
    for (const simulator of [a, b])
      for (const entry of simulator!.trace().filter(({ route }) => route.endsWith('/api/chat'))) {
        expect(entry.bodyBytes).toBe(Buffer.byteLength(body))
        expect(entry.bodySha256).toBe(sha256)
      }
    expect(asked(b)).toBe(1)
  })
})

describe('a backend that fails request after request while its probes look well', () => {
  it('is left alone after some failures in a row, and the others take its share', async () => {
    await using fleet = await warmFleet({ ...two, config: inOrder })
    const [a] = fleet.simulators
    a!.faults.add({ kind: 'status', status: 500 })
    let failed = 0
    for (let index = 0; index < 40; index++)
      if ((await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })).status !== 200)
        failed++
    expect(failed).toBe(0)
    // Five in a row, then one probe at most while it rests.
    expect(asked(a)).toBeLessThanOrEqual(7)
    expect(fleet.app.pool.endpoint('a')?.ready).toBe(true)
  })

  it('draws no traffic by saying "busy" faster than others can work', async () => {
    const slow = { answerTokens: 20, decodeTokensPerSecond: 400, slots: 4 }
    await using fleet = await warmFleet({
      simulators: [slow, slow, slow],
      config: blind,
      backend: (backend) => ({ ...backend, slots: 4 }),
    })
    const [a] = fleet.simulators
    a!.faults.add({ kind: 'busy' })
    let failed = 0
    const askInTurn = async () => {
      for (let index = 0; index < 10; index++)
        if ((await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })).status !== 200)
          failed++
    }
    await Promise.all(Array.from({ length: 10 }, askInTurn))
    expect(failed).toBe(0)
    expect(asked(a)).toBeLessThan(33)
  })

  it('costs the fleet at most a fifth more requests', async () => {
    await using fleet = await warmFleet({
      simulators: [{}, {}, {}, {}],
      config: blind,
      backend: (backend) => ({ ...backend, slots: 8 }),
    })
    fleet.simulators[0]!.faults.add({ kind: 'status', status: 500 })
    const total = 400
    let failed = 0
    const askInTurn = async () => {
      for (let index = 0; index < total / 8; index++)
        if ((await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })).status !== 200)
          failed++
    }
    await Promise.all(Array.from({ length: 8 }, askInTurn))
    const attempts = fleet.simulators.reduce((sum, each) => sum + asked(each), 0)
    expect(attempts).toBeLessThanOrEqual(1.2 * total)
    expect(failed).toBe(0)
  }, 60_000)
})

describe('a request that kills runners', () => {
  const killers = [
    { kind: 'close-after-read', path: '/api/chat' },
    { kind: 'status', status: 500, text: 'llama runner process has terminated: exit status 2' },
  ] as const

  it.each(killers)(
    'is given up after two deaths by %o, and refused from then on',
    async (fault) => {
      await using fleet = await warmFleet({
        simulators: [{}, {}, {}],
        config: `${blind}\n${inOrder}\nbreaker: { failures: 1 }`,
      })
      for (const { faults } of fleet.simulators) faults.add(fault)
      const first = await wholeCall(`${fleet.url}/api/chat`, { body: chat('kill') })
      expect(first.status).toBe(500)
      expect(first.text).toContain('two model runners died')
      expect(fleet.ended[0]?.code).toBe('poison')
      const deaths = fleet.simulators.reduce((sum, each) => sum + asked(each), 0)
      expect(deaths).toBeLessThanOrEqual(3)

      // The fleet is well again, but the killer is known, however it wants its answer.
      for (const { faults } of fleet.simulators) faults.clear()
      for (const stream of [false, true]) {
        const again = await wholeCall(`${fleet.url}/api/chat`, { body: chat('kill', { stream }) })
        expect(again.status).toBe(500)
      }
      expect(fleet.simulators.reduce((sum, each) => sum + asked(each), 0)).toBe(deaths)

      // Its deaths are held against nobody: with one failure a breaker would rest.
      for (const endpoint of fleet.app.pool.endpoints)
        expect(endpoint.admittingModel(canonicalName(model))).toBe(true)
      const other = await wholeCall(`${fleet.url}/api/chat`, { body: chat('a kind word') })
      expect(other.status).toBe(200)
      expect(other.headers['x-chasqui-backend']).toBe('a')
    },
  )

  // Two servers killed one after another made killers of all prompts that both had worked on: refused for ten minutes.
  it('is none that two dying hosts took along together with others', async () => {
    await using fleet = await warmFleet({
      simulators: [{ slots: 4 }, { slots: 4 }, { slots: 4 }],
      config: `${blind}\n${inOrder}\nretries: { budget_floor: 100 }`,
      backend: (backend) => ({ ...backend, slots: 4 }),
    })
    for (const { faults } of fleet.simulators.slice(0, 2))
      faults.add({ kind: 'close-after-read', path: '/api/chat' })
    const ask = () => wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    const answers = await Promise.all([ask(), ask(), ask(), ask()])
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(fleet.ended.map(({ backend }) => backend)).toEqual(['c', 'c', 'c', 'c'])
  })

  it('costs nothing of the budget for retries where nobody was there', async () => {
    await using fleet = await warmFleet({
      simulators: [{ slots: 40 }, { slots: 40 }],
      config: `${blind}\n${inOrder}\nretries: { budget_floor: 0, budget_share: 0 }\nbreaker: { failures: 1000, share: 1, window: 10000 }`,
      backend: (backend) => ({ ...backend, slots: 40 }),
    })
    fleet.simulators[0]!.faults.add({ kind: 'refuse' })
    const ask = () => wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    const answers = await Promise.all(Array.from({ length: 30 }, ask))
    expect(answers.filter(({ status }) => status !== 200)).toEqual([])
  })

  it('is known again when its body is in a file', async () => {
    const quick = { prefillTokensPerSecond: 1e9 }
    await using fleet = await warmFleet({ simulators: [quick, quick], config: blind })
    for (const { faults } of fleet.simulators) faults.add({ kind: 'close-after-read' })
    const body = chat('kill '.repeat(300_000))
    expect((await wholeCall(`${fleet.url}/api/chat`, { body })).status).toBe(500)
    for (const simulator of fleet.simulators) {
      simulator.faults.clear()
      simulator.clearTrace()
    }
    expect((await wholeCall(`${fleet.url}/api/chat`, { body })).status).toBe(500)
    expect(fleet.simulators.map((each) => asked(each))).toEqual([0, 0])
  })

  it('blames the backend when another one answers what it died of', async () => {
    await using fleet = await warmFleet({
      simulators: [{}, {}],
      config: `${blind}\n${inOrder}\nbreaker: { failures: 1 }`,
    })
    fleet.simulators[0]!.faults.add({
      kind: 'status',
      text: 'model runner has unexpectedly stopped',
    })
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    expect(answer.status).toBe(200)
    expect((await wholeCall(`${fleet.url}/api/chat`, { body: chat('next') })).status).toBe(200)
    expect(asked(fleet.simulators[0])).toBe(1)
  })

  it('is not suspected when models fail to load', async () => {
    await using fleet = await warmFleet({ simulators: [{}, {}, {}], config: blind })
    for (const { faults } of fleet.simulators) faults.add({ kind: 'load-failure' })
    const body = { ...chat('hello'), model: 'qwen3' }
    const first = await wholeCall(`${fleet.url}/v1/chat/completions`, { body })
    expect(first.status).toBe(500)
    // The refusal of our own load, in the language of who waited for it.
    expect(JSON.parse(first.text)).toMatchObject({ error: { type: 'api_error' } })
    expect(first.text).toContain('has terminated')
    for (const { faults } of fleet.simulators) faults.clear()
    expect((await wholeCall(`${fleet.url}/v1/chat/completions`, { body })).status).toBe(200)
  })
})
