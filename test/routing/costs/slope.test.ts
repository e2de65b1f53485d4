import { describe, expect, it } from 'vitest'
import { seededDice } from '../../../src/core/dice.ts'
import { Slope } from '../../../src/routing/costs/slope.ts'

/** A machine whose tokens take `base` seconds alone and `slope` more for each further stream, measured to a tenth. */
function learned(
  base: number,
  slope: number,
  samples: number,
  streamsMax: number,
  before = new Slope(),
) {
  const dice = seededDice(3)
  for (let each = 0; each < samples; each++) {
    const streams = 1 + Math.floor(dice.roll() * streamsMax)
    const noise = 0.9 + 0.2 * dice.roll()
    before.learn(base * (1 + slope * (streams - 1)) * noise, streams)
  }
  return before
}

describe('the time for a token', () => {
  it('is found together with what each further stream costs', () => {
    const slope = learned(0.02, 0.4, 60, 4)
    expect(slope.base).toBeGreaterThan(0.018)
    expect(slope.base).toBeLessThan(0.022)
    expect(slope.slope).toBeGreaterThan(0.3)
    expect(slope.slope).toBeLessThan(0.5)
  })

  it('is taken to grow by a quarter for each further stream until that was measured', () => {
    const alone = learned(0.02, 0, 50, 1)
    expect(alone.at(3) / alone.base).toBeGreaterThan(1.4)
    expect(alone.at(3) / alone.base).toBeLessThan(1.6)
  })

  it('is moved little by one sample that is far off', () => {
    const slope = learned(0.02, 0.25, 40, 4)
    const before = slope.base
    slope.learn(2, 1)
    expect(slope.base / before).toBeLessThan(1.15)
  })

  it('is believed anew after three samples in a row that are far off on one side', () => {
    const slope = learned(0.02, 0.25, 40, 4)
    for (let each = 0; each < 3; each++) slope.learn(0.08, 1)
    expect(slope.base).toBeCloseTo(0.08, 2)
  })

  it('stays sound through ten thousand samples without company', () => {
    const slope = learned(0.02, 0, 10_000, 1)
    slope.learn(0.05, 4)
    expect(slope.base).toBeGreaterThan(0.015)
    expect(slope.base).toBeLessThan(0.025)
    expect(slope.slope).toBeLessThan(1)
  })

  it('is surer with every sample, with those of long answers first, and not when the machine has changed', () => {
    const one = learned(0.02, 0, 1, 1).error
    const few = learned(0.02, 0, 4, 1).error
    const many = learned(0.02, 0, 40, 1)
    expect(few).toBeLessThan(one)
    expect(many.error).toBeLessThan(few / 2)
    const short = new Slope()
    for (let each = 0; each < 10; each++) short.learn(0.02, 1, each === 0 ? 1 : 0.1)
    expect(short.error).toBeGreaterThan(learned(0.02, 0, 10, 1).error)
    for (let each = 0; each < 3; each++) many.learn(0.08, 1)
    expect(many.error).toBeGreaterThan(few)
  })

  // A clock was taken to be off by 20 ms for ever: machines whose requests take 2 and 20 ms could not be told apart by
  // twenty of each, and a text to embed went to either.
  it('is as sure as its samples are alike, once they are many, whatever the clock might be off by', () => {
    const errorOf = (samples: number) => {
      const slope = new Slope()
      for (let each = 0; each < samples; each++) slope.learn(0.000_1, 1, 1, 0.000_3)
      return slope.error
    }
    expect(errorOf(4)).toBeGreaterThan(1)
    expect(errorOf(10)).toBeLessThan(errorOf(4))
    expect(errorOf(20)).toBeLessThan(0.05)
  })

  it('takes no sample that is no number', () => {
    const slope = learned(0.02, 0.25, 10, 2)
    const before = slope.base
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, 0, -1]) slope.learn(wrong, 1)
    expect(slope.base).toBe(before)
  })
})
