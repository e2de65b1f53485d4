import { describe, expect, it } from 'vitest'
import { sleep } from '../../src/core/clock.ts'
import { jittered, seededDice } from '../../src/core/dice.ts'
import { durationMs, sizeBytes } from '../../src/core/duration.ts'
import { Ewma } from '../../src/core/ewma.ts'
import { blame, isDeath, type Outcome } from '../../src/core/outcome.ts'
import { Ring } from '../../src/core/ring.ts'
import { handClock } from '../help/clock.ts'

describe('a ring', () => {
  it('keeps the last ones, however many have come', () => {
    const ring = new Ring<number>(3)
    for (let each = 0; each < 2; each++) ring.add(each)
    expect(ring.filter(() => true)).toEqual([0, 1])
    for (let each = 2; each < 8; each++) ring.add(each)
    expect(ring.filter(() => true).sort()).toEqual([5, 6, 7])
    expect(ring.filter((each) => each === 6)).toEqual([6])
  })
})

describe('an average that forgets', () => {
  it('begins with its first sample and moves by its share', () => {
    const average = new Ewma(0.25)
    expect(average.value).toBeUndefined()
    average.add(100)
    average.add(200)
    expect(average.value).toBe(125)
  })

  it('takes nothing that is no number', () => {
    const average = new Ewma(0.25)
    for (const sample of [Number.NaN, 10, Number.POSITIVE_INFINITY, Number.NaN]) average.add(sample)
    expect(average.value).toBe(10)
  })
})

describe('whose fault it was', () => {
  const refused = (why: 'busy' | 'noModel' | 'clientFault' | 'crashed'): Outcome => ({
    kind: 'refused',
    status: 500,
    why,
    text: '',
  })
  const brokeOff = (afterFirstByte: boolean, reusedSocket: boolean): Outcome => ({
    kind: 'brokeOff',
    afterFirstByte,
    reusedSocket,
    text: '',
  })
  it.each<[Outcome, string, boolean]>([
    [{ kind: 'answered', status: 200 }, 'nobody', false],
    [{ kind: 'clientLeft' }, 'client', false],
    [refused('clientFault'), 'client', false],
    [refused('noModel'), 'nobody', false],
    [refused('busy'), 'backend', false],
    [refused('crashed'), 'backend', true],
    [{ kind: 'unreachable', text: '' }, 'backend', false],
    [{ kind: 'timedOut', limit: 'idle', text: '' }, 'backend', false],
    [brokeOff(false, false), 'backend', true],
    [brokeOff(true, false), 'backend', true],
    [brokeOff(false, true), 'nobody', false],
  ])('%o: %s', (outcome, whose, death) => {
    expect([blame(outcome), isDeath(outcome)]).toEqual([whose, death])
  })
})

describe('times and sizes in words', () => {
  it.each([
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['0', 0],
    ['1.5s', 1_500],
    ['10', undefined],
    ['', undefined],
    ['-1s', undefined],
    ['1s x', undefined],
  ])('%o is %o ms', (text, ms) => {
    expect(durationMs(text)).toBe(ms)
  })

  it.each([
    ['16GiB', 16 * 2 ** 30],
    ['512 MB', 512e6],
    ['12', undefined],
    ['1 XB', undefined],
  ])('%o is %o bytes', (text, bytes) => {
    expect(sizeBytes(text)).toBe(bytes)
  })
})

describe('time and chance', () => {
  it('are the same for the same seed, and jitter stays within its share', () => {
    const rolls = (seed: number) => {
      const dice = seededDice(seed)
      return Array.from({ length: 100 }, () => jittered(dice, 100, 0.2))
    }
    expect(rolls(7)).toEqual(rolls(7))
    expect(rolls(7)).not.toEqual(rolls(8))
    for (const each of rolls(7)) expect(Math.abs(each - 100)).toBeLessThanOrEqual(20)
  })

  it('let a sleeper wake by time or by its signal', async () => {
    const clock = handClock()
    const slept = sleep(clock, 1_000)
    clock.pass(1_000)
    await slept
    const stop = new AbortController()
    const ended = sleep(clock, 1_000, stop.signal)
    stop.abort()
    await ended
    await sleep(clock, 1_000, stop.signal)
  })
})
