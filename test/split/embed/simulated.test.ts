import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Simulator, startSimulator } from '../../../backends/simulator/server.ts'
import { realClock } from '../../../src/core/clock.ts'
import type { AskInside, InnerAnswer } from '../../../src/core/inner-call.ts'
import { readPs, readTags } from '../../../src/pool/catalogue.ts'
import type { Pool } from '../../../src/pool/pool.ts'
import type { EmbedPath } from '../../../src/split/embed/join.ts'
import { EmbedSplitter } from '../../../src/split/embed/run.ts'
import { Speeds } from '../../../src/split/speeds.ts'
import { until } from '../../help/until.ts'
import { backendOf, poolOf } from '../../pool/help.ts'
import { requestOf, texts } from './help.ts'

const speeds = [240_000, 80_000, 20_000]
const never = new AbortController().signal

let simulators: Simulator[] = []
let pool: Pool
let splitter: EmbedSplitter
const calls: string[] = []

beforeAll(async () => {
  const clock = realClock()
  simulators = await Promise.all(
    speeds.map((prefillTokensPerSecond) =>
      startSimulator({ models: ['all-minilm'], prefillTokensPerSecond }),
    ),
  )
  pool = poolOf(
    simulators.map(({ url }, index) => backendOf(`m${index}`, { origin: url })),
    { models: [], clock },
  )
  for (const endpoint of pool.endpoints) {
    const get = async (path: string) => (await fetch(endpoint.backend.origin + path)).json()
    await fetch(`${endpoint.backend.origin}/api/embed`, {
      method: 'POST',
      body: '{"model":"all-minilm","input":"a"}',
    })
    endpoint.version = '0.33.0'
    endpoint.learnOnDisk(readTags(await get('/api/tags')))
    endpoint.learnInMemory(readPs(await get('/api/ps')))
  }
  pool.learned()
  splitter = new EmbedSplitter({
    ask: askBySocket,
    pool,
    clock,
    speeds: new Speeds(),
    setting: () => 'same-class',
  })
  expect(splitter.plan(requestOf({ model: 'all-minilm', input: texts(64) }))).toBeUndefined()
  const all = requestOf({ model: 'all-minilm', input: texts(64) })
  await until(() => splitter.plan(all)?.members.length === simulators.length)
})
afterAll(() => Promise.all(simulators.map((each) => each.close())))

/** The queue in its simplest form: every call is for exactly one backend here. */
const askBySocket: AskInside = (call) => {
  const endpoint = pool.endpoints.find(({ name }) => !call.except.has(name))!
  const end = new AbortController()
  const startedMs = performance.now()
  const answered = async (): Promise<Pick<InnerAnswer, 'status' | 'body'>> => {
    try {
      const url = endpoint.backend.origin + call.path
      const { signal } = end
      const body = new Uint8Array(call.body)
      const answer = await fetch(url, { method: 'POST', body, signal })
      return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) }
    } catch {
      return { status: end.signal.aborted ? 499 : 502, body: Buffer.alloc(0) }
    }
  }
  calls.push(endpoint.name)
  return {
    backend: endpoint.name,
    onSeatSinceMs: startedMs,
    answer: answered().then((given) => ({
      ...given,
      code: undefined,
      backend: endpoint.name,
      attempts: 1,
      waitMs: 0,
      servedMs: performance.now() - startedMs,
      figures: undefined,
    })),
    cancel: () => end.abort(),
  }
}

/** Both ways: over all machines, and by one. */
async function bothWays(path: EmbedPath, body: object) {
  const request = requestOf(body, { path })
  calls.length = 0
  const split = await splitter.run(splitter.plan(request)!, never)
  const whole = await fetch(simulators[0]!.url + path, {
    method: 'POST',
    body: new Uint8Array(request.body),
  })
  const timeless = (text: string) =>
    text.replace(/"(total|load)_duration":\d+/g, (_, which) => `"${which}_duration":0`)
  return {
    split: timeless(Buffer.concat(split.body).toString('utf8')),
    whole: timeless(await whole.text()),
    answer: split,
    wholeStatus: whole.status,
    wholeType: whole.headers.get('content-type'),
  }
}

describe('a batch over three servers of different speeds', () => {
  const odd = ['"quoted" \\ \n\t', 'Über 天空 🌄', '\u0000\u2028<&>', '']
  it.each<[EmbedPath, object]>([
    ['/api/embed', {}],
    ['/api/embed', { dimensions: 12, keep_alive: '10m', truncate: true }],
    ['/v1/embeddings', {}],
    ['/v1/embeddings', { encoding_format: 'base64' }],
  ])('is answered as by one of them, byte for byte: %s %j', async (path, more) => {
    const input = [...texts(140, 400), ...odd, ...texts(6, 3_500)]
    const both = await bothWays(path, { model: 'all-minilm', input, ...more })
    expect(both.split).toBe(both.whole)
    expect([both.answer.status, both.answer.contentType]).toEqual([200, both.wholeType])
    expect(new Set(calls).size).toBeGreaterThan(1)
  })

  it('is refused as by one of them for one bad item', async () => {
    const input = texts(120)
    input[77] = 'x'.repeat(3_000)
    for (const path of ['/api/embed', '/v1/embeddings'] as const) {
      const both = await bothWays(path, { model: 'all-minilm', input, truncate: false })
      if (path === '/api/embed') expect(both.answer.status).toBe(400)
      expect([both.answer.status, both.split]).toEqual([both.wholeStatus, both.whole])
      expect(both.answer.contentType).toBe(both.wholeType)
    }
  })

  it('is answered although one of them dies in the middle', async () => {
    const victim = simulators[1]!
    victim.faults.add({ kind: 'reset', count: 2 }, { kind: 'status', status: 500, count: 1 })
    const both = await bothWays('/api/embed', { model: 'all-minilm', input: texts(160) })
    expect(both.split).toBe(both.whole)
    expect(both.answer.retried).toBeGreaterThan(0)
    victim.faults.clear()
  })

  it('ends at every server when its client leaves', async () => {
    const left = new AbortController()
    const request = requestOf({ model: 'all-minilm', input: texts(3_000) })
    const answer = splitter.run(splitter.plan(request)!, left.signal)
    await until(() => simulators.every((each) => each.stats().openRequests > 0))
    left.abort()
    expect((await answer).status).toBe(499)
    await until(() => simulators.every((each) => each.stats().openRequests === 0))
  })
})
