import { describe, expect, it } from 'vitest'
import { deafObserver } from '../../src/core/observer.ts'
import { Breakers } from '../../src/pool/breakers.ts'
import { Returning, wholeServer } from '../../src/pool/slow-start.ts'
import { handClock } from '../help/clock.ts'
import { breakerSettings, evenDice } from './help.ts'

const elsewhere = { host: false, model: false }

function breakersAt() {
  const clock = handClock()
  const said: string[] = []
  const returning = new Returning()
  const observer = deafObserver({
    breakerTurned: (name, model, state) => void said.push(`${name} ${model ?? '*'} ${state}`),
  })
  const changed = () => void said.push('changed')
  const doors = { clock, dice: evenDice, observer, breaker: breakerSettings, changed }
  const breakers = new Breakers('a', doors, returning)
  const fail = (model?: string) => {
    for (let each = 0; each < breakerSettings.failuresInRow; each++)
      if (model === undefined) breakers.hearHost('bad', undefined)
      else breakers.hearModel(model, 'bad', undefined)
  }
  return { breakers, clock, fail, returning, said }
}

describe('the breakers of a backend', () => {
  it('tell who is let in what for', () => {
    const { breakers, clock, fail } = breakersAt()
    expect(breakers.enter('m')).toEqual({ host: false, model: false })
    fail('m')
    clock.pass(1_000)
    expect(breakers.enter('n')).toEqual({ host: false, model: false })
    expect(breakers.enter('m')).toEqual({ host: false, model: true })
    fail()
    clock.pass(1_000)
    expect(breakers.enter('n')).toEqual({ host: true, model: false })
  })

  it('hear on probation only who was let in for it, and whoever has no lease', () => {
    const { breakers, clock, fail } = breakersAt()
    fail('m')
    clock.pass(1_000)
    const probes = breakers.enter('m')
    breakers.hearModel('m', 'good', elsewhere)
    expect(breakers.admittingModel('m')).toBe(false)
    breakers.hearModel('m', 'good', probes)
    expect(breakers.admittingModel('m')).toBe(true)
    fail()
    clock.pass(1_000)
    breakers.enter('m')
    breakers.hearHost('good', elsewhere)
    expect([breakers.state, breakers.admitting]).toEqual(['probation', false])
    breakers.hearHost('good', undefined)
    expect([breakers.state, breakers.admitting]).toEqual(['admitting', true])
  })

  it('keep every model out while the backend rests, and one while only that rests', () => {
    const { breakers, clock, fail } = breakersAt()
    fail('m')
    expect(['m', 'n'].map((each) => breakers.admittingModel(each))).toEqual([false, true])
    clock.pass(400)
    fail()
    expect(['m', 'n'].map((each) => breakers.admittingModel(each))).toEqual([false, false])
    // The model's own rest is over before that of the backend.
    expect(['m', 'n'].map((each) => breakers.restUntilMs(each))).toEqual([2_400, 2_400])
    breakers.forgive()
    expect(['m', 'n'].map((each) => breakers.admittingModel(each))).toEqual([true, true])
    expect(breakers.restUntilMs('m')).toBeUndefined()
  })

  it('say each turn, when a rest is over, and who is coming back', () => {
    const { breakers, clock, fail, returning, said } = breakersAt()
    fail('m')
    clock.pass(1_001)
    breakers.hearModel('m', 'good', breakers.enter('m'))
    expect(said).toEqual(['a m resting', 'changed', 'a m probation', 'a m admitting'])
    expect(returning.enough('m', 1, 8, clock.now(), 10_000)).toBe(true)
    expect(returning.enough(wholeServer, 1, 8, clock.now(), 10_000)).toBe(false)
  })

  it('forget models that are gone', () => {
    const { breakers, fail } = breakersAt()
    fail('m')
    fail('n')
    breakers.keepOnly(new Map([['n', {}]]))
    expect(['m', 'n'].map((each) => breakers.admittingModel(each))).toEqual([true, false])
  })
})
