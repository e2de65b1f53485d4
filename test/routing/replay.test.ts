import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decide } from '../../src/routing/decide.ts'
import { actionEntry, type DecisionEntry, replayed } from '../../src/routing/replay.ts'
import { Scene } from './scene.ts'

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

/** What a log in a file says when it is made again. */
function actionsAgain(text: string) {
  const { snapshot, line } = replayed(JSON.parse(text) as DecisionEntry)
  const waiting = [...line.inOrder(snapshot.nowMs)]
  return decide(snapshot, line).map((action) => actionEntry(action, waiting))
}

describe('a log of decisions', () => {
  it('gives the same decisions when it is read again', () => {
    let decisions = 0
    let actions = 0
    fc.assert(
      fc.property(
        fc.array(machineAny, { minLength: 1, maxLength: 5 }),
        fc.array(fc.array(guestAny, { maxLength: 12 }), { minLength: 1, maxLength: 4 }),
        (machines, rounds) => {
          const log: string[] = []
          const named = machines.map((machine, at) => ({ ...machine, name: `m${at}` }))
          const cachedTokens = ({ name }: { name: string }) => (name === 'm1' ? 40 : 0)
          const note = (entry: DecisionEntry) => void log.push(JSON.stringify(entry))
          const scene = new Scene(named, { cachedTokens }, note)
          for (const guests of rounds) {
            for (const guest of guests) scene.come(guest)
            scene.walk()
            scene.nowMs += 7_000
          }
          for (const text of log) {
            const before = (JSON.parse(text) as DecisionEntry).actions
            expect(actionsAgain(text)).toEqual(JSON.parse(JSON.stringify(before)))
            decisions++
            actions += before.length
          }
        },
      ),
      { numRuns: 150 },
    )
    expect(decisions).toBeGreaterThan(100)
    expect(actions).toBeGreaterThan(100)
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
