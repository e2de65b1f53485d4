import { describe, expect, it } from 'vitest'
import type { Backend } from '../../src/core/backend.ts'
import { readLoadReport } from '../../src/core/load-report.ts'
import { Seating, type SeatSources } from '../../src/pool/seating.ts'
import { Told } from '../../src/pool/told.ts'
import { report } from '../members/help.ts'
import { backendOf, type ModelGiven, poolOf } from './help.ts'

const weights = [
  { name: 'm', digest: 'd' },
  { name: 'alias', digest: 'd' },
  { name: 'other', digest: 'e' },
]

function seatingOf(backend: Partial<Backend> = {}, models: readonly ModelGiven[] = weights) {
  const sources: { -readonly [key in keyof SeatSources]: SeatSources[key] } = {
    backend: backendOf('a', backend),
    told: undefined,
  }
  const endpoint = poolOf([backendOf('a')], { models }).endpoints[0]!
  const served = new Map(
    models.map(({ name }) => [`${name}:latest`, endpoint.model(`${name}:latest`)!]),
  )
  const seating = new Seating(sources, served)
  const of = (name: string) => seating.of(served.get(`${name}:latest`)!)
  const tell = (slots: object) => {
    sources.told = new Told(readLoadReport({ ...report, slots })!, 0)
    seating.fix()
  }
  return { of, seating, served, sources, tell }
}

describe('the seats at a backend', () => {
  it('are as many for one set of weights as the smallest number for any of its names', () => {
    const { of } = seatingOf({
      slots: new Map([
        ['m:latest', 4],
        ['alias:latest', 2],
        ['other:latest', 3],
      ]),
    })
    expect([of('m').limit, of('alias').limit, of('other').limit]).toEqual([2, 2, 3])
    expect(of('m')).toBe(of('alias'))
  })

  it('go by the operator before the agent, and by the agent before what is found out', () => {
    const { of, sources, seating, tell } = seatingOf({ slots: new Map([['m:latest', 4]]) })
    expect([of('m').learned, of('other').learned]).toEqual([false, true])
    tell({
      m: { used: 0, limit: 7, learned: false },
      other: { used: 0, limit: 5, learned: false },
    })
    expect([of('m').limit, of('other').limit, of('other').learned]).toEqual([4, 5, false])
    sources.backend = backendOf('a')
    seating.fix()
    expect(of('m').limit).toBe(7)
  })

  it('follow what the agent is still learning, as learned ones', () => {
    const { of, tell } = seatingOf()
    tell({ other: { used: 0, limit: 3, learned: true }, m: { used: 0, limit: 0, learned: true } })
    expect([of('other').limit, of('other').learned, of('m').limit]).toEqual([3, true, 1])
  })

  it('are counted once for all names of the same weights, and not for models served elsewhere', () => {
    const { seating, served } = seatingOf({ slots: 4 }, [
      ...weights,
      { name: 'far', remote_host: 'https://far.test' },
    ])
    expect(seating.limitOf(served.keys())).toBe(8)
    expect(seating.limitOf(['m:latest', 'alias:latest'])).toBe(4)
    expect(seating.limitOf(['far:latest', 'unknown:latest'])).toBe(0)
  })

  it('are shown by model, once somebody has asked for them', () => {
    const { of, seating } = seatingOf({ slots: 4 })
    expect([...seating.shown()]).toEqual([])
    of('m').take(0, false)
    expect([...seating.shown()]).toEqual([
      { model: 'm:latest', used: 1, limit: 4, learned: false },
      { model: 'alias:latest', used: 1, limit: 4, learned: false },
    ])
  })

  it('stay for as long as one is held, though the model is gone', () => {
    const { of, seating, served } = seatingOf({ slots: 4 })
    const row = of('other')
    const model = served.get('other:latest')!
    const held = row.take(0, false)!
    served.delete('other:latest')
    seating.dropGone()
    expect(seating.of(model)).toBe(row)
    held.giveBack(1)
    seating.dropGone()
    expect(seating.of(model)).not.toBe(row)
  })
})
