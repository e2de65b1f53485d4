import { describe, expect, it } from 'vitest'
import type { PrefixPart } from '../../src/core/prefix.ts'
import { Affinity } from '../../src/routing/affinity/affinity.ts'
import { favouriteOf } from '../../src/routing/affinity/favourite.ts'
import { Prompt } from '../../src/routing/affinity/prompt.ts'
import { endpointOf } from './help.ts'

const bytesEach = 4_000
const model = 'm:latest'

/** A conversation of so many messages of 1,000 tokens each; `name` is what it begins with. */
function partOf(name: number, messages: number): PrefixPart {
  const highs = Array.from({ length: messages }, (_, at) => name * 1_000 + at + 1)
  return { highs, lows: highs, bytesAt: highs.map((_, at) => (at + 1) * bytesEach) }
}

function promptOf(
  name: number,
  messages: number,
  more: { model?: string; runner?: string; session?: string; system?: PrefixPart } = {},
): Prompt {
  const { system } = more
  return new Prompt(
    { tools: undefined, system, context: undefined, text: partOf(name, messages) },
    { model: more.model ?? model, runner: more.runner ?? '', session: more.session },
  )
}

const tokensOf = (prompt: Prompt) => prompt.bytes / 4
/** Nanoseconds a token at a machine that reads a thousand tokens in a second. */
const coldNs = 1e6

const alone = () => new Affinity(() => [])

/** One request and its answer; `cached`: tokens that the server found in its cache. */
function serve(affinity: Affinity, endpoint: string, prompt: Prompt, nowMs: number, cached = 0) {
  const sending = affinity.sent(endpoint, model, prompt, nowMs)
  const promptTokens = tokensOf(prompt)
  const promptNs = Math.max(1, promptTokens - cached) * coldNs
  affinity.read(sending, { promptTokens, promptNs, outputTokens: 0 }, nowMs)
}

describe('affinity', () => {
  it('knows of a next turn what is in memory where the last one was, and nothing elsewhere', () => {
    const affinity = alone()
    serve(affinity, 'a', promptOf(1, 3), 0)
    const next = promptOf(1, 5)
    const there = affinity.cachedTokens('a', next, 100)
    expect(there).toBeGreaterThan(2_000)
    expect(there).toBeLessThanOrEqual(3_000)
    expect(affinity.cachedTokens('b', next, 100)).toBe(0)
    expect(affinity.cachedTokens('a', promptOf(2, 5), 100)).toBe(0)
  })

  it('counts the answer, which comes back as the next message', () => {
    const affinity = alone()
    const sending = affinity.sent('a', model, promptOf(1, 1), 0)
    const figures = { promptTokens: 1_000, promptNs: 1e9, outputTokens: 500 }
    affinity.read(sending, figures, 0)
    expect(affinity.cachedTokens('a', promptOf(1, 3), 1)).toBeGreaterThan(1_100)
  })

  it('keeps models and their runner options apart', () => {
    const affinity = alone()
    serve(affinity, 'a', promptOf(1, 3), 0)
    expect(affinity.cachedTokens('a', promptOf(1, 4, { model: 'n:latest' }), 1)).toBe(0)
    expect(affinity.cachedTokens('a', promptOf(1, 4, { runner: 'num_ctx=8192' }), 1)).toBe(0)
  })

  it('counts for each endpoint the longest beginning that it holds', () => {
    const affinity = alone()
    serve(affinity, 'a', promptOf(1, 6), 0)
    serve(affinity, 'b', promptOf(1, 2), 0)
    const next = promptOf(1, 7)
    const [a, b] = ['a', 'b'].map((name) => affinity.cachedTokens(name, next, 1))
    expect(a! / b!).toBeCloseTo(3, 1)
  })

  it('finds a beginning that many conversations share at all who served one', () => {
    const affinity = alone()
    const system = partOf(9, 2)
    const names = ['a', 'b', 'c']
    for (const [at, name] of names.entries())
      serve(affinity, name, promptOf(at + 1, 1, { system }), 0)
    const newcomer = promptOf(50, 1, { system })
    for (const name of names)
      expect(affinity.cachedTokens(name, newcomer, 1)).toBeGreaterThan(1_500)
  })

  it('believes less in what was read long ago, and in what much was read after', () => {
    const affinity = alone()
    serve(affinity, 'a', promptOf(1, 3), 0)
    const worth = (nowMs: number) => affinity.cachedTokens('a', promptOf(1, 4), nowMs)
    const fresh = worth(1)
    expect(worth(30 * 60_000)).toBeCloseTo(fresh / 2, -2)
    for (let other = 10; other < 40; other++) serve(affinity, 'a', promptOf(other, 10), 1)
    expect(worth(2)).toBeLessThan(fresh / 10)
  })

  // Each turn counted with all of its conversation, as if it pushed that much out, though only its end is new. Twenty
  // turns of one talk made all others at that machine look forgotten, and their next turns were read anew elsewhere.
  it('takes nothing from others for what a next turn only repeats', () => {
    const affinity = alone()
    serve(affinity, 'a', promptOf(1, 6), 0)
    serve(affinity, 'a', promptOf(2, 6), 0)
    const worth = () => affinity.cachedTokens('a', promptOf(1, 7), 1)
    const fresh = worth()
    for (let turn = 7; turn < 27; turn++)
      serve(affinity, 'a', promptOf(2, turn), 1, (turn - 1) * 1_000)
    expect(worth()).toBeGreaterThan(fresh * 0.9)
  })

  it('does not take a cache for small because one that began alike took a place in it', () => {
    const affinity = alone()
    serve(affinity, 'a', promptOf(1, 6), 0)
    for (let other = 10; other < 13; other++) serve(affinity, 'a', promptOf(other, 10), 0)
    const worth = () => affinity.cachedTokens('a', promptOf(1, 7), 1)
    const before = worth()
    // Gone, though too little had come in between to push it out.
    serve(affinity, 'a', promptOf(20, 6), 0)
    serve(affinity, 'a', promptOf(21, 4), 0)
    serve(affinity, 'a', promptOf(20, 7), 0)
    expect(worth()).toBeGreaterThan(before * 0.5)
  })

  it('learns from misses how little a cache holds', () => {
    const affinity = alone()
    let nowMs = 0
    // Two conversations take turns at a server that keeps one only: none ever finds its own.
    for (let turn = 1; turn <= 12; turn++)
      for (const name of [1, 2]) serve(affinity, 'a', promptOf(name, turn), ++nowMs)
    serve(affinity, 'a', promptOf(1, 13), ++nowMs)
    serve(affinity, 'a', promptOf(2, 13), ++nowMs)
    expect(affinity.cachedTokens('a', promptOf(1, 14), ++nowMs)).toBeLessThan(1_000)
  })

  it('learns from hits how much a cache holds', () => {
    const affinity = alone()
    let nowMs = 0
    const others = () => {
      for (let other = 0; other < 20; other++)
        serve(affinity, 'a', promptOf(1_000 + ++nowMs, 10), nowMs)
    }
    serve(affinity, 'a', promptOf(1, 10), ++nowMs)
    others()
    const before = affinity.cachedTokens('a', promptOf(1, 11), ++nowMs)
    for (let turn = 11; turn < 17; turn++) {
      serve(affinity, 'a', promptOf(1, turn), ++nowMs, (turn - 1) * 1_000)
      others()
    }
    const after = affinity.cachedTokens('a', promptOf(1, 11), ++nowMs)
    expect(after).toBeGreaterThan(before * 3)
  })

  it('switches itself off where hits never come, and tries again now and then', () => {
    const affinity = alone()
    let nowMs = 0
    serve(affinity, 'a', promptOf(1, 1), nowMs)
    const worth = () => affinity.cachedTokens('a', promptOf(1, 40), nowMs)
    // The very next turn each time, so nothing was in between, and still nothing is there.
    for (let turn = 2; turn < 20; turn++) serve(affinity, 'a', promptOf(1, turn), turn * 10)
    nowMs = 1_200
    expect(worth()).toBe(0)
    let believedMs = 0
    for (let each = 0; each < 3_600; each++) {
      nowMs += 1_000
      if (worth() > 0) believedMs += 1_000
    }
    expect(believedMs).toBeGreaterThan(0)
    expect(believedMs).toBeLessThan(60_000)
    // Now hits come, and it is believed again.
    for (let turn = 20; turn < 30; turn++)
      serve(affinity, 'a', promptOf(1, turn), nowMs + turn, (turn - 1) * 1_000)
    nowMs += 100
    expect(worth()).toBeGreaterThan(10_000)
  })

  it('takes the word of servers that count only what they had to read', () => {
    const affinity = alone()
    const serveOld = (turn: number, cached: number, nowMs: number) => {
      const prompt = promptOf(1, turn)
      const promptTokens = tokensOf(prompt) - cached
      const sending = affinity.sent('a', model, prompt, nowMs)
      affinity.read(
        sending,
        { promptTokens, promptNs: promptTokens * coldNs, outputTokens: 0 },
        nowMs,
      )
    }
    serveOld(1, 0, 0)
    for (let turn = 2; turn < 20; turn++) serveOld(turn, (turn - 1) * 1_000, turn)
    expect(affinity.cachedTokens('a', promptOf(1, 20), 30)).toBeGreaterThan(15_000)
  })

  it('knows nothing after an unload, and nothing of an endpoint that is another machine', () => {
    const affinity = alone()
    serve(affinity, 'a', promptOf(1, 3), 0)
    serve(affinity, 'b', promptOf(1, 3), 0)
    affinity.forget('a', model)
    expect(affinity.cachedTokens('a', promptOf(1, 4), 1)).toBe(0)
    expect(affinity.cachedTokens('b', promptOf(1, 4), 1)).toBeGreaterThan(0)
    affinity.forgetEndpoint('b')
    expect(affinity.cachedTokens('b', promptOf(1, 4), 1)).toBe(0)
    serve(affinity, 'a', promptOf(1, 4), 2)
    expect(affinity.cachedTokens('a', promptOf(1, 5), 3)).toBeGreaterThan(0)
  })

  it('forgets what a runner had read that ended while it answered', () => {
    const affinity = alone()
    const sending = affinity.sent('a', model, promptOf(1, 3), 0)
    affinity.forget('a', model)
    affinity.read(sending, undefined, 1)
    expect(affinity.cachedTokens('a', promptOf(1, 4), 2)).toBe(0)
  })

  it('stays bounded: what was used longest ago goes, what is in use stays', () => {
    const affinity = alone()
    serve(affinity, 'a', promptOf(1, 3), 0)
    for (let other = 2; other < 6_000; other++) {
      serve(affinity, 'b', promptOf(other, 50), other * 100)
      if (other % 500 === 0) serve(affinity, 'a', promptOf(1, 3), other * 100, 2_900)
    }
    expect(affinity.cachedTokens('a', promptOf(1, 4), 600_001)).toBeGreaterThan(500)
    expect(affinity.cachedTokens('b', promptOf(2, 51), 600_001)).toBe(0)
  })

  it('knows a session by its name where its messages were changed', () => {
    const affinity = alone()
    serve(affinity, 'a', promptOf(1, 3, { session: 'x chat' }), 0)
    const edited = (session: string | undefined) =>
      promptOf(7, 4, session === undefined ? {} : { session })
    expect(affinity.cachedTokens('a', edited('x chat'), 1)).toBeGreaterThan(2_000)
    expect(affinity.cachedTokens('a', edited('y chat'), 1)).toBe(0)
    expect(affinity.cachedTokens('a', edited(undefined), 1)).toBe(0)
  })

  it('leads a session in its middle that nobody remembers to one endpoint, whoever is asked', () => {
    const endpoints = ['a', 'b', 'c'].map((name) => endpointOf(name))
    const favourites = [0, 1].map(() => {
      const affinity = new Affinity(() => endpoints)
      const prompt = promptOf(1, 5, { session: 'x chat' })
      return endpoints.filter(({ name }) => affinity.cachedTokens(name, prompt, 0) > 0)
    })
    expect(favourites[0]).toHaveLength(1)
    expect(favourites[1]).toEqual(favourites[0])
    // The first turn of a session is in nobody's memory.
    const affinity = new Affinity(() => endpoints)
    const first = promptOf(1, 1, { session: 'x chat' })
    for (const { name } of endpoints) expect(affinity.cachedTokens(name, first, 0)).toBe(0)
  })
})

describe('the favourite of a session', () => {
  const sessions = Array.from({ length: 4_000 }, (_, at) => (at * 2_654_435_761) | 0)
  const spread = (
    endpoints: ReturnType<typeof endpointOf>[],
    speedOf: (name: string) => number | undefined = () => undefined,
  ) => sessions.map((session) => favouriteOf(session, model, endpoints, speedOf))
  const shareOf = (all: (string | undefined)[], name: string) =>
    all.filter((each) => each === name).length / all.length
  const calm = { inFlight: 0 }

  it('is a faster machine more often', () => {
    const endpoints = ['a', 'b', 'c'].map((name) => endpointOf(name, calm))
    const all = spread(endpoints, (name) => (name === 'a' ? 2 : 1))
    expect(shareOf(all, 'a')).toBeCloseTo(0.5, 1)
    expect(shareOf(all, 'b')).toBeCloseTo(0.25, 1)
  })

  it('stays the same for most when an endpoint comes', () => {
    const three = ['a', 'b', 'c'].map((name) => endpointOf(name))
    const before = spread(three)
    const after = spread([...three, endpointOf('d')])
    const moved = before.filter((name, at) => name !== after[at]).length / before.length
    expect(moved).toBeCloseTo(0.25, 1)
  })

  it('is nobody who has more than its share to do, and nobody who can not serve', () => {
    const busy = ['a', 'b', 'c'].map((name) => endpointOf(name, { inFlight: name === 'a' ? 9 : 0 }))
    expect(shareOf(spread(busy), 'a')).toBe(0)
    const away = ['a', 'b'].map((name) => endpointOf(name, { ready: name === 'b' }))
    expect(shareOf(spread(away), 'b')).toBe(1)
    expect(favouriteOf(1, model, [], () => undefined)).toBeUndefined()
  })
})
