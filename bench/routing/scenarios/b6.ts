import { seededDice } from '../../../src/core/dice.ts'
import type { Machine } from '../engine/machine.ts'
import type { Incident } from '../engine/world.ts'
import { poissonGaps } from '../traffic/arrivals.ts'
import { conversation } from '../traffic/lengths.ts'
import { plainTrace } from '../traffic/trace.ts'
import { b1 } from './b1.ts'
import { capacityOf, mixedFleet, oneModel, type Scenario, sampleOf, sum } from './stage.ts'

/** The second fastest: not all depends on it, but it is missed. */
const victim = 1
const lastsMs = 120_000

/** What begins and what ends, by word. */
const faults: Readonly<Record<string, readonly [(m: Machine) => void, (m: Machine) => void]>> = {
  kill: [
    (machine) => machine.kill(),
    (machine) => {
      machine.revive()
      machine.preload(0)
    },
  ],
  frozen: [(machine) => machine.freeze(), (machine) => machine.thaw()],
  failing: [(machine) => machine.failAll(true), (machine) => machine.failAll(false)],
  slow: [(machine) => machine.slowDown(4), (machine) => machine.slowDown(1)],
}

export const b6: Scenario = {
  word: 'B6',
  title:
    'one of six machines is killed, frozen, fails at once, or is four times slower, for two minutes, three times',
  variants: Object.keys(faults).map((word) => ({
    word,
    load: 0.6,
    kind: word,
    isDecisive: word === 'kill',
  })),
  policies: ['ewma', 'least', 'maxconn', 'olla', 'litellm-busy', 'herd'],
  ablations: [],
  inShort: ['maxconn', 'ours'],
  columns: [
    { title: 'errors %', figure: 'errors', digits: 2, percent: true },
    { title: 'visits each', figure: 'visitsEach', digits: 3 },
    ...b1.columns,
  ],
  stage: ({ variant, seed, requests }) => {
    const perSecond = capacityOf(mixedFleet, oneModel, sampleOf(conversation))
    const rate = variant.load * sum(perSecond)
    const trace = plainTrace(
      ...[requests, rate, poissonGaps(seededDice(seed)), () => conversation],
      seededDice(seed + 1_000),
    )
    const [begin, end] = faults[variant.kind]!
    const spanMs = trace.at(-1)!.atMs
    const incidents: Incident[] = [0.25, 0.5, 0.75].flatMap((share) => [
      { atMs: share * spanMs, befall: (machines) => begin(machines[victim]!) },
      { atMs: share * spanMs + lastsMs, befall: (machines) => end(machines[victim]!) },
    ])
    return {
      ...{ machines: mixedFleet, models: oneModel, trace, perSecond, foreign: [], incidents },
      preloaded: mixedFleet.map(() => [0]),
    }
  },
}
