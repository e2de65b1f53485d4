import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Gaps } from '../../../src/proxy/continuing/gaps.ts'
import {
  isDrainOver,
  isStalled,
  suspectAfterMs,
  triggerOf,
  triggerOfErrorLine,
} from '../../../src/proxy/continuing/triggers.ts'

function heard(gapsMs: readonly number[], startMs = 0): { gaps: Gaps; lastMs: number } {
  const gaps = new Gaps()
  let nowMs = startMs
  gaps.heard(nowMs, 1)
  for (const gapMs of gapsMs) {
    nowMs += gapMs
    gaps.heard(nowMs, 1)
  }
  return { gaps, lastMs: nowMs }
}

describe('the gaps of a stream', () => {
  it('know the p99 to a quarter, and never too short', () => {
    const gapMs = fc.double({ min: 0.01, max: 1e6, noNaN: true })
    fc.assert(
      fc.property(fc.array(gapMs, { minLength: 1, maxLength: 400 }), (list) => {
        const { gaps } = heard(list)
        const sorted = list.toSorted((one, other) => one - other)
        const exact = sorted[list.length - 1 - Math.floor(list.length / 100)]!
        expect(gaps.p99Ms).toBeGreaterThanOrEqual(exact * 0.999 - 0.002)
        expect(gaps.p99Ms).toBeLessThanOrEqual(exact * 1.26 + 0.002)
      }),
    )
  })

  it('count frames, not chunks, and say nothing before two chunks', () => {
    const gaps = new Gaps()
    expect([gaps.tokens, gaps.p99Ms, gaps.silentMs(5)]).toEqual([0, undefined, 0])
    gaps.heard(10, 4)
    expect([gaps.tokens, gaps.p99Ms, gaps.silentMs(15)]).toEqual([4, undefined, 5])
    gaps.heard(30, 0)
    expect([gaps.tokens, gaps.silentMs(30)]).toEqual([4, 0])
    expect(gaps.p99Ms).toBeGreaterThanOrEqual(20)
  })

  it('forget slowly what is long ago, and take any number of pieces and any silence', () => {
    const { gaps, lastMs } = heard(Array.from({ length: 200_000 }, () => 10))
    expect(gaps.p99Ms).toBeLessThan(12.6)
    gaps.heard(lastMs + 1e9, 1)
    gaps.heard(lastMs + 1e9, 1)
    expect(gaps.p99Ms).toBeLessThan(12.6)
    for (let turn = 1; turn < 2_000; turn++) gaps.heard(lastMs + 1e9 + turn * 100, 1)
    expect(gaps.p99Ms).toBeGreaterThan(99)
  })
})

describe('a silence', () => {
  const alone = { probeFailed: false, otherStreams: 0, otherStreamsSilent: 0 }
  const dead = { ...alone, probeFailed: true }

  it('is suspect after 20 times the p99 gap, at least 30 s, and only after 20 tokens', () => {
    expect(suspectAfterMs(heard(Array(18).fill(10)).gaps)).toBeUndefined()
    expect(suspectAfterMs(heard(Array(19).fill(10)).gaps)).toBe(30_000)
    const slow = suspectAfterMs(heard(Array(30).fill(4_000)).gaps)
    expect(slow).toBeGreaterThanOrEqual(80_000)
    expect(slow).toBeLessThanOrEqual(101_000)
  })

  it('is a stall when a probe fails too, or all other streams of the backend are silent', () => {
    const { gaps, lastMs } = heard(Array(40).fill(10))
    const late = lastMs + 30_000
    expect(isStalled(gaps, late - 1, dead)).toBe(false)
    expect(isStalled(gaps, late, dead)).toBe(true)
    expect(isStalled(gaps, late, alone)).toBe(false)
    const some = { ...alone, otherStreams: 3, otherStreamsSilent: 2 }
    expect(isStalled(gaps, late, some)).toBe(false)
    expect(isStalled(gaps, late, { ...some, otherStreamsSilent: 3 })).toBe(true)
    expect(isStalled(heard([10, 10]).gaps, 1e9, dead)).toBe(false)
  })
})

describe('the end of an attempt', () => {
  const brokeOff = { kind: 'brokeOff', reusedSocket: false, text: 'reset' } as const

  it('is a trigger when it came inside the answer and was not the answer’s own', () => {
    expect(triggerOf({ ...brokeOff, afterFirstByte: true })).toEqual({
      kind: 'broke',
      text: 'reset',
    })
    expect(triggerOf({ ...brokeOff, afterFirstByte: true, clean: true })).toEqual({ kind: 'ended' })
    expect(triggerOf({ kind: 'unreachable', text: 'away' })?.kind).toBe('broke')
    expect(triggerOf({ kind: 'timedOut', limit: 'idle', text: '' })?.kind).toBe('broke')
  })

  it('is none before the first byte, at the total limit, and when the client left', () => {
    expect(triggerOf({ ...brokeOff, afterFirstByte: false })).toBeUndefined()
    expect(triggerOf({ kind: 'timedOut', limit: 'total', text: '' })).toBeUndefined()
    expect(triggerOf({ kind: 'timedOut', limit: 'firstByte', text: '' })).toBeUndefined()
    expect(triggerOf({ kind: 'clientLeft' })).toBeUndefined()
    expect(triggerOf({ kind: 'answered', status: 200 })).toBeUndefined()
    expect(triggerOf({ kind: 'refused', status: 500, why: 'crashed', text: '' })).toBeUndefined()
  })

  it('is a trigger as an error line only if it tells of a crash, and after the first token', () => {
    const isCrashText = (text: string) => text.includes('EOF')
    expect(triggerOfErrorLine('unexpected EOF', 1, isCrashText)?.kind).toBe('crashed')
    expect(triggerOfErrorLine('unexpected EOF', 0, isCrashText)).toBeUndefined()
    expect(triggerOfErrorLine('no such tool', 9, isCrashText)).toBeUndefined()
  })

  it('comes by draining at the limit only, and where something was said', () => {
    const drain = { sinceMs: 1_000, limitMs: 500 }
    expect(isDrainOver(drain, 3, 1_499)).toBe(false)
    expect(isDrainOver(drain, 3, 1_500)).toBe(true)
    expect(isDrainOver(drain, 0, 9_999)).toBe(false)
    expect(isDrainOver(undefined, 3, 9_999)).toBe(false)
  })
})
