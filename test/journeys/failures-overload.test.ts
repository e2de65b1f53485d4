import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { backendAt } from '../../src/core/backend.ts'
import { bestOf } from '../help/best-of.ts'
import { startFakeOllama } from '../help/fake-ollama.ts'
import { startFleet } from '../help/fleet.ts'
import { statusOf } from '../help/herd.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { startProxyProcess } from '../help/processes.ts'
import { until } from '../help/until.ts'
import { asked, blind, chat, untilIdle, warmFleet } from '../help/warm-fleet.ts'

const seats = (slots: number) => (backend: object) => ({ ...backend, slots }) as never
const endless = { answerTokens: 100_000, decodeTokensPerSecond: 500 }

describe('more clients than seats', () => {
  it('are all served, with never more at a backend than it has seats for', async () => {
    const server = { slots: 4, answerTokens: 40, decodeTokensPerSecond: 400 }
    await using fleet = await warmFleet({
      simulators: [server, server],
      config: blind,
      backend: seats(4),
    })
    const body = chat('hello', { stream: true })
    const calls = Array.from({ length: 20 }, () => openCall(`${fleet.url}/api/chat`, { body }))
    expect(await Promise.all(calls.map(({ ended }) => ended))).toEqual(calls.map(() => 'clean'))
    for (const call of calls) expect(call.lines().at(-1)).toContain('"done":true')
    for (const simulator of fleet.simulators) {
      const stats = Object.values(simulator.stats().models)
      expect(Math.max(...stats.map(({ totalPeak }) => totalPeak))).toBeLessThanOrEqual(4)
      expect(simulator.trace().length).toBeGreaterThan(4)
    }
  })

  it('are served in the order in which they came', async () => {
    await using fleet = await warmFleet({ simulators: [{}, {}], config: blind, backend: seats(4) })
    for (const { faults } of fleet.simulators) faults.add({ kind: 'hang', count: 4 })
    const holders = Array.from({ length: 8 }, () =>
      openCall(`${fleet.url}/api/chat`, { body: chat('holds a seat') }),
    )
    await until(() => fleet.simulators.every((each) => asked(each) === 4))
    const calls: ReturnType<typeof openCall>[] = []
    for (let index = 0; index < 12; index++) {
      calls.push(openCall(`${fleet.url}/api/chat`, { body: chat(`client ${index}`) }))
      await until(() => fleet.app.queue.size === index + 1)
    }
    for (const holder of holders) holder.leave()
    await Promise.all(calls.map(({ ended }) => ended))
    const seen: number[] = []
    // Two backends are two sockets: only on the same one is there an order to be seen.
    for (const simulator of fleet.simulators) {
      const order = simulator
        .trace()
        .map(({ bodyText }) => /client (\d+)/.exec(bodyText ?? '')?.[1])
        .flatMap((number) => (number === undefined ? [] : [Number(number)]))
      expect(order).toEqual(order.toSorted((one, other) => one - other))
      seen.push(...order)
    }
    expect(seen.length).toBe(12)
  })

  it('are served by priority where the configuration counts it, then by arrival', async () => {
    await using fleet = await warmFleet({
      simulators: [{}],
      config: `${blind}\nqueue: { priority_across_tenants: true }`,
      backend: seats(1),
    })
    const [a] = fleet.simulators
    a!.faults.add({ kind: 'hang', count: 1 })
    const holder = openCall(`${fleet.url}/api/chat`, { body: chat('holder') })
    await until(() => asked(a) === 1)
    const priorities = ['batch', 'normal', 'interactive', 'batch', 'normal', 'interactive']
    const calls: ReturnType<typeof openCall>[] = []
    for (const [index, priority] of priorities.entries()) {
      const headers = { 'x-chasqui-priority': priority }
      const body = chat(`${priority} ${index}`)
      calls.push(openCall(`${fleet.url}/api/chat`, { body, headers }))
      await until(() => fleet.app.queue.size === index + 1)
    }
    holder.leave()
    await Promise.all(calls.map(({ ended }) => ended))
    const served = a!
      .trace()
      .map(({ bodyText }) => /"content":"(\w+ \d)"/.exec(bodyText ?? '')?.[1])
    expect(served.filter((text) => text !== undefined)).toEqual([
      'interactive 2',
      'interactive 5',
      'normal 1',
      'normal 4',
      'batch 0',
      'batch 3',
    ])
  })

  it.each([
    { max: 1, words: /1 requests are waiting already \(queue\.max\)/ },
    { max: 0, words: /every backend is busy and the queue is switched off/ },
  ])('are turned away at once beyond queue.max: $max', async ({ max, words }) => {
    await using fleet = await warmFleet({
      simulators: [endless],
      config: `${blind}\nqueue: { max: ${max} }`,
      backend: seats(1),
    })
    const waiting = Array.from({ length: max + 1 }, () =>
      openCall(`${fleet.url}/api/chat`, { body: chat('long') }),
    )
    await until(() => asked(fleet.simulators[0]) === 1 && fleet.app.queue.size === max)
    const tookMs = await bestOf(3, async () => {
      const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('one more') })
      expect(answer.status).toBe(503)
      expect(answer.text).toMatch(words)
      expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
      return answer.tookMs
    })
    expect(tookMs).toBeLessThan(50)
    for (const call of waiting) call.leave()
    await untilIdle(fleet)
    expect(fleet.ended.find(({ status }) => status === 503)).toMatchObject({ ending: 'shed' })
  })

  it('are told so when the wait has become too long', async () => {
    await using fleet = await warmFleet({
      simulators: [endless],
      config: `${blind}\nqueue: { timeout: 400ms }`,
      backend: seats(1),
    })
    const holder = openCall(`${fleet.url}/api/chat`, { body: chat('long') })
    await until(() => asked(fleet.simulators[0]) === 1)
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('waits') })
    expect(answer.status).toBe(503)
    expect(answer.text).toContain('queue.timeout')
    expect(answer.headers['retry-after']).toBeDefined()
    expect(answer.tookMs).toBeGreaterThanOrEqual(399)
    expect(answer.tookMs).toBeLessThan(2_400)
    expect(fleet.ended[0]).toMatchObject({ ending: 'queue_timeout' })
    holder.leave()
    await untilIdle(fleet)
    expect(asked(fleet.simulators[0])).toBe(1)
  })
})

describe('a deadline of the client', () => {
  it.each([
    { where: 'in the queue', busy: true },
    { where: 'at the backend', busy: false },
  ])('ends what is $where with 504, and the backend stops', async ({ busy }) => {
    await using fleet = await warmFleet({ simulators: [endless], config: blind, backend: seats(1) })
    const [a] = fleet.simulators
    const holder = busy ? openCall(`${fleet.url}/api/chat`, { body: chat('long') }) : undefined
    if (busy) await until(() => asked(a) === 1)
    const headers = { 'x-chasqui-deadline': '300ms' }
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hurry'), headers })
    expect(answer.status).toBe(504)
    expect(answer.tookMs).toBeGreaterThanOrEqual(299)
    expect(answer.tookMs).toBeLessThan(2_300)
    expect(fleet.ended.at(-1)).toMatchObject({ code: 'total_timeout' })
    holder?.leave()
    await untilIdle(fleet)
    expect(asked(a)).toBe(1)
  })

  it('in the middle of a stream ends it with one line of error', async () => {
    await using fleet = await warmFleet({ simulators: [endless], config: blind })
    const headers = { 'x-chasqui-deadline': '1.2' }
    const body = chat('hurry', { stream: true })
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body, headers })
    expect(answer.status).toBe(200)
    expect(answer.ended).toBe('clean')
    expect(answer.lines.length).toBeGreaterThan(1)
    expect(answer.lines.at(-1)).toMatch(/^\{"error":"/)
    await untilIdle(fleet)
  })
})

describe('a body', () => {
  const limits =
    'limits: { body_max: 2MB, body_in_memory_max: 100KB, bodies_memory_max: 150KB, bodies_disk_max: 3MB }'

  it('over the limit is refused by its length, before it is taken', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: `${blind}\n${limits}` })
    const call = openCall(`${fleet.url}/api/chat`, { headers: { 'content-length': '3000000' } })
    call.request.flushHeaders()
    expect((await call.head).status).toBe(413)
    call.leave()
    await untilIdle(fleet)
    expect(asked(fleet.simulators[0])).toBe(0)
  })

  it('over the limit is refused where it crosses it, when it names no length', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: `${blind}\n${limits}` })
    const call = openCall(`${fleet.url}/api/chat`)
    call.request.on('error', () => {})
    call.request.write('{"model":"llama3.2","messages":[{"role":"user","content":"')
    let sent = 0
    const timer = setInterval(() => {
      if (sent < 40) call.request.write('x'.repeat(100_000))
      sent++
    }, 2)
    expect((await call.head).status).toBe(413)
    clearInterval(timer)
    expect(sent).toBeGreaterThanOrEqual(19)
    await call.ended
    expect(call.text()).toContain('limits.body_max')
    expect(asked(fleet.simulators[0])).toBe(0)
    call.leave()
    await untilIdle(fleet)
  })

  it.each([
    { where: 'memory', bytes: 90_000 },
    { where: 'files', bytes: 1_900_000 },
  ])(
    'is refused with 503 while too many are held in $where, and taken again afterwards',
    async ({ bytes }) => {
      await using fleet = await warmFleet({ simulators: [{}], config: `${blind}\n${limits}` })
      const holder = openCall(`${fleet.url}/api/chat`, {
        headers: { 'content-length': `${bytes}` },
      })
      holder.request.write('{')
      const body = { ...chat('x'.repeat(bytes - 500)) }
      await until(async () => {
        const { status } = await wholeCall(`${fleet.url}/api/chat`, { body })
        return status === 503
      })
      const refused = await wholeCall(`${fleet.url}/api/chat`, { body })
      expect(refused.status).toBe(503)
      expect(refused.headers['retry-after']).toBeDefined()
      // Small ones still find room.
      expect((await wholeCall(`${fleet.url}/api/chat`, { body: chat('small') })).status).toBe(200)
      holder.leave()
      await until(async () => (await wholeCall(`${fleet.url}/api/chat`, { body })).status === 200)
      await untilIdle(fleet)
    },
  )

  it('takes no seat before it is complete', async () => {
    await using fleet = await warmFleet({ simulators: [{}], config: blind, backend: seats(1) })
    const text = JSON.stringify(chat('slowly'))
    const slow = openCall(`${fleet.url}/api/chat`, {
      headers: { 'content-length': `${text.length}` },
    })
    slow.request.write(text.slice(0, -1))
    expect((await wholeCall(`${fleet.url}/api/chat`, { body: chat('quick') })).status).toBe(200)
    slow.request.end(text.slice(-1))
    expect((await slow.head).status).toBe(200)
  })
})

describe('a client that does not read an answer without end', () => {
  /** Writes as fast as it is read, and counts. */
  async function startFirehose() {
    let written = 0
    const piece = JSON.stringify({ message: { role: 'assistant', content: 'x'.repeat(400) } })
    const lines = Buffer.from(`${piece}\n`.repeat(100))
    const fake = await startFakeOllama((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' })
      const pour = () => {
        while (!response.destroyed) {
          written += lines.length
          if (!response.write(lines)) break
        }
      }
      response.on('drain', pour)
      pour()
    })
    return { fake, written: () => written }
  }

  const notReading = (port: number) => {
    const body = JSON.stringify(chat('endless', { stream: true }))
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.pause()
    socket.write(
      `POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    return socket
  }

  it('slows the backend down instead of filling the memory, and holds nobody else up', async () => {
    const { fake, written } = await startFirehose()
    await using _fake = fake
    await using proxy = await startProxyProcess([`${fake.url},name=a`], ['--slots', '8'])
    await until(async () => (await statusOf(proxy.url)).active_backends === 1)
    const rssMb = () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${proxy.pid}/status`, 'utf8'))?.[1]) / 1_024
    const reader = openCall(`${proxy.url}/api/chat`, { body: chat('read', { stream: true }) })
    await until(() => reader.text().length > 20_000_000, 15_000)
    reader.leave()
    await until(async () => (await statusOf(proxy.url)).in_flight === 0)
    const before = rssMb()
    const sockets = Array.from({ length: 5 }, () => notReading(Number(new URL(proxy.url).port)))
    // The backend has come to a stand: nothing more is written between two looks.
    let last = -1
    await until(async () => {
      const { in_flight } = await statusOf(proxy.url)
      const stands = in_flight === 5 && written() === last
      last = in_flight === 5 ? written() : -1
      return stands
    }, 10_000)
    // What pours at a hundred megabytes a second would have filled more by now, were it kept.
    expect(rssMb() - before).toBeLessThan(5 * 20)
    for (const socket of sockets) socket.destroy()
    await until(async () => (await statusOf(proxy.url)).in_flight === 0)
  }, 60_000)

  it("is let go after the idle limit, and that is not the backend's failure", async () => {
    const { fake } = await startFirehose()
    await using _fake = fake
    await using fleet = await startFleet({
      simulators: [],
      config: `${blind}\ntimeouts: { idle: 400ms }`,
      settings: (settings) => ({ ...settings, backends: [backendAt('a', fake.url)] }),
    })
    const [a] = fleet.app.pool.endpoints
    await until(() => a!.ready)
    const socket = notReading(fleet.app.port)
    await until(() => fleet.ended.length === 1, 10_000)
    expect(fleet.ended[0]).toMatchObject({ ending: 'client_closed' })
    expect(a!.lastError).toBeUndefined()
    await untilIdle(fleet)
    socket.destroy()
  })
})
