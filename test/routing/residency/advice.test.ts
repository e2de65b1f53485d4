import { describe, expect, it } from 'vitest'
import { type Advised, advise } from '../../../src/routing/residency/advice.ts'
import { residentOf } from './help.ts'

const well: Advised = {
  name: 'x',
  serves: true,
  loadsHang: false,
  idle: [],
  isTight: false,
  fixedSeats: [],
  answered: 100,
  failed: 0,
  tookS: 3,
  worthS: 1,
}
const said = (backend: Partial<Advised>) =>
  advise([], [{ ...well, ...backend }]).map(({ kind, model, safe }) => [kind, model, safe])

describe('advice', () => {
  it('is none where all is well', () => {
    expect(said({})).toEqual([])
  })

  it('puts the largest gain of an hour first, and what is gained by the request last', () => {
    const moves = [
      { host: 'x', model: 'a', victims: [], gainS: 0.1, why: 'demand' as const },
      { host: 'y', model: 'b', victims: [residentOf('c')], gainS: 0.5, why: 'nowhere' as const },
    ]
    const advice = advise(moves, [{ ...well, name: 'z', failed: 50, answered: 50 }])
    expect(advice.map(({ kind, backend }) => `${kind} ${backend}`)).toEqual([
      'swap y',
      'preload x',
      'drain z',
    ])
    expect(advice[0]).toMatchObject({
      unload: ['c'],
      gain: { seconds: 1_800, per: 'hour' },
      safe: true,
    })
    expect(advice[2]).toMatchObject({ gain: { seconds: 1.5, per: 'request' }, safe: false })
  })

  it('unloads what nobody asks for only where memory is short, and never what is pinned', () => {
    const unused = { model: 'old', bytes: 4e9, unaskedS: 3_600, pinned: false }
    expect(said({ idle: [unused], isTight: true })).toEqual([['unload', 'old', true]])
    expect(said({ idle: [unused] })).toEqual([])
    expect(said({ idle: [{ ...unused, pinned: true }], isTight: true })).toEqual([])
    expect(said({ idle: [{ ...unused, unaskedS: 60 }], isTight: true })).toEqual([])
  })

  it('raises slots where one more stream brings more work, and not where streams only share', () => {
    const seats = { model: 'a', seats: 1, slope: 0.1, serviceS: 2, perSecond: 0.4 }
    expect(said({ fixedSeats: [seats] })).toEqual([['slots', 'a', false]])
    expect(said({ fixedSeats: [{ ...seats, slope: 1 }] })).toEqual([])
  })

  it('drains a backend that costs more than it gives, and restarts one whose loads hang', () => {
    expect(said({ worthS: -0.2 })).toEqual([['drain', undefined, false]])
    expect(said({ answered: 20, failed: 4 })).toEqual([])
    expect(said({ loadsHang: true })).toEqual([['restart', undefined, false]])
  })
})
