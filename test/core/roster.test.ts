import { describe, expect, it } from 'vitest'
import { seededDice } from '../../src/core/dice.ts'
import { Roster } from '../../src/core/roster.ts'

const one = (name: string) => ({ name, place: -1 })

describe('a roster', () => {
  it('holds who is there, once, and forgets who goes', () => {
    const roster = new Roster<ReturnType<typeof one>>()
    const [a, b, c] = [one('a'), one('b'), one('c')]
    for (const each of [a, b, c, b]) roster.add(each)
    expect(roster.size).toBe(3)
    roster.delete(a)
    roster.delete(a)
    expect([...roster].map(({ name }) => name).sort()).toEqual(['b', 'c'])
    expect(a.place).toBe(-1)
    roster.add(a)
    expect(roster.size).toBe(3)
  })

  it('shows those who were there when one began to look', () => {
    const roster = new Roster<ReturnType<typeof one>>()
    for (const name of ['a', 'b', 'c']) roster.add(one(name))
    const seen: string[] = []
    for (const each of roster) {
      seen.push(each.name)
      roster.delete(each)
    }
    expect(seen).toEqual(['a', 'b', 'c'])
    expect(roster.size).toBe(0)
  })

  it('agrees with a Set over any coming and going', () => {
    const dice = seededDice(3)
    const all = Array.from({ length: 40 }, (_, index) => one(String(index)))
    const roster = new Roster<ReturnType<typeof one>>()
    const set = new Set<ReturnType<typeof one>>()
    for (let step = 0; step < 5_000; step++) {
      const each = all[Math.floor(dice.roll() * all.length)]!
      if (dice.roll() < 0.5) {
        roster.add(each)
        set.add(each)
      } else {
        roster.delete(each)
        set.delete(each)
      }
      expect(roster.size).toBe(set.size)
    }
    expect(new Set(roster)).toEqual(set)
  })
})
