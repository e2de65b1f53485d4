import { seededDice } from '../../../src/core/dice.ts'
import type { ModelSpec } from '../engine/specs.ts'
import { poissonGaps } from '../traffic/arrivals.ts'
import { conversation } from '../traffic/lengths.ts'
import { plainTrace, withModels } from '../traffic/trace.ts'
import { b1 } from './b1.ts'
import { capacityOf, loadsOf, mixedFleet, type Scenario, sampleOf, sum } from './stage.ts'

const models: readonly ModelSpec[] = [
  { name: 'chat-8b', speed: 1, loadSeconds: 8 },
  { name: 'code-14b', speed: 0.6, loadSeconds: 12 },
  { name: 'small-3b', speed: 1.8, loadSeconds: 5 },
  { name: 'chat-20b', speed: 0.5, loadSeconds: 16 },
  { name: 'vision-8b', speed: 0.9, loadSeconds: 9 },
  { name: 'judge-4b', speed: 1.5, loadSeconds: 6 },
]
const flipMs = 300_000

export const b3: Scenario = {
  word: 'B3',
  title:
    'six models, memory for two on each machine, popularity by Zipf that flips every five minutes',
  variants: loadsOf([0.3, 0.5, 0.65, 0.8, 0.85], 0.65),
  policies: [
    'least',
    'maxconn',
    'maxconn-weighted',
    'warm',
    'olla',
    'litellm-busy',
    'herd',
    'clairvoyant',
  ],
  ablations: [
    ...['ours-told', 'ours-evict0', 'ours-evict1', 'ours-price0', 'ours-noresidency'],
    ...['ours-swap2', 'ours-swap20', 'ours-weight4'],
  ],
  inShort: ['maxconn', 'herd', 'ours'],
  columns: [
    { title: 'p99 s', figure: 'p99', digits: 1 },
    { title: 'loads /1000', figure: 'loadsPer1000', digits: 1 },
    { title: 'loading %', figure: 'loadShare', digits: 1, percent: true },
    ...b1.columns.filter(({ figure }) => figure !== 'p99'),
  ],
  stage: ({ variant, seed, requests }) => {
    const sample = withModels(sampleOf(conversation), models.length, Infinity, seededDice(7))
    const perSecond = capacityOf(mixedFleet, models, sample)
    const rate = variant.load * sum(perSecond)
    const plain = plainTrace(
      ...[requests, rate, poissonGaps(seededDice(seed)), () => conversation],
      seededDice(seed + 1_000),
    )
    return {
      ...{ machines: mixedFleet, models, perSecond, foreign: [], incidents: [] },
      trace: withModels(plain, models.length, flipMs, seededDice(seed + 2_000)),
      preloaded: mixedFleet.map(() => []),
    }
  },
}
