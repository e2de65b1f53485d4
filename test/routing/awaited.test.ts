import { describe, expect, it } from 'vitest'
import type { PrefixPart } from '../../src/core/prefix.ts'
import { Affinity } from '../../src/routing/affinity/affinity.ts'
import { Prompt } from '../../src/routing/affinity/prompt.ts'
import { Residency } from '../../src/routing/residency/residency.ts'
import { hostOf, tenSeconds, usual } from './residency/help.ts'

const bytesEach = 4_000
/** Nanoseconds a token at a machine that reads a thousand tokens in a second. */
const coldNs = 1e6

/** A conversation of so many messages of 1,000 tokens each; `name` is what it begins with. */
function promptOf(name: number, messages: number, model = 'a', system = 0): Prompt {
  const of = (text: number, count: number): PrefixPart => {
    const highs = Array.from({ length: count }, (_, at) => text * 1_000 + at + 1)
    return { highs, lows: highs, bytesAt: highs.map((_, at) => (at + 1) * bytesEach) }
  }
  const parts = { tools: undefined, context: undefined, text: of(name, messages) }
  return new Prompt(
    { ...parts, system: system === 0 ? undefined : of(9_000, system) },
    { model, runner: '', session: undefined },
  )
}

/** One request and its answer, read at the speed of a machine that finds there what it should. */
function serve(affinity: Affinity, prompt: Prompt, nowMs: number, endpoint = 'x') {
  const sending = affinity.sent(endpoint, prompt.model, prompt, nowMs)
  const promptTokens = prompt.bytes / 4
  const promptNs = Math.max(1, promptTokens - sending.expected.tokens) * coldNs
  affinity.read(sending, { promptTokens, promptNs, outputTokens: 0 }, nowMs)
}

/** So many conversations of eight turns, begun one after another and not over. */
function chat(affinity: Affinity, names: readonly number[], model = 'a', endpoint = 'x') {
  for (const name of names)
    for (let turn = 1; turn <= 8; turn++)
      serve(affinity, promptOf(name, turn, model), name * 100 + turn, endpoint)
}
const many = [1, 2, 3, 4, 5, 6]

describe('what would be lost with a prompt cache', () => {
  it('is the reading of every conversation that may go on', () => {
    const affinity = new Affinity(() => [])
    chat(affinity, many)
    // Six of 8,000 tokens at a thousand a second; nearly all of the prompts went on from one before.
    const lostS = affinity.prefixS('x', 'a', 700)
    expect(lostS).toBeGreaterThan(20)
    expect(lostS).toBeLessThan(48)
  })

  it('is nothing where people ask once, however much they have in common', () => {
    const affinity = new Affinity(() => [])
    for (let name = 1; name <= 40; name++) serve(affinity, promptOf(name, 1, 'a', 4), name)
    expect(affinity.prefixS('x', 'a', 41)).toBe(0)
  })

  it('counts what several conversations begin with only once', () => {
    const [one, several] = [new Affinity(() => []), new Affinity(() => [])]
    // Their last turns: 4,000 tokens that are the same for all, and 2,000 of their own.
    for (const [affinity, names] of [
      [one, [1]],
      [several, [1, 2, 3, 4]],
    ] as const) {
      chat(affinity, many, 'a', 'elsewhere')
      serve(affinity, promptOf(99, 1), 1_000)
      for (const name of names) serve(affinity, promptOf(100 + name, 2, 'a', 4), 1_000)
    }
    const shares = several.prefixS('x', 'a', 1_000) / one.prefixS('x', 'a', 1_000)
    expect(shares).toBeGreaterThan(1.5)
    expect(shares).toBeLessThan(2.5)
  })

  it('wears off while nobody comes back, and is gone with an unload', () => {
    const affinity = new Affinity(() => [])
    chat(affinity, many)
    const freshS = affinity.prefixS('x', 'a', 700)
    expect(affinity.prefixS('x', 'a', 120_700)).toBeCloseTo(freshS / 2, 1)
    expect(affinity.prefixS('x', 'a', 3_600_700)).toBeLessThan(freshS / 1_000)
    affinity.forget('x', 'a')
    expect(affinity.prefixS('x', 'a', 700)).toBe(0)
    expect(affinity.prefixS('nowhere', 'a', 700)).toBe(0)
  })

  it('goes with a conversation that goes on elsewhere', () => {
    const affinity = new Affinity(() => [])
    chat(affinity, many)
    const beforeS = affinity.prefixS('x', 'a', 700)
    for (const name of many) serve(affinity, promptOf(name, 9), 700, 'y')
    expect(affinity.prefixS('x', 'a', 700)).toBeLessThan(beforeS / 10)
    expect(affinity.prefixS('y', 'a', 700)).toBeGreaterThan(beforeS / 2)
  })

  it('is never more than the cache holds', () => {
    const affinity = new Affinity(() => [])
    for (let name = 1; name <= 300; name++)
      for (let turn = 1; turn <= 8; turn++) serve(affinity, promptOf(name, turn), name)
    // What a new home is thought to hold is 65,536 tokens; hits may have shown a little more.
    expect(affinity.prefixS('x', 'a', 301)).toBeLessThan(140)
  })
})

describe('a load that one of two models has to leave for', () => {
  const nowMs = 600_000

  /** `a` and `b` are asked for as often, and `c` has to come. */
  function leaverFor(chatting: string | undefined): string | undefined {
    const affinity = new Affinity(() => [])
    if (chatting) {
      for (const name of many)
        for (let turn = 1; turn <= 8; turn++)
          serve(affinity, promptOf(name, turn, chatting), nowMs - 1_000 + turn)
    }
    const prefixS = (host: string, model: string) => affinity.prefixS(host, model, nowMs)
    const residency = new Residency(usual, { ...tenSeconds, prefixS })
    for (const model of ['a', 'b'])
      for (let atMs = 0; atMs < nowMs; atMs += 10_000) residency.arrived(model, atMs)
    residency.look([hostOf('x', { loaded: ['a', 'b'] }), hostOf('y')], {}, nowMs)
    return residency.victimsFor('x', 'c')[0]?.names[0]
  }

  it('pushes out the one whose people ask once, and keeps the conversations', () => {
    expect(leaverFor('a')).toBe('b')
    expect(leaverFor('b')).toBe('a')
    // Without conversations the one that comes first: so one of the two above is due to them alone.
    expect(leaverFor(undefined)).toBe('a')
  })
})
