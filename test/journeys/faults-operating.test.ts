import type { ServerResponse } from 'node:http'
import { describe, expect, it, vi } from 'vitest'
import { backendsYaml, logged, startConfigured } from '../help/configured.ts'
import { doneLine, fakeModel, startFakeOllama } from '../help/fake-ollama.ts'
import { statusOf } from '../help/herd.ts'
import { openCall } from '../help/open-call.ts'
import { until } from '../help/until.ts'
import { chat } from '../help/warm-fleet.ts'

// Processes start slowly on a machine with much else to do.
vi.setConfig({ testTimeout: 60_000 })

const pieceLine = (piece: string) =>
  `${JSON.stringify({ model: fakeModel, message: { role: 'assistant', content: piece }, done: false })}\n`

/** A server whose answers say what we say, when we say it. */
async function startPrompter() {
  const answers: ServerResponse[] = []
  const ollama = await startFakeOllama((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    response.write(pieceLine('begun'))
    answers.push(response)
  })
  return {
    url: ollama.url,
    answers,
    [Symbol.asyncDispose]: () => ollama[Symbol.asyncDispose](),
  }
}

const streams = (url: string, count: number) =>
  Array.from({ length: count }, () =>
    openCall(`${url}/api/chat`, { body: { ...chat('tell me'), stream: true } }),
  )

describe('two hundred streams', () => {
  it('go on over a reload that changes a limit, and what was learned of the backend stays', async () => {
    await using ollama = await startPrompter()
    const rows = backendsYaml([{ name: 'a', url: ollama.url, more: 'slots: 250' }])
    await using house = await startConfigured(`continuation: false\n${rows}`)
    await until(async () => (await statusOf(house.url)).active_backends === 1)
    const calls = streams(house.url, 200)
    await until(() => calls.every((call) => call.lines().length === 1), 30_000)
    const before = await statusOf(house.url)
    expect(before.backends[0]).toMatchObject({ state: 'ready', in_flight: 200 })
    house.write(`continuation: false\nqueue: { max: 7 }\n${rows}`)
    await until(() => logged(house.proxy, 'reload').length === 1, 10_000)
    expect(logged(house.proxy, 'reload')[0]).toMatchObject({ result: 'applied' })
    const after = await statusOf(house.url)
    expect(after.backends[0]).toMatchObject({ state: 'ready', in_flight: 200 })
    expect(logged(house.proxy, 'backend').filter(({ state }) => state !== 'ready')).toEqual([])
    for (const answer of ollama.answers) answer.end(pieceLine('and gone on') + doneLine)
    for (const call of calls) expect(await call.ended).toBe('clean')
    const whole = pieceLine('begun') + pieceLine('and gone on') + doneLine
    expect(calls.filter((call) => call.text() !== whole)).toEqual([])
    expect(ollama.answers).toHaveLength(200)
  })
})

describe('fifty streams at SIGTERM', () => {
  it('finish until the limit; those that have not then end with one line of error, and the exit is 0', async () => {
    await using ollama = await startPrompter()
    const rows = backendsYaml([{ name: 'a', url: ollama.url, more: 'slots: 60' }])
    await using house = await startConfigured(
      `continuation: false\ntimeouts: { drain: 2s, notice: 200ms }\n${rows}`,
    )
    await until(async () => (await statusOf(house.url)).active_backends === 1)
    const calls = streams(house.url, 50)
    await until(() => calls.every((call) => call.lines().length === 1), 30_000)
    house.proxy.kill('SIGTERM')
    const isReady = async () => (await fetch(`${house.url}/readyz`)).ok
    await until(async () => !(await isReady()))
    for (const answer of ollama.answers.slice(0, 25)) answer.end(doneLine)
    for (const call of calls) expect(await call.ended).toBe('clean')
    const lasts = calls.map((call) => {
      const lines = call.lines().map((line) => JSON.parse(line) as object)
      expect(lines).toHaveLength(2)
      return lines[1]!
    })
    expect(lasts.filter((last) => 'done' in last)).toHaveLength(25)
    expect(lasts.filter((last) => 'error' in last)).toHaveLength(25)
    expect(lasts.find((last) => 'error' in last)).toMatchObject({
      error: expect.stringContaining('the proxy stops'),
    })
    expect(await house.proxy.exited()).toBe(0)
  })
})
