import { expect, it } from 'vitest'
import { Crew } from '../../../src/split/embed/crew.ts'
import type { Member } from '../../../src/split/embed/plan.ts'
import { Speeds } from '../../../src/split/speeds.ts'
import { evenWeights, memberOf } from './batch-help.ts'
import { digest } from './help.ts'

const items = { from: 0, to: 10 }
const crewOf = (members: readonly Member[], speeds = new Speeds()) =>
  new Crew(members, evenWeights(20), digest, speeds)
const names = (members: readonly Member[]) => members.map(({ machine }) => machine.name)

it('a member is as fast as it was planned with, until a part has shown how fast it is', () => {
  const a = memberOf('a', { weightPerMs: 10, isGuess: true })
  const crew = crewOf([a])
  expect([crew.isGuess(a), crew.speedOf(a), crew.timeMs(a, items)]).toEqual([true, 10, 102])
  crew.answered(a, items, 50)
  expect([crew.isGuess(a), crew.speedOf(a), crew.timeMs(a, items)]).toEqual([false, 20, 52])
})

it('the first part at a machine that has to load the model tells nothing of its speed', () => {
  const speeds = new Speeds()
  const a = memberOf('a', { isGuess: true }, { resident: false })
  const crew = crewOf([a], speeds)
  crew.answered(a, items, 5_000)
  expect([speeds.unitsPerMs('a', digest), crew.isGuess(a)]).toEqual([undefined, false])
  crew.answered(a, items, 50)
  expect(speeds.unitsPerMs('a', digest)).toBe(20)
})

it('the fastest is given parts first, and who failed one waits a second behind all others', () => {
  const [a, b] = [memberOf('a', { weightPerMs: 1 }), memberOf('b', { weightPerMs: 2 })]
  const crew = crewOf([a, b])
  expect(names(crew.willing([a, b], 0))).toEqual(['b', 'a'])
  crew.failed('b', 0)
  crew.failed('nobody', 0)
  expect(names(crew.willing([a, b], 999))).toEqual(['a'])
  expect(names(crew.willing([b], 999))).toEqual(['b'])
  expect(names(crew.willing([a, b], 1_000))).toEqual(['b', 'a'])
})

it('who answers is trusted again at once', () => {
  const [a, b] = [memberOf('a'), memberOf('b')]
  const crew = crewOf([a, b])
  crew.failed('a', 0)
  crew.answered(a, items, 1_000)
  expect(names(crew.willing([a, b], 1))).toEqual(['a', 'b'])
})
