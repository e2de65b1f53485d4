import { describe, expect, it } from 'vitest'
import { evictionFor, type PriceDoors, priceOf } from '../../../src/routing/residency/eviction.ts'
import type { Resident } from '../../../src/routing/residency/host.ts'
import { hostOf, residentOf, tenSeconds } from './help.ts'

const doorsOf = (more: Partial<PriceDoors> = {}): PriceDoors => ({
  times: tenSeconds,
  perSecond: () => 0.01,
  copies: () => 2,
  mayLeave: () => true,
  isYoung: () => false,
  ...more,
})
const named = (residents: readonly Resident[] = []) => residents.map(({ names }) => names[0])

describe('the price of pushing a model out', () => {
  it('is its load times the chance that it is needed while it would have stayed', () => {
    const host = hostOf('h', { loaded: ['a'] })
    const often = priceOf(host, residentOf('a'), doorsOf({ perSecond: () => 1 }))
    const never = priceOf(host, residentOf('a'), doorsOf({ perSecond: () => 0 }))
    expect(often).toBeCloseTo(10 * 0.6, 2)
    expect(never).toBe(0)
    const leaving = priceOf(host, residentOf('a', { keptMs: 1_000 }), doorsOf())
    expect(leaving).toBeLessThan(priceOf(host, residentOf('a'), doorsOf()))
  })

  it('is the whole load for the last copy, and less for one of several that are asked for as often', () => {
    const host = hostOf('h', { loaded: ['a'] })
    const rate = { perSecond: () => 10 }
    const last = priceOf(host, residentOf('a'), doorsOf({ ...rate, copies: () => 1 }))
    expect(last).toBeCloseTo(10, 2)
    expect(last / priceOf(host, residentOf('a'), doorsOf(rate))).toBeCloseTo(1 / 0.6, 5)
  })

  it('has the prompts in it that are lost with its cache, of all its names, within a bound', () => {
    const host = hostOf('h', { loaded: ['a'] })
    const priceWith = (readS: number, names = ['a']) => {
      const times = { ...tenSeconds, prefixS: () => readS }
      return priceOf(host, residentOf('a', { names }), doorsOf({ times }))
    }
    const reading = priceWith(10) - priceWith(0)
    expect(reading).toBeGreaterThan(0)
    // A second of reading holds up fewer than one of loading.
    expect(reading).toBeLessThan(10)
    expect(priceWith(10, ['a', 'b']) - priceWith(0, ['a', 'b'])).toBeCloseTo(2 * reading, 5)
    expect(priceWith(1e6)).toBe(priceWith(1e9))
  })
})

describe('who has to leave', () => {
  it('is nobody where it fits, or is there', () => {
    expect(evictionFor(hostOf('h', { loaded: ['a'] }), 'b', doorsOf())).toEqual({
      victims: [],
      priceS: 0,
    })
    expect(evictionFor(hostOf('h', { loaded: ['a', 'b'] }), 'a', doorsOf())?.victims).toEqual([])
  })

  it('is the cheapest, and no more than needed', () => {
    const doors = doorsOf({ perSecond: (model) => (model === 'a' ? 1 : 0.001) })
    expect(named(evictionFor(hostOf('h', { loaded: ['a', 'b'] }), 'c', doors)?.victims)).toEqual([
      'b',
    ])
    expect(
      named(evictionFor(hostOf('h', { loaded: ['a', 'b'], fits: 1 }), 'c', doors)?.victims),
    ).toEqual(['b', 'a'])
  })

  it('is not the one that has just come, while there is another', () => {
    // Victims were once chosen by price alone: on a busy fleet each load pushed out the one before it.
    const doors = doorsOf({
      perSecond: (model) => (model === 'a' ? 1 : 0.001),
      isYoung: (_host, { names }) => names[0] === 'b',
    })
    expect(named(evictionFor(hostOf('h', { loaded: ['a', 'b'] }), 'c', doors)?.victims)).toEqual([
      'a',
    ])
  })

  it('is nobody who may not leave: then there is no way', () => {
    const doors = doorsOf({ mayLeave: () => false })
    expect(evictionFor(hostOf('h', { loaded: ['a', 'b'] }), 'c', doors)).toBeUndefined()
  })
})
