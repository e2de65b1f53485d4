import { describe, expect, it } from 'vitest'
import type { Outcome } from '../../src/core/outcome.ts'
import { seatsForNow } from '../../src/pool/slow-start.ts'
import { handClock } from '../help/clock.ts'
import { backendOf, breakerSettings, poolOf, ps } from './help.ts'

const seat = { seat: true, asTry: false }
const answered: Outcome = { kind: 'answered', status: 200 }
const unreachable: Outcome = { kind: 'unreachable', text: 'connection refused' }
const crashed: Outcome = { kind: 'refused', status: 500, why: 'crashed', text: '' }

describe('the seats of who comes back', () => {
  it.each([
    [8, 0, 1],
    [8, 2_499, 1],
    [8, 2_500, 2],
    [8, 5_000, 4],
    [8, 9_999, 7],
    [1, 0, 1],
    [1, 9_999, 1],
    [3, 5_000, 1],
    [300, 1_000, 30],
  ])('of %i are after %i of 10,000 ms %i', (seats, passedMs, forNow) => {
    expect(seatsForNow(seats, passedMs, 10_000)).toBe(forNow)
  })
})

function one(slowStartMs: number | 'off' = 10_000) {
  const clock = handClock()
  const pool = poolOf([backendOf('a', { slots: 8 })], {
    clock,
    models: ['m', 'n'],
    breaker: { ...breakerSettings, slowStartMs: slowStartMs === 'off' ? undefined : slowStartMs },
  })
  const a = pool.endpoints[0]!
  a.learnInMemory(ps(['m']))
  const held = (model = 'm:latest') => a.model(model)?.heldBack
  const take = (model = 'm:latest') => a.take(model, seat)!
  /** Requests that it takes until it is held back, given back again. */
  const room = () => {
    const leases = []
    while (!held() && leases.length < 8) leases.push(take())
    for (const lease of leases) lease.settle({ kind: 'clientLeft' })
    return leases.length
  }
  const rest = (outcome: Outcome) => {
    for (let each = 0; each < 3; each++) take().settle(outcome)
    clock.pass(1_001)
  }
  return { clock, a, held, take, room, rest }
}

describe('an endpoint', () => {
  it('that never failed is held back by nothing', () => {
    const { room } = one()
    expect(room()).toBe(8)
  })

  it.each([
    ['a rest', unreachable],
    ["its model's rest", crashed],
  ])('takes bit by bit more after %s, and all of it at the end of the window', (_, outcome) => {
    const { clock, rest, take, room } = one()
    rest(outcome)
    take().settle(answered)
    const rooms = Array.from({ length: 12 }, () => {
      const now = room()
      clock.pass(1_000)
      return now
    })
    expect(rooms).toEqual([1, 1, 1, 2, 3, 4, 4, 5, 6, 7, 8, 8])
  })

  it('takes bit by bit more after it was away', () => {
    const { a, clock, room } = one()
    a.returned()
    expect(room()).toBe(1)
    clock.pass(5_000)
    expect(room()).toBe(4)
    clock.pass(5_000)
    expect(room()).toBe(8)
  })

  it('counts over all models when it came back as a whole', () => {
    const { a, held, take } = one()
    a.returned()
    take('m:latest')
    expect(held('n:latest')).toBe(true)
  })

  it('holds back only the model that failed when only that one did', () => {
    const { held, rest, take } = one()
    rest(crashed)
    take().settle(answered)
    take()
    expect([held('m:latest'), held('n:latest')]).toEqual([true, false])
  })

  it('begins anew when it fails again on its way', () => {
    const { clock, rest, take, room } = one()
    rest(unreachable)
    take().settle(answered)
    clock.pass(8_000)
    expect(room()).toBe(6)
    rest(unreachable)
    clock.pass(8_000)
    take().settle(answered)
    expect(room()).toBe(1)
  })

  it('comes back at once where slow start is switched off', () => {
    const { a, room } = one('off')
    a.returned()
    expect(room()).toBe(8)
  })

  it('still has every seat for those who find none elsewhere', () => {
    const { a, take } = one()
    a.returned()
    for (let each = 0; each < 8; each++) {
      expect(a.model('m:latest')?.seatFree).toBe(true)
      expect(take()).toBeDefined()
    }
  })
})
