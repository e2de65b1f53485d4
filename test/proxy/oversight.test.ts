import { describe, expect, it } from 'vitest'
import { Roster } from '../../src/core/roster.ts'
import { Gaps } from '../../src/proxy/continuing/gaps.ts'
import type { Exchange } from '../../src/proxy/exchange.ts'
import { Oversight, stalledAmong } from '../../src/proxy/oversight.ts'
import { handClock } from '../help/clock.ts'

const oak = { ready: true }
const elm = { ready: true }

/** A stream that spoke every 10 ms until then, 40 times. */
function stream(endpoint: { ready: boolean }, untilMs: number, paused = false) {
  const gaps = new Gaps()
  for (let piece = 40; piece >= 0; piece--) gaps.heard(untilMs - piece * 10, 1)
  return { endpoint, gaps, paused }
}

describe('streams that have fallen silent', () => {
  it('are stalled when all others of their backend are silent as well', () => {
    const frozen = [stream(oak, 1_000), stream(oak, 1_200)]
    const others = [stream(elm, 40_000), stream(elm, 1_000)]
    expect(stalledAmong([...frozen, ...others], 31_100)).toEqual([])
    expect(stalledAmong([...frozen, ...others], 31_300)).toEqual(frozen)
  })

  it('are not when one of them still speaks, or when they are alone', () => {
    expect(stalledAmong([stream(oak, 1_000), stream(oak, 39_000)], 40_000)).toEqual([])
    expect(stalledAmong([stream(oak, 1_000)], 400_000)).toEqual([])
  })

  it('are when their backend’s probes fail, even alone', () => {
    const alone = stream({ ready: false }, 1_000)
    expect(stalledAmong([alone], 30_999)).toEqual([])
    expect(stalledAmong([alone], 31_000)).toEqual([alone])
  })

  it('say nothing while their reader is waited for, nor before they have begun', () => {
    const frozen = stream(oak, 1_000)
    const waited = stream(oak, 1_000, true)
    const begun = { endpoint: oak, gaps: new Gaps(), paused: false }
    const plain = { endpoint: oak, gaps: undefined, paused: false }
    expect(stalledAmong([frozen, waited, begun, plain], 60_000)).toEqual([])
    const witness = stream(oak, 2_000)
    expect(stalledAmong([frozen, waited, begun, plain, witness], 60_000)).toEqual([frozen, witness])
  })
})

describe('streams whose backend may die', () => {
  const clockAnd = () => {
    const clock = handClock()
    const running = new Roster<Exchange>()
    const expected: Exchange[] = []
    const oversight = new Oversight(running, {
      clock,
      drainMs: () => 60_000,
      move: () => {},
      expect: (exchange) => void expected.push(exchange),
      streamsAt: () => {},
    })
    /** An exchange of which the oversight needs no more than this. */
    const runs = (attempt: object | undefined, size = 1_000) => {
      const asked = { body: { size } }
      const exchange = { attempt, asked, place: -1, isExpected: false } as unknown as Exchange
      running.add(exchange)
      return exchange
    }
    return { clock, oversight, expected, runs }
  }

  it('are made ready once, and only those that have something to lose', () => {
    const { clock, oversight, expected, runs } = clockAnd()
    const streaming = runs(stream(oak, 0))
    runs({ endpoint: oak, gaps: new Gaps(), paused: false })
    runs({ endpoint: oak, gaps: undefined, paused: false })
    runs(undefined)
    oversight.begin()
    clock.pass(3_000)
    expect(expected).toEqual([streaming])
  })

  it('are made ready a few at a time, so that no token waits for it', () => {
    const { clock, oversight, expected, runs } = clockAnd()
    for (let each = 0; each < 150; each++) runs(stream(oak, 0))
    oversight.begin()
    const counts = [1, 2, 3, 4].map(() => {
      clock.pass(1_000)
      return expected.length
    })
    expect(counts).toEqual([64, 128, 150, 150])
    expect(new Set(expected).size).toBe(150)
  })

  // Sixty-four prompts of a mebibyte were parsed at one look: a third of a second in which no token was passed on.
  it('are made ready half a mebibyte of requests at a time, and a larger one alone', () => {
    const { clock, oversight, expected, runs } = clockAnd()
    for (let each = 0; each < 6; each++) runs(stream(oak, 0), 200_000)
    for (let each = 0; each < 2; each++) runs(stream(oak, 0), 900_000)
    oversight.begin()
    const counts = [1, 2, 3, 4, 5].map(() => {
      clock.pass(1_000)
      return expected.length
    })
    expect(counts).toEqual([2, 4, 6, 7, 8])
  })
})
