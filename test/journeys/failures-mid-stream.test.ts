import { describe, expect, it } from 'vitest'
import { startHerd } from '../help/herd.ts'
import { openCall, wholeCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { asked, blind, chat, inOrder, model, untilIdle, warmFleet } from '../help/warm-fleet.ts'

const hundred = { answerTokens: 100, decodeTokensPerSecond: 5_000 }
const streamed = chat('tell me', { stream: true })

const families = [
  {
    path: '/api/chat',
    body: streamed,
    isPiece: (line: string) => line.startsWith('{"model"'),
    isError: (last: string) => /\n\{"error":"[^"]+"\}\n$/.test(last),
  },
  {
    path: '/v1/chat/completions',
    body: streamed,
    isPiece: (line: string) => line.startsWith('data: {"id"'),
    isError: (last: string) => /\n\ndata: \{"error":\{"message":"[^"]+"[^\n]*\}\}\n\n$/.test(last),
  },
  {
    path: '/v1/messages',
    body: { ...streamed, max_tokens: 500 },
    isPiece: (line: string) => line.startsWith('event: content_block_delta'),
    isError: (last: string) =>
      /\n\nevent: error\ndata: \{"type":"error","error":\{[^\n]+\n\n$/.test(last),
  },
] as const

/** What goes on elsewhere has journeys of its own: `continuing-*.test.ts`. */
const alone = { 'x-chasqui-continue': 'off' }

describe('a backend that dies in the middle of its answer', () => {
  it.each(families)(
    'is told of honestly on $path where nobody may go on: every piece, then one error',
    async (family) => {
      await using fleet = await warmFleet({
        simulators: [hundred, hundred],
        config: `${blind}\n${inOrder}`,
      })
      const [a, b] = fleet.simulators
      a!.faults.add({ kind: 'reset-after-chunks', chunks: 20 })
      const { body } = family
      const answer = await wholeCall(fleet.url + family.path, { body, headers: alone })
      expect(answer.status).toBe(200)
      expect(family.isError(answer.text)).toBe(true)
      expect(answer.ended).toBe('clean')
      const pieces = answer.lines.filter(family.isPiece).length
      expect(pieces).toBeGreaterThan(15)
      expect(pieces).toBeLessThanOrEqual(20)
      expect(asked(b, family.path)).toBe(0)
      expect(fleet.ended[0]).toMatchObject({ ending: 'stream_broken', code: 'answer_cut' })
    },
  )

  it('takes nothing but its own streams along when it is killed', async () => {
    const pace = ['--speed', '50', '--answer-tokens', '100', '--slots', '4', '--models', model]
    await using herd = await startHerd({
      simulators: [pace, pace],
      args: ['--slots', '4'],
      env: { CHASQUI_PROBES_INTERVAL: '60s', CHASQUI_PROBES_TIMEOUT: '5s' },
    })
    const plain = await Promise.all(
      herd.remotes.map(({ url }) =>
        wholeCall(`${url}/api/chat`, { body: { ...streamed, options: { num_predict: 1 } } }),
      ),
    )
    expect(plain.map(({ status }) => status)).toEqual([200, 200])
    const calls = Array.from({ length: 4 }, () =>
      openCall(`${herd.url}/api/chat`, { body: streamed, headers: alone }),
    )
    const whole = openCall(`${herd.url}/api/chat`, { body: chat('tell me all at once') })
    await until(() => calls.every((call) => call.lines().length >= 20), 30_000)
    herd.remotes[0]!.process.kill('SIGKILL')
    let [cut, untouched] = [0, 0]
    for (const call of calls) {
      const { headers } = await call.head
      expect(await call.ended).toBe('clean')
      const lines = call.lines()
      const texts = lines
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { message: unknown }).message)
      expect(texts.every((text) => text !== undefined)).toBe(true)
      if (headers['x-chasqui-backend'] === 'a') {
        cut++
        expect(lines.length).toBeGreaterThanOrEqual(21)
        expect(lines.at(-1)).toBe('{"error":"the backend ended in the middle of the answer"}')
      } else {
        untouched++
        expect(lines).toHaveLength(101)
        expect(lines.at(-1)).toContain('"done":true')
      }
    }
    expect(cut).toBeGreaterThan(0)
    expect(untouched).toBeGreaterThan(0)
    // What had not begun is whole, wherever it ran.
    expect((await whole.head).status).toBe(200)
    expect(await whole.ended).toBe('clean')
    expect(JSON.parse(whole.text())).toMatchObject({ done: true })
    await until(async () => (await herd.status()).in_flight === 0)
  }, 60_000)

  it('never passes a whole answer off as one that is short of its length', async () => {
    await using fleet = await warmFleet({ simulators: [{}, {}], config: blind })
    for (const { faults } of fleet.simulators) faults.add({ kind: 'wrong-content-length' })
    const none = await wholeCall(`${fleet.url}/api/chat`, { body: chat('hello') })
    expect(none.status).toBeGreaterThanOrEqual(500)
    expect(JSON.parse(none.text)).toHaveProperty('error')

    fleet.simulators[1]!.faults.clear()
    const moved = await wholeCall(`${fleet.url}/api/chat`, { body: chat('another') })
    expect(moved.status).toBe(200)
    expect(JSON.parse(moved.text)).toMatchObject({ done: true })
  })

  it('hands an error inside the stream on as it is, counts it, and tries nothing else', async () => {
    await using fleet = await warmFleet({
      simulators: [hundred, hundred],
      config: `${blind}\n${inOrder}`,
    })
    const [a, b] = fleet.simulators
    a!.faults.add({ kind: 'error-after-chunks', chunks: 5, text: 'the <very> "words" of Ollama' })
    const direct = await wholeCall(`${a!.url}/api/chat`, { body: streamed })
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: streamed })
    expect(answer.lines).toHaveLength(6)
    expect(answer.lines.at(-1)).toBe(direct.lines.at(-1))
    expect(answer.lines.at(-1)).toContain('"words\\" of Ollama')
    expect(fleet.ended[0]).toMatchObject({ ending: 'upstream_error', attempts: 1 })
    expect(asked(b)).toBe(0)
    expect(fleet.app.pool.endpoint('a')?.lastError).toBe('refused 500 serverFault')
  })

  it('is not blamed for a model that only repeats itself', async () => {
    await using fleet = await warmFleet({
      simulators: [{ kinds: { [model]: 'stops-without-done' }, answerTokens: 40 }],
      config: `${blind}\nbreaker: { failures: 1 }`,
    })
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: streamed })
    expect(answer.lines.at(-1)).toMatch(/^\{"error":"[^"]*repeats itself[^"]*"\}$/)
    expect(fleet.ended[0]).toMatchObject({ ending: 'stream_broken', code: 'repeat_guard' })
    expect(fleet.app.pool.endpoint('a')?.breakerState).toBe('admitting')
    expect(fleet.app.pool.endpoint('a')?.lastError).toBeUndefined()
  })
})

describe('a backend that falls silent in the middle of its answer', () => {
  it('is waited for as long as it takes, unless a limit is set', async () => {
    await using fleet = await warmFleet({ simulators: [hundred], config: blind })
    fleet.simulators[0]!.faults.add({ kind: 'stall-after-chunks', chunks: 5, ms: 1_500 })
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: streamed })
    expect(answer.lines).toHaveLength(101)
    expect(answer.lines.at(-1)).toContain('"done":true')
  })

  it('is ended with one line of error at the limit, and hears of it', async () => {
    await using fleet = await warmFleet({
      simulators: [hundred],
      config: `${blind}\ntimeouts: { idle: 300ms }`,
    })
    const [a] = fleet.simulators
    a!.faults.add({ kind: 'stall-after-chunks', chunks: 5 })
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: streamed })
    expect(answer.lines).toHaveLength(6)
    expect(answer.lines.at(-1)).toBe(
      '{"error":"the backend sent nothing for 0.3 s (timeouts.idle)"}',
    )
    expect(answer.ended).toBe('clean')
    expect(answer.tookMs).toBeGreaterThan(300)
    expect(answer.tookMs).toBeLessThan(2_300)
    await untilIdle(fleet)
    expect(a!.trace().at(-1)?.cancelReason).toContain('client')
    expect(fleet.ended[0]).toMatchObject({ ending: 'upstream_timeout' })
  })

  it('may trickle as slowly as it likes below the limit', async () => {
    await using fleet = await warmFleet({
      simulators: [{ answerTokens: 8 }],
      config: `${blind}\ntimeouts: { idle: 400ms }`,
    })
    fleet.simulators[0]!.faults.add({ kind: 'trickle', ms: 100 })
    const answer = await wholeCall(`${fleet.url}/api/chat`, { body: streamed })
    expect(answer.lines.at(-1)).toContain('"done":true')
  })
})
