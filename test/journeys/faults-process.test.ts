import { connect } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { startSimulator } from '../../backends/simulator/server.ts'
import { seededDice } from '../../src/core/dice.ts'
import { FrameCutter } from '../../src/dialects/frames.ts'
import { Answer } from '../../src/proxy/answer.ts'
import { statusOf } from '../help/herd.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { startProxyProcess } from '../help/processes.ts'
import { until } from '../help/until.ts'
import { asked, blind, chat, inOrder, untilIdle, warmFleet } from '../help/warm-fleet.ts'

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 })
afterEach(() => {
  vi.restoreAllMocks()
})

const slow = { answerTokens: 60, decodeTokensPerSecond: 150, slots: 8 }
const seats = (backend: object) => ({ ...backend, slots: 8 }) as never

/** Fault catalogue I: a fault of our own in the work for one request. */
describe('an exception in the work for one request', () => {
  it.each([
    { path: '/api/chat', shape: /^\{"error":"something went wrong inside the proxy"\}$/ },
    { path: '/v1/chat/completions', shape: /^\{"error":\{"message":"something went wrong/ },
    { path: '/v1/messages', shape: /^\{"type":"error","error":\{/ },
  ])('before its answer ends that request only, in words of $path', async ({ path, shape }) => {
    const noticed: string[] = []
    await using fleet = await warmFleet({
      simulators: [slow],
      config: blind,
      backend: seats,
      doors: { observer: { noticed: (sentence) => void noticed.push(sentence) } },
    })
    const others = Array.from({ length: 4 }, () =>
      openCall(`${fleet.url}/api/chat`, { body: chat('others', { stream: true }) }),
    )
    await until(() => others.every((each) => each.lines().length > 2))
    const endpoint = fleet.app.pool.endpoints[0]!
    vi.spyOn(endpoint, 'take').mockImplementationOnce(() => {
      throw new TypeError('planted: of undefined')
    })
    const body = chat('unlucky', { stream: true, max_tokens: 5 })
    const answer = await wholeCall(fleet.url + path, { body })
    expect(answer.status).toBe(500)
    expect(answer.text.trim()).toMatch(shape)
    expect(answer.text).not.toContain('planted')
    expect(noticed).toEqual(['an exchange failed inside the proxy'])
    for (const each of others) {
      expect(await each.ended).toBe('clean')
      expect(each.lines()).toHaveLength(61)
    }
    await untilIdle(fleet)
    expect(fleet.ended.filter(({ code }) => code === 'internal')).toHaveLength(1)
    expect((await wholeCall(fleet.url + path, { body })).status).toBe(200)
  })

  it.each([
    { where: 'where frames are cut', plant: () => vi.spyOn(FrameCutter.prototype, 'feed') },
    { where: 'where they are let out', plant: () => vi.spyOn(Answer.prototype, 'data') },
  ])(
    'inside its stream, $where, never ends the others, nor as if it were whole',
    async ({ plant }) => {
      await using fleet = await warmFleet({
        simulators: [slow, slow],
        config: `${blind}\n${inOrder}`,
        backend: seats,
      })
      const calls = Array.from({ length: 4 }, () =>
        openCall(`${fleet.url}/api/chat`, { body: chat('tell', { stream: true }) }),
      )
      await until(() => calls.every((each) => each.lines().length > 2))
      plant().mockImplementationOnce(() => {
        throw new TypeError('planted: of undefined')
      })
      const ends = await Promise.all(calls.map((each) => each.ended))
      const whole = calls.filter((each) => each.lines().at(-1)?.includes('"done":true'))
      expect(whole).toHaveLength(3)
      const unlucky = calls.findIndex((each) => !whole.includes(each))
      if (ends[unlucky] === 'clean') expect(calls[unlucky]!.lines().at(-1)).toMatch(/^\{"error":"/)
      expect(calls[unlucky]!.text()).not.toContain('planted')
      await untilIdle(fleet)
      expect(fleet.ended).toHaveLength(4)
      const again = await wholeCall(`${fleet.url}/api/chat`, { body: chat('again') })
      expect(again.status).toBe(200)
      expect(asked(fleet.simulators[0])).toBeGreaterThan(0)
    },
  )
})

/** Fault catalogue I: whatever breaks at whatever moment. */
describe('ten thousand connections that are torn at any moment', () => {
  it('end no process, hold no seat, and harm nobody else', async () => {
    const pace = { answerTokens: 8, decodeTokensPerSecond: 2_000, slots: 8 }
    await using a = await startSimulator(pace)
    await using b = await startSimulator(pace)
    await using proxy = await startProxyProcess([a.url, b.url], ['--slots', '8'], {
      CHASQUI_QUEUE_MAX: '40',
      CHASQUI_LOG_LEVEL: 'error',
      CHASQUI_LIMITS_BODY_IN_MEMORY_MAX: '2KiB',
    })
    await until(async () => (await statusOf(proxy.url)).active_backends === 2)
    for (const { faults } of [a, b])
      faults.add(
        { kind: 'reset', rate: 0.03 },
        { kind: 'reset-after-chunks', chunks: 2, rate: 0.03 },
        { kind: 'close-after-read', rate: 0.03 },
        { kind: 'end-after-chunks', chunks: 3, rate: 0.03 },
      )
    const dice = seededDice(79)
    const { port } = new URL(proxy.url)
    const paths = ['/api/chat', '/v1/chat/completions', '/generate', '/api/nothing', '/metrics']
    const tear = (index: number) =>
      new Promise<void>((resolve) => {
        const content = dice.roll() < 0.03 ? 'x'.repeat(5_000) : `number ${index}`
        const body = JSON.stringify(chat(content, { stream: dice.roll() < 0.7, prompt: content }))
        const path = paths[Math.floor(dice.roll() ** 2 * paths.length)]
        const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${body.length}\r\n\r\n`
        const text = head + body
        // Most are sent whole, one in ten twice in one piece, the others up to any byte.
        const sent = dice.roll() < 0.7 ? text.length : Math.floor(dice.roll() * text.length)
        const patienceMs = dice.roll() ** 3 * 60
        const how = dice.roll()
        const socket = connect(Number(port), '127.0.0.1')
        socket.on('error', () => {})
        socket.on('close', () => resolve())
        if (how < 0.2) socket.on('data', () => socket.resetAndDestroy())
        else socket.resume()
        socket.write(how > 0.9 ? text + text : text.slice(0, sent))
        setTimeout(() => {
          if (how < 0.6) socket.resetAndDestroy()
          else if (how < 0.8) socket.end()
          else socket.destroy()
          // Whoever is only half gone is let go by the proxy, or not waited for any longer.
          setTimeout(() => socket.destroy(), 500).unref()
        }, patienceMs)
      })
    let next = 0
    const client = async () => {
      while (next < 10_000) await tear(next++)
    }
    let others = 0
    let unserved = 0
    const patient = async () => {
      while (next < 10_000) {
        const { status, ended } = await wholeCall(`${proxy.url}/api/tags`, {
          method: 'GET',
          body: '',
        })
        others++
        if (status !== 200 || ended !== 'clean') unserved++
      }
    }
    await Promise.all([...Array.from({ length: 100 }, client), patient()])
    expect(others).toBeGreaterThan(5)
    expect(unserved).toBe(0)
    for (const { faults } of [a, b]) faults.clear()
    await until(async () => {
      const { in_flight, queue_size } = await statusOf(proxy.url)
      return in_flight === 0 && queue_size === 0
    })
    await until(() => [a, b].every((each) => each.stats().openRequests === 0))
    // The same process, with nothing to say.
    expect(() => process.kill(proxy.pid, 0)).not.toThrow()
    expect(
      proxy
        .stderr()
        .split('\n')
        .filter((line) => /^chasqui:|failed inside/.test(line)),
    ).toEqual([])
    await until(
      async () =>
        (await wholeCall(`${proxy.url}/api/chat`, { body: chat('still there?') })).status === 200,
    )
  })
})
