import { seededDice } from '../../../src/core/dice.ts'
import type { Request } from '../engine/specs.ts'
import type { Incident, World } from '../engine/world.ts'
import { poissonGaps } from '../traffic/arrivals.ts'
import { conversation, stretched } from '../traffic/lengths.ts'
import { plainTrace } from '../traffic/trace.ts'
import { b1 } from './b1.ts'
import { capacityOf, fastest, mixedFleet, oneModel, type Scenario, sampleOf, sum } from './stage.ts'

const windowMs = 300_000
/** What a policy believed is made wrong one way after another, each for two windows, with one window of peace after it. */
const phases = [
  'cold',
  'foreign',
  'peace',
  'thermal',
  'peace',
  'slots',
  'peace',
  'lengths',
  'peace',
]
const phaseMs = 2 * windowMs

export const b7: Scenario = {
  word: 'B7',
  title:
    'wrong beliefs, ten minutes each with ten of peace between: others’ traffic on two machines, the fastest 4 times slower, NUM_PARALLEL changed, answers 5 times as long',
  variants: [{ word: '0.55', load: 0.55, kind: '', isDecisive: true }],
  policies: [
    'ewma',
    'least',
    'least-weighted',
    'maxconn',
    'litellm-latency',
    'herd',
    'clairvoyant',
  ],
  ablations: ['ours-told', 'ours-frozen', 'ours-busy'],
  inShort: ['least', 'ours'],
  columns: [
    ...phases.flatMap((phase, index) =>
      [0, 1].map((half) => ({
        ...{ title: `${phase} ${half + 1}`, figure: `w${2 * index + half}`, digits: 1 },
      })),
    ),
    ...b1.columns,
  ],
  stage: ({ variant, seed }) => {
    const perSecond = capacityOf(mixedFleet, oneModel, sampleOf(conversation))
    const rate = variant.load * sum(perSecond)
    const spanMs = phases.length * phaseMs
    const long = stretched(conversation, 5)
    const from = (phase: string) => phases.indexOf(phase) * phaseMs
    const isLong = (atMs: number) => atMs >= from('lengths') && atMs < from('lengths') + phaseMs
    const dice = seededDice(seed + 1_000)
    const gaps = poissonGaps(seededDice(seed))
    // Five times the tokens at a third of the rate is about the load that it was before.
    let atMs = 0
    const slower = () => {
      const gap = gaps() * (isLong(atMs) ? 3.5 : 1)
      atMs += (gap / rate) * 1_000
      return gap
    }
    const lengthsAt = (at: number) => (isLong(at) ? long : conversation)
    const count = Math.ceil((spanMs / 1_000) * rate * 1.2)
    const trace = plainTrace(count, rate, slower, lengthsAt, dice).filter((r) => r.atMs < spanMs)
    return {
      ...{ machines: mixedFleet, models: oneModel, trace, perSecond },
      foreign: foreignOf(perSecond, from('foreign'), seed),
      incidents: incidentsFrom(from('thermal'), from('slots')),
      preloaded: mixedFleet.map(() => [0]),
      more: (world) => windowsOf(world),
    }
  },
}

/** Others fill half of two machines. */
function foreignOf(perSecond: readonly number[], fromMs: number, seed: number) {
  return [1, 4].flatMap((machine) => {
    const rate = 0.5 * perSecond[machine]!
    const count = Math.floor((phaseMs / 1_000) * rate)
    const dice = seededDice(seed + 3_000 + machine)
    return plainTrace(count, rate, poissonGaps(dice), () => conversation, dice).map((request) => ({
      request: { ...request, atMs: request.atMs + fromMs, chain: [-1 - request.id] } as Request,
      machine,
    }))
  })
}

function incidentsFrom(thermalMs: number, slotsMs: number): Incident[] {
  return [
    { atMs: thermalMs, befall: (machines) => machines[fastest]!.slowDown(4) },
    { atMs: thermalMs + phaseMs, befall: (machines) => machines[fastest]!.slowDown(1) },
    {
      atMs: slotsMs,
      befall(machines) {
        machines[1]!.setSlots(1)
        machines[0]!.setSlots(4)
      },
    },
    {
      atMs: slotsMs + phaseMs,
      befall(machines) {
        machines[1]!.setSlots(4)
        machines[0]!.setSlots(2)
      },
    },
  ]
}

/** Mean end-to-end seconds of the requests that came in each window of five minutes. */
function windowsOf(world: World): Record<string, number> {
  const sums: number[] = []
  const counts: number[] = []
  for (const { request, endMs, isGood } of world.outcomes) {
    const window = Math.floor(request.atMs / windowMs)
    const end = isGood ? endMs : world.nowMs
    sums[window] = (sums[window] ?? 0) + (end - request.atMs) / 1_000
    counts[window] = (counts[window] ?? 0) + 1
  }
  return Object.fromEntries(sums.map((total, window) => [`w${window}`, total / counts[window]!]))
}
