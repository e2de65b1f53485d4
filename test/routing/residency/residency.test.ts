import { describe, expect, it } from 'vitest'
import type { ResidencySettings } from '../../../src/core/settings.ts'
import type { Host } from '../../../src/routing/residency/host.ts'
import { Residency } from '../../../src/routing/residency/residency.ts'
import { hostOf, residentOf, tenSeconds, usual } from './help.ts'

/** Asked for as often in each of the last ten minutes; now is 600 s. */
function residencyOf(
  hosts: readonly Host[],
  perMinute: Readonly<Record<string, number>>,
  settings: Partial<ResidencySettings> = {},
  waiters: Readonly<Record<string, number>> = {},
): Residency {
  const residency = new Residency({ ...usual, ...settings }, tenSeconds)
  for (const [model, count] of Object.entries(perMinute))
    for (let atMs = 0; atMs < 600_000; atMs += 60_000 / count) residency.arrived(model, atMs)
  residency.look(hosts, waiters, 600_000)
  return residency
}
const nowMs = 600_000
const said = (residency: Residency) =>
  residency
    .plan(nowMs)
    .map(
      ({ host, model, victims, why }) =>
        `${model} on ${host} for ${victims.map(({ names }) => names[0])}: ${why}`,
    )
const pressed = { waitedS: 100, longestS: 20, warm: true, urgent: false }

describe('the plan of residency', () => {
  it('loads what one copy can not serve onto a machine with free memory', () => {
    const hosts = [hostOf('x', { loaded: ['a'] }), hostOf('y')]
    expect(said(residencyOf(hosts, { a: 26 }))).toEqual(['a on y for : demand'])
  })

  it('leaves well alone what is served without waiting', () => {
    const hosts = [hostOf('x', { loaded: ['a'] }), hostOf('y', { loaded: ['b'] })]
    expect(said(residencyOf(hosts, { a: 1, b: 1 }))).toEqual([])
  })

  it('does nothing on a fleet of one server, whatever is asked for', () => {
    expect(said(residencyOf([hostOf('x', { loaded: ['a'] })], { a: 10, b: 20 }))).toEqual([])
  })

  it('does nothing for what was asked for once', () => {
    const residency = new Residency(usual, tenSeconds)
    residency.arrived('a', 0)
    residency.look([hostOf('x'), hostOf('y')], {}, 1_000)
    expect(residency.plan(1_000)).toEqual([])
  })

  it('pushes out what is hardly missed for what is much wanted, on a calm fleet', () => {
    const hosts = [hostOf('x', { loaded: ['a', 'c'] }), hostOf('y', { loaded: ['b', 'c'] })]
    expect(said(residencyOf(hosts, { a: 29, b: 1, c: 1 }, {}, { a: 60 }))).toEqual([
      'a on y for c: demand',
    ])
  })

  it('keeps the last copy of what was asked for in the last half hour', () => {
    const hosts = [hostOf('x', { loaded: ['a'], fits: 1 }), hostOf('y', { loaded: ['b'], fits: 1 })]
    expect(said(residencyOf(hosts, { a: 29, b: 1 }, {}, { a: 60 }))).toEqual([])
  })

  it('puts what an operator has pinned where it belongs, and never pushes it out', () => {
    const hosts = [hostOf('x', { loaded: ['a'], fits: 1 }), hostOf('y', { loaded: ['c'], fits: 1 })]
    const residency = residencyOf(hosts, { c: 10 }, { pins: { x: ['b'] } })
    expect(said(residency)).toEqual(['b on x for a: pinned'])
    const kept = residencyOf(hosts, {}, { pins: { x: ['a'] } })
    expect(kept.mayLoad('x', 'b', { ...pressed, waitedS: 20 }, nowMs, false)).toBe(false)
  })

  it('holds to the fewest and the most copies, and to the lists of single backends', () => {
    const hosts = [hostOf('x', { loaded: ['a'] }), hostOf('y'), hostOf('z')]
    expect(said(residencyOf(hosts, {}, { replicas: { b: { min: 1, max: 9 } } }))).toEqual([
      'b on x for : fewest',
    ])
    expect(said(residencyOf(hosts, { a: 29 }, { replicas: { a: { min: 0, max: 1 } } }))).toEqual([])
    expect(said(residencyOf(hosts, { a: 29 }, { only: { y: ['b'] } }))).toEqual([
      'a on z for : demand',
    ])
  })

  it('loads nothing where a load goes on already', () => {
    const residency = residencyOf([hostOf('x', { loaded: ['a'] }), hostOf('y')], { a: 26 })
    residency.loadBegan('y', 'b')
    expect(residency.plan(nowMs)).toEqual([])
    expect(residency.isSwapping('b')).toBe(true)
    residency.loadEnded('y', 'b', 10, nowMs)
    expect(residency.plan(nowMs)).toHaveLength(1)
  })

  it('names who leaves, and the load that follows empties that one', () => {
    // The plan's victim was once forgotten, and the load pushed out another: the copy that it had been meant to help.
    const hosts = [
      hostOf('x', { loaded: ['a', 'c'] }),
      hostOf('y', { loaded: [residentOf('b', { keptMs: 1 }), 'c'] }),
    ]
    const residency = residencyOf(hosts, { a: 29, b: 1, c: 1 }, {}, { a: 60 })
    expect(residency.victimsFor('y', 'a').map(({ names }) => names[0])).toEqual(['b'])
    expect(said(residency)).toEqual(['a on y for c: demand'])
    expect(residency.victimsFor('y', 'a').map(({ names }) => names[0])).toEqual(['c'])
  })
})

describe('a load that a request asks for', () => {
  it('waits its turn: one at a time for each machine, and those who want the same one join it', () => {
    const residency = residencyOf([hostOf('x'), hostOf('y')], { a: 5 })
    residency.loadBegan('x', 'a')
    expect(residency.mayLoad('x', 'b', { ...pressed, warm: false }, nowMs, false)).toBe(false)
    expect(residency.mayLoad('x', 'a', pressed, nowMs, false)).toBe(true)
    expect(residency.mayLoad('y', 'b', { ...pressed, warm: false }, nowMs, false)).toBe(true)
  })

  it('does not push out what came a moment ago', () => {
    const young = residentOf('b', { sinceMs: nowMs - 10_000 })
    const residency = residencyOf([hostOf('x', { loaded: [young], fits: 1 }), hostOf('y')], {
      a: 5,
      b: 5,
    })
    expect(residency.mayLoad('x', 'a', pressed, nowMs, false)).toBe(false)
    const old = residentOf('b', { sinceMs: nowMs - 31_000 })
    residency.look([hostOf('x', { loaded: [old], fits: 1 }), hostOf('y')], {}, nowMs)
    expect(residency.mayLoad('x', 'a', pressed, nowMs, false)).toBe(true)
  })

  it('with other options pushes out its own model, at its price', () => {
    const residency = residencyOf([hostOf('x', { loaded: ['a'] }), hostOf('y')], { a: 30 })
    expect(residency.evicts('x', 'a')).toBe(true)
    expect(residency.evictionPriceS('x', 'a')).toBeCloseTo(10, 2)
    expect(residency.evictionPriceS('y', 'a')).toBe(0)
  })

  it('with other options starts at once on the only server, once nothing runs there', () => {
    // A request with another num_ctx waited for half a minute on the only, idle server: the copy that it was to replace
    // had just come, and was protected like one that others would miss.
    const nowhere = { waitedS: 0, longestS: 0, warm: false, urgent: false }
    const young = residentOf('a', { sinceMs: nowMs - 1_000 })
    const residency = residencyOf([hostOf('x', { loaded: [young, 'b'] })], { a: 5, b: 5 })
    expect(residency.mayLoad('x', 'a', nowhere, nowMs, true)).toBe(true)
    expect(residency.mayLoad('x', 'a', nowhere, nowMs, false)).toBe(false)
    // What others are served by stays protected, and so does a copy where somebody else can load another.
    residency.look([hostOf('x', { loaded: [young], fits: 1 })], {}, nowMs)
    expect(residency.mayLoad('x', 'b', nowhere, nowMs, true)).toBe(false)
    residency.look([hostOf('x', { loaded: [young] }), hostOf('y')], {}, nowMs)
    expect(residency.mayLoad('x', 'a', nowhere, nowMs, true)).toBe(false)
    residency.look([hostOf('x', { loaded: [young] }), hostOf('y', { serves: false })], {}, nowMs)
    expect(residency.mayLoad('x', 'a', nowhere, nowMs, true)).toBe(true)
  })

  it('may always be made where residency is switched off', () => {
    const residency = residencyOf(
      [hostOf('x', { loaded: ['b'], fits: 1 })],
      { b: 9 },
      { on: false },
    )
    expect(residency.mayLoad('x', 'a', { ...pressed, waitedS: 0 }, nowMs, false)).toBe(true)
    expect(residency.evictionPriceS('x', 'a')).toBe(0)
  })
})
