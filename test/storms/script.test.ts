import { describe, expect, it } from 'vitest'
import { lies } from './lies.ts'
import { type Errand, type Script, type Step, scriptOf, ways } from './script.ts'
import { backendNames, type StormEvent, usual } from './troubles.ts'

const errandsIn = (steps: readonly Step[]): Errand[] =>
  steps.flatMap((step) => (step.kind === 'ask' ? step.errands : []))
const eventsIn = ({ squall, storm }: Script): StormEvent[] =>
  [...squall, ...storm].flatMap((step) => (step.kind === 'event' ? [step.event] : []))

describe('the script of a storm', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(scriptOf(7, 2_000)).toEqual(scriptOf(7, 2_000))
    expect(scriptOf(8, 2_000).storm).not.toEqual(scriptOf(7, 2_000).storm)
  })

  it('asks as often as it was told to, each time under an id of its own', () => {
    const { before, squall, storm, after } = scriptOf(3, 3_000)
    const ids = [before, squall, storm, after].flatMap(errandsIn).map(({ id }) => id)
    expect(ids).toHaveLength(3_000)
    expect(new Set(ids).size).toBe(3_000)
  })

  it('is calm at first and in the end: nothing fails and nobody leaves', () => {
    const { before, after } = scriptOf(3, 3_000)
    expect([...before, ...after].every(({ kind }) => kind === 'ask')).toBe(true)
    expect(errandsIn([...before, ...after]).some(({ leave }) => leave)).toBe(false)
  })

  it('has in three seeds every way to ask, to leave and to lie', () => {
    const scripts = [1, 2, 3].map((seed) => scriptOf(seed, 10_000))
    const errands = scripts.flatMap(({ storm }) => errandsIn(storm))
    const events = scripts.flatMap(eventsIn)
    expect(new Set(errands.map(({ way }) => way))).toEqual(new Set(ways))
    const leaves = errands.flatMap(({ leave }) => (leave ? [`${leave.when} by ${leave.by}`] : []))
    expect(new Set(leaves).size).toBe(12)
    expect(new Set(events.flatMap((each) => (each.kind === 'lie' ? [each.lie] : [])))).toEqual(
      new Set(lies),
    )
    const kinds = ['kill', 'start', 'freeze', 'thaw', 'restart', 'crash', 'faults', 'lie', 'reload']
    expect(new Set(events.map(({ kind }) => kind))).toEqual(new Set(kinds))
  })

  it.each([1, 2, 3, 4, 5])(
    'lets everybody return, and never has more than two away (%i)',
    (seed) => {
      const away = new Set<string>()
      let most = 0
      let last = 0
      let config: StormEvent | undefined
      const faulty = new Set<string>()
      for (const event of eventsIn(scriptOf(seed, 10_000))) {
        expect(event.at).toBeGreaterThanOrEqual(last)
        last = event.at
        if (event.kind === 'kill' || event.kind === 'freeze') away.add(event.backend)
        if (event.kind === 'start' || event.kind === 'thaw') away.delete(event.backend)
        if (event.kind === 'reload') config = event
        if (event.kind === 'faults' && event.faults.length > 0) faulty.add(event.backend)
        most = Math.max(most, away.size)
      }
      expect(most).toBe(2)
      expect(away.size).toBe(0)
      expect(config).toMatchObject(usual)
      expect(faulty).toEqual(new Set(backendNames))
    },
  )
})
