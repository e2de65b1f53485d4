/**
 * The simulator against what real servers of both generations answered when they were calibrated. Where it differs on
 * purpose the reason stands in known-differences.ts. `npm run calibrate` makes the comparison with a server at hand.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { differences, judge, table } from './compare.ts'
import { type Generation, knownDifferences } from './known-differences.ts'
import { PHASES, type Recording, runPhase } from './scenarios.ts'
import { startSimulated } from './simulated.ts'

function recorded(generation: Generation): Recording {
  const file = new URL(`./recorded/${generation}.json`, import.meta.url)
  return JSON.parse(readFileSync(file, 'utf8')) as Recording
}

// Mostly they wait for loads and timers: side by side they take no longer than the longest.
describe.concurrent.each(['old', 'new'] as const)(
  'the simulator as the %s generation',
  (generation) => {
    test.concurrent.each(PHASES)(
      'answers like the recorded server: $name',
      { timeout: 120_000 },
      async (phase) => {
        const all = recorded(generation)
        const steps = phase.steps.filter((step) => step.id in all)
        const real = Object.fromEntries(steps.map((step) => [step.id, all[step.id]!]))
        const simulator = await startSimulated(generation, phase.settings)
        try {
          const simulated = await runPhase(phase, simulator, (step) => step.id in all)
          const judged = judge(differences(real, simulated), knownDifferences, generation)
          expect(judged.unexplained, table(judged.unexplained)).toEqual([])
        } finally {
          await simulator.stop()
        }
      },
    )
  },
)
