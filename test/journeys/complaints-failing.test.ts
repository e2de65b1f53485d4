import { describe, expect, it } from 'vitest'
import { openCall, wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { asked, blind, chat, inOrder, model, untilIdle, warmFleet } from '../help/warm-fleet.ts'

// What people complain of in balancers for model servers, each as a journey: servers that fail, hang, load or fill up.

const path = '/api/chat'
const seats = (slots: number) => (backend: object) => ({ ...backend, slots }) as never
const chatAt = (url: string, headers: Record<string, string> = {}) =>
  wholeCall(`${url}${path}`, { body: chat('hello'), headers })

describe('a backend that refuses at once', () => {
  // Answering in a millisecond it looked least loaded, and drew all the traffic.
  it.each([503, 429])('with %i is not the favourite of everybody', async (status) => {
    await using fleet = await warmFleet({ simulators: [{}, {}, {}], config: blind })
    const [a] = fleet.simulators
    a!.faults.add({ kind: 'status', status, text: 'server busy, please try again' })
    for (let each = 0; each < 40; each++) expect((await chatAt(fleet.url)).status).toBe(200)
    expect(asked(a)).toBeLessThanOrEqual(10)
    expect(fleet.app.pool.endpoints[0]!.lastError).toContain('busy')
  })

  it('with 500 rests, and what it refused is answered by others', async () => {
    await using fleet = await warmFleet({ simulators: [{}, {}, {}], config: blind })
    const [a] = fleet.simulators
    a!.faults.add({ kind: 'status', status: 500, text: 'broken' })
    for (let each = 0; each < 40; each++) expect((await chatAt(fleet.url)).status).toBe(200)
    expect(asked(a)).toBeLessThanOrEqual(10)
  })
})

describe('a backend that lists its models and answers nothing', () => {
  // "Healthy" said its version in time, while 28 chats in a row hung.
  it('rests after a few hanging requests, with every probe green, and all clients are answered', async () => {
    await using fleet = await warmFleet({
      simulators: [{}, {}],
      config:
        'probes: { interval: 1s, timeout: 900ms }\ntimeouts: { first_byte: 1s }\nbreaker: { failures: 3 }\nretries: { budget_floor: 20 }',
    })
    const [a] = fleet.simulators
    const [first] = fleet.app.pool.endpoints
    a!.faults.add({ kind: 'hang' })
    for (let each = 0; each < 16; each++) expect((await chatAt(fleet.url)).status).toBe(200)
    expect(first!.ready).toBe(true)
    expect(asked(a)).toBeLessThanOrEqual(5)
    expect(first!.lastError).toContain('firstByte')
  })

  it('is seen through by those who are there: a stream that stops is an error or goes on, never a short answer', async () => {
    await using fleet = await warmFleet({ simulators: [{ answerTokens: 20 }], config: blind })
    fleet.simulators[0]!.faults.add({ kind: 'end-after-chunks', chunks: 3, count: 1 })
    const cut = await wholeCall(`${fleet.url}${path}`, { body: chat('hello', { stream: true }) })
    expect(cut.lines.at(-1)).toContain('"error"')
  })
})

describe('a model that takes long to load', () => {
  it('is waited for, however short the limits of probes and connections are', async () => {
    await using fleet = await warmFleet({
      simulators: [{ models: ['llama3.2', 'heavy'], loadMs: 2_500 }],
      config: 'probes: { interval: 500ms, timeout: 400ms }\ntimeouts: { connect: 300ms }',
    })
    const answer = await wholeCall(`${fleet.url}/v1/chat/completions`, {
      body: { model: 'heavy', messages: [{ role: 'user', content: 'hello' }] },
    })
    expect(answer.status).toBe(200)
    expect(answer.tookMs).toBeGreaterThan(2_000)
    expect(fleet.ended.at(-1)!.attempts).toBe(1)
  })

  // Giving up cancelled the load, so each new try began it again and none ever ended.
  it('is loaded once, for clients that give up and come again', async () => {
    const loads: string[] = []
    await using fleet = await warmFleet({
      simulators: [{ models: ['llama3.2', 'heavy'], loadMs: 1_500 }],
      config: blind,
      doors: {
        observer: { loaded: (_backend, name, result) => void loads.push(`${name} ${result}`) },
      },
    })
    const body = { model: 'heavy', stream: false, messages: [{ role: 'user', content: 'hello' }] }
    for (let tries = 0; tries < 3; tries++) {
      const call = openCall(`${fleet.url}${path}`, { body })
      await until(() => fleet.app.pool.endpoints[0]!.inFlight > 0)
      await new Promise((resolve) => setTimeout(resolve, 200))
      call.leave()
    }
    expect((await wholeCall(`${fleet.url}${path}`, { body })).status).toBe(200)
    expect(loads).toEqual(['heavy:latest ok'])
  })
})

describe('a queue that is full', () => {
  it('says so at once, with a time to come back, in the words of each family', async () => {
    await using fleet = await warmFleet({
      simulators: [{}],
      config: `${blind}\nqueue: { max: 2 }`,
      backend: seats(1),
    })
    fleet.simulators[0]!.faults.add({ kind: 'hang' })
    const held = Array.from({ length: 3 }, () =>
      openCall(`${fleet.url}${path}`, { body: chat('holds') }),
    )
    await until(() => fleet.app.queue.size === 2)
    const messages = [{ role: 'user', content: 'hello' }]
    const native = await chatAt(fleet.url)
    const openai = await wholeCall(`${fleet.url}/v1/chat/completions`, {
      body: { model, messages },
    })
    const anthropic = await wholeCall(`${fleet.url}/v1/messages`, {
      body: { model, messages, max_tokens: 5 },
    })
    for (const { status, headers, tookMs } of [native, openai, anthropic]) {
      expect(status).toBe(503)
      expect(Number(headers['retry-after'])).toBeGreaterThan(0)
      expect(tookMs).toBeLessThan(1_000)
    }
    expect(JSON.parse(native.text)).toEqual({ error: expect.any(String) })
    expect(JSON.parse(openai.text)).toMatchObject({ error: { message: expect.any(String) } })
    expect(JSON.parse(anthropic.text)).toMatchObject({ type: 'error' })
    for (const call of held) call.leave()
    await untilIdle(fleet)
  })

  it('does not let the batch of one hold up the single requests of others, nor starve it', async () => {
    await using fleet = await warmFleet({
      simulators: [{ answerTokens: 30, decodeTokensPerSecond: 200 }],
      config: `${blind}\ntenants: { trusted_from: [127.0.0.1], user_headers: [X-User] }`,
      backend: seats(1),
    })
    const order: string[] = []
    const asks = (user: string, priority: string) =>
      chatAt(fleet.url, { 'x-user': user, 'x-chasqui-priority': priority }).then(({ status }) => {
        expect(status).toBe(200)
        order.push(user)
      })
    const batch = Array.from({ length: 12 }, () => asks('greedy', 'batch'))
    await until(() => fleet.app.queue.size === 11)
    const ofBatch = () => order.filter((user) => user === 'greedy').length
    for (let each = 0; each < 3; each++) {
      const before = ofBatch()
      await asks('modest', 'normal')
      // It waits for the one on the seat, and perhaps for one that took it meanwhile; never for the batch behind.
      expect(ofBatch() - before).toBeLessThanOrEqual(2)
    }
    await Promise.all(batch)
    expect(order.length).toBe(15)
  })
})

describe('a first token that does not come', () => {
  it('moves the request to another server after the limit that the operator set', async () => {
    await using fleet = await warmFleet({
      simulators: [{}, {}],
      config: `${blind}\n${inOrder}\ntimeouts: { first_byte: 1s }`,
    })
    fleet.simulators[0]!.faults.add({ kind: 'hang' })
    const answer = await chatAt(fleet.url)
    expect(answer.status).toBe(200)
    expect(asked(fleet.simulators[0])).toBe(1)
    expect(fleet.ended.at(-1)).toMatchObject({ backend: 'b', attempts: 2 })
  })
})
