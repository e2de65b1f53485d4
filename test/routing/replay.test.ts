import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DecisionEntry } from '../../src/routing/decision-entry.ts'
import { decidedAgain } from '../../src/routing/replay.ts'
import { needOf } from './help.ts'
import { type Machine, Scene, size } from './scene.ts'

const machineAny = fc.record({
  tokenS: fc.constantFrom(0.01, 0.02, 0.05, 0.3),
  seats: fc.integer({ min: 1, max: 3 }),
  resident: fc.boolean(),
  evicts: fc.boolean(),
  seatToTry: fc.boolean(),
  heldBack: fc.boolean(),
})
const guestAny = fc.record({
  priority: fc.constantFrom('normal' as const, 'batch' as const),
  deadlineMs: fc.option(fc.integer({ min: 1_000, max: 90_000 }), { nil: undefined }),
})

const known = (more: Partial<Machine> & Pick<Machine, 'name' | 'tokenS'>) => ({ seats: 4, ...more })
const readBack = (entry: DecisionEntry) => JSON.parse(JSON.stringify(entry)) as DecisionEntry
const asText = (actions: DecisionEntry['actions']) => JSON.stringify(actions)

describe('a log of decisions', () => {
  it('gives the same decisions when it is read again, about the line, newcomers and second sendings', () => {
    const made = { line: 0, newcomers: 0, beside: 0, actions: 0, nothing: 0 }
    fc.assert(
      fc.property(
        fc.array(machineAny, { minLength: 1, maxLength: 5 }),
        fc.array(fc.array(guestAny, { maxLength: 12 }), { minLength: 1, maxLength: 4 }),
        (machines, rounds) => {
          const log: DecisionEntry[] = []
          const named = machines.map((machine, at) => ({ ...machine, name: `m${at}` }))
          const cachedTokens = ({ name }: { name: string }) => (name === 'm1' ? 40 : 0)
          const note = (entry: DecisionEntry) => void log.push(readBack(entry))
          const scene = new Scene(named, { cachedTokens }, note)
          for (const guests of rounds) {
            for (const guest of guests) if (scene.arrive(guest) === '') scene.come(guest)
            scene.walk()
            const need = { ...needOf(), beside: 'm0' }
            const { dispatcher, line, nowMs } = scene
            dispatcher.decideBeside(need, size, line, nowMs, () => true)
            scene.nowMs += 7_000
          }
          for (const entry of log) {
            expect(asText(decidedAgain(entry))).toBe(asText(entry.actions))
            const isBeside = entry.waiting[0]?.need.beside !== undefined
            made[isBeside ? 'beside' : entry.alone ? 'newcomers' : 'line']++
            made.actions += entry.actions.length
            if (entry.alone && entry.actions.length === 0) made.nothing++
          }
        },
      ),
      { numRuns: 150 },
    )
    for (const count of Object.values(made)) expect(count).toBeGreaterThan(100)
  })

  it('gives the same seats to people when it is read again, and says where another rule would not', () => {
    let given = 0
    fc.assert(
      fc.property(
        fc.array(machineAny, { minLength: 1, maxLength: 4 }),
        fc.array(fc.constantFrom('interactive' as const, 'normal' as const), { maxLength: 6 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 0, max: 150 }),
        (machines, people, answers, pieces) => {
          const log: DecisionEntry[] = []
          const named = machines.map((each, at) => ({ ...each, name: `m${at}`, resident: true }))
          const cachedTokens = ({ name }: { name: string }) => (name === 'm1' ? 40 : 0)
          const note = (entry: DecisionEntry) => void log.push(readBack(entry))
          const scene = new Scene(named, { cachedTokens }, note)
          for (let each = 0; each < 14; each++) scene.come({ priority: 'batch' })
          for (let round = 0; round < 5; round++) scene.walk()
          for (const { name } of named) scene.says(name, pieces)
          scene.nowMs += 3_000
          for (const priority of people) scene.come({ priority })
          log.length = 0
          let asked = 0
          const { dispatcher, line, nowMs } = scene
          dispatcher.giveWay(line, nowMs, {
            isOwed: ({ name }) => name.endsWith('7'),
            mayGive: () => answers[asked++ % answers.length]!,
          })
          for (const entry of log) {
            expect(asText(decidedAgain(entry))).toBe(asText(entry.actions))
            expect(entry.actions.length).toBeGreaterThan(0)
            given += entry.actions.length
            // Had it had nothing to go on with, it would have kept its seat.
            const workers = Object.entries(entry.givings!.workers).map(
              ([name, there]) => [name, there.map((each) => ({ ...each, gives: false }))] as const,
            )
            const silent = { ...entry.givings!, workers: Object.fromEntries(workers) }
            expect(decidedAgain({ ...entry, givings: silent })).toEqual([])
          }
        },
      ),
      { numRuns: 150 },
    )
    expect(given).toBeGreaterThan(50)
  })

  it('shows where another policy would have sent a newcomer, and one who waited', () => {
    const log: DecisionEntry[] = []
    const note = (entry: DecisionEntry) => void log.push(readBack(entry))
    const machines = [known({ name: 'slow', tokenS: 0.3 }), known({ name: 'fast', tokenS: 0.01 })]
    const scene = new Scene(machines, {}, note)
    expect(scene.arrive()).toBe('@fast')
    scene.come()
    expect(scene.walk()).toBe('1@fast')
    const differ = (change: (entry: DecisionEntry) => DecisionEntry) =>
      log.filter((entry) => asText(decidedAgain(change(entry))) !== asText(entry.actions))
    expect(differ((entry) => entry)).toEqual([])
    // By turns, as if nobody knew how fast machines are.
    const byTurns = differ(({ settings, ...entry }) => ({
      ...entry,
      settings: { ...settings, picker: 'round-robin' },
    }))
    expect(byTurns.map(({ alone }) => alone)).toEqual([true, false])
  })

  it('says of a newcomer that found nothing free, or nobody, what it was given', () => {
    const log: DecisionEntry[] = []
    const note = (entry: DecisionEntry) => void log.push(readBack(entry))
    const scene = new Scene([known({ name: 'a', tokenS: 0.01, seats: 1 })], {}, note)
    const stories = [scene.arrive(), scene.arrive(), scene.arrive({ need: needOf({ model: 'x' }) })]
    expect(stories).toEqual(['@a', '', '!'])
    expect(log.map(({ actions }) => actions.map(({ kind }) => kind))).toEqual([
      ['start'],
      [],
      ['nobody'],
    ])
    for (const entry of log) expect(asText(decidedAgain(entry))).toBe(asText(entry.actions))
  })

  it('leaves no seat free and unpromised that somebody who waits could use, and gives none twice', () => {
    fc.assert(
      fc.property(
        fc.array(machineAny, { minLength: 1, maxLength: 5 }),
        fc.array(guestAny, { minLength: 1, maxLength: 20 }),
        (machines, guests) => {
          const warm = machines.map((each, at) => ({ ...each, name: `m${at}`, resident: true }))
          const scene = new Scene(warm)
          for (const guest of guests) scene.come(guest)
          for (let round = 0; round < 5; round++) scene.walk()
          for (const { name, seats, seatToTry } of warm) {
            expect(scene.used(name)).toBeLessThanOrEqual(seats + (seatToTry ? 5 : 0))
          }
          // Who waits beside a free seat does so on purpose: it was promised another one.
          const open = warm.some(({ name, seats }) => scene.used(name) < seats)
          if (!open) return
          for (const waiter of scene.line.waiters()) expect(waiter.promised).toBeDefined()
        },
      ),
      { numRuns: 100 },
    )
  })
})
