import { describe, expect, it } from 'vitest'
import { partOf } from '../../../src/split/embed/backlog.ts'
import { type Call, Calls } from '../../../src/split/embed/calls.ts'
import { Crew } from '../../../src/split/embed/crew.ts'
import { Patience } from '../../../src/split/embed/patience.ts'
import { Speeds } from '../../../src/split/speeds.ts'
import { callOf, evenWeights, memberOf } from './batch-help.ts'
import { digest } from './help.ts'

/** Ten items take it 12 ms, and the slow one 102 ms. */
const fast = memberOf('fast', { weightPerMs: 100 })
const slow = memberOf('slow', { weightPerMs: 10 })
const holder = memberOf('holder')

function patienceOf(call: Call, isUsable: () => boolean = () => true): Patience {
  const calls = new Calls()
  calls.add(call)
  const crew = new Crew([fast, slow, holder], evenWeights(20), digest, new Speeds())
  return new Patience(calls, crew, isUsable)
}

describe('a part that waits for its seat', () => {
  it('may be taken over after a while, by a slow machine later than by a fast one', () => {
    const call = callOf(holder)
    const patience = patienceOf(call)
    const stealable = (member: typeof fast, nowMs: number) => [
      ...patience.stealableBy(member, nowMs),
    ]
    expect([stealable(fast, 19), stealable(fast, 20)]).toEqual([[], [call]])
    expect([stealable(slow, 50), stealable(slow, 51)]).toEqual([[], [call]])
    expect([patience.nextMs(0), patience.nextMs(20), patience.nextMs(51)]).toEqual([
      20,
      51,
      Number.POSITIVE_INFINITY,
    ])
  })

  it('may be taken over at once from a machine that takes nothing', () => {
    const call = callOf(holder)
    expect([...patienceOf(call, () => false).stealableBy(slow, 0)]).toEqual([call])
  })

  it('is never overdue', () => {
    expect(patienceOf(callOf(holder)).overdueFor(fast, 1e9)).toBeUndefined()
  })

  it('is left to its backend when that has it already', () => {
    const patience = patienceOf(callOf(holder, { backend: 'holder' }))
    expect([...patience.stealableBy(fast, 1e9)]).toEqual([])
    expect(patience.nextMs(0)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('a part on its seat', () => {
  it('is overdue at twice what was expected, and not before a hiccup could be over', () => {
    const call = callOf(holder, { backend: 'holder', onSeatSinceMs: 1_000, expectedMs: 100 })
    const patience = patienceOf(call)
    expect([patience.overdueFor(fast, 1_199), patience.overdueFor(fast, 1_200)]).toEqual([
      undefined,
      call,
    ])
    expect([patience.nextMs(0), patience.nextMs(1_200)]).toEqual([1_200, Number.POSITIVE_INFINITY])
    const short = patienceOf({ ...call, expectedMs: 1 })
    expect([short.overdueFor(fast, 1_049), short.nextMs(0)]).toEqual([undefined, 1_050])
  })

  it('is asked for a second time once', () => {
    const part = { ...partOf(0, 10), isHedged: true }
    const patience = patienceOf(callOf(holder, { backend: 'holder', onSeatSinceMs: 0, part }))
    expect([patience.overdueFor(fast, 1e9), patience.nextMs(0)]).toEqual([
      undefined,
      Number.POSITIVE_INFINITY,
    ])
  })
})

it('nobody is given a part that it has, or has failed', () => {
  const part = partOf(0, 10)
  part.failedAt.add('fast')
  for (const member of [holder, fast]) {
    expect([...patienceOf(callOf(holder, { part })).stealableBy(member, 1e9)]).toEqual([])
    const seated = callOf(holder, { part, backend: 'holder', onSeatSinceMs: 0 })
    expect(patienceOf(seated).overdueFor(member, 1e9)).toBeUndefined()
  }
})
