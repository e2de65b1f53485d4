import { describe, expect, it } from 'vitest'
import {
  admits,
  type Breaker,
  breakerAfter,
  breakerEntered,
  freshBreaker,
} from '../../src/pool/breaker.ts'
import { breakerSettings, evenDice } from './help.ts'

const next = (breaker: Breaker, verdict: 'good' | 'bad' | 'nothing', nowMs = 0) =>
  breakerAfter(breaker, verdict, nowMs, breakerSettings, evenDice)

const told = (verdicts: string, breaker = freshBreaker) =>
  [...verdicts].reduce(
    (each, verdict) => next(each, verdict === '+' ? 'good' : verdict === '-' ? 'bad' : 'nothing'),
    breaker,
  )

/** Rests, waits its time out, lets one in, and that one fails. */
const failedProbe = (breaker: Breaker) => next(breakerEntered(breaker), 'bad', breaker.restUntilMs)

describe('a breaker', () => {
  it.each([
    ['admits while nothing fails', '+++++', 'admitting'],
    ['admits after two failures of the three that make it rest', '--', 'admitting'],
    ['rests after three failures in a row', '---', 'resting'],
    ['forgets a row that a success ends', '--+--', 'admitting'],
    ['does not count clients who leave', '--...', 'admitting'],
    ['does not let a client who leaves end a row', '--.-', 'resting'],
    ['rests when half of a full window failed', '-+-+-+-++-', 'resting'],
    ['waits for the window to be full', '-+-+-+-+-', 'admitting'],
    ['admits when less than half of a full window failed', '-+-+-++++-', 'admitting'],
  ])('%s', (_, verdicts, state) => {
    expect(told(verdicts).state).toBe(state)
  })

  it('lets one request in after its rest, and everybody once that one succeeds', () => {
    const resting = told('---')
    expect(admits(resting, resting.restUntilMs - 1)).toBe(false)
    expect(admits(resting, resting.restUntilMs)).toBe(true)
    const probation = breakerEntered(resting)
    expect(probation.state).toBe('probation')
    expect(admits(probation, resting.restUntilMs)).toBe(false)
    expect(next(probation, 'good').state).toBe('admitting')
  })

  it('lets the next one in when the probe tells nothing', () => {
    const probation = next(breakerEntered(told('---')), 'nothing')
    expect(probation.state).toBe('probation')
    expect(admits(probation, 0)).toBe(true)
  })

  it('rests twice as long each time its probe fails, up to the bound', () => {
    let breaker = told('---')
    const rests = [breaker.restMs]
    for (let round = 0; round < 5; round++) {
      breaker = failedProbe(breaker)
      rests.push(breaker.restMs)
    }
    expect(rests).toEqual([1_000, 2_000, 4_000, 8_000, 8_000, 8_000])
  })

  it('rests longer again when it fails soon after a good probe, and short after a clean window', () => {
    const recovered = next(breakerEntered(failedProbe(told('---'))), 'good')
    expect(told('---', recovered).restMs).toBe(4_000)
    expect(told(`${'+'.repeat(10)}---`, recovered).restMs).toBe(1_000)
  })

  it('hears nothing from stragglers while it rests', () => {
    const resting = told('---')
    expect(told('-+.-', resting)).toEqual(resting)
  })

  it('moves the end of its rest by a tenth at most', () => {
    const until = (roll: number) =>
      breakerAfter(told('--'), 'bad', 0, breakerSettings, { roll: () => roll }).restUntilMs
    expect(until(0)).toBeCloseTo(900)
    expect(until(0.999_999)).toBeCloseTo(1_100)
  })
})
