import { describe, expect, it } from 'vitest'
import { Demand } from '../../../src/routing/residency/demand.ts'

function asked(demand: Demand, model: string, count: number, everyMs: number, fromMs = 0): number {
  for (let each = 0; each < count; each++) demand.arrived(model, fromMs + each * everyMs)
  return fromMs + (count - 1) * everyMs
}

describe('demand', () => {
  it('is the rate at which a model is asked for, within minutes', () => {
    const demand = new Demand()
    const nowMs = asked(demand, 'a', 600, 1_000)
    expect(demand.perSecond('a', nowMs)).toBeCloseTo(1, 1)
    expect(demand.perSecond('b', nowMs)).toBe(0)
  })

  it('makes no flood of the first request', () => {
    const demand = new Demand()
    demand.arrived('a', 0)
    expect(demand.perSecond('a', 0)).toBeLessThan(0.05)
    expect(demand.isUsual('a', 0)).toBe(false)
  })

  it('turns within a minute when what is asked for changes, and forgets within an hour', () => {
    const demand = new Demand()
    let nowMs = asked(demand, 'old', 600, 1_000)
    nowMs = asked(demand, 'new', 90, 1_000, nowMs)
    expect(demand.perSecond('new', nowMs)).toBeGreaterThan(demand.perSecond('old', nowMs))
    expect(demand.perSecond('new', nowMs + 3_600_000)).toBeLessThan(0.002)
  })

  it('remembers no more models than it has room for, those asked for last', () => {
    const demand = new Demand()
    for (let each = 0; each < 3_000; each++) demand.arrived(`m${each}`, each)
    expect([...demand.models()].length).toBeLessThanOrEqual(1_000)
    expect(demand.perSecond('m2999', 3_000)).toBeGreaterThan(0)
  })
})
