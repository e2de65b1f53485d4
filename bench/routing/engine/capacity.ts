import { seededDice } from '../../../src/core/dice.ts'
import type { MachineSpec, ModelSpec, Request } from './specs.ts'
import type { Visit } from './visit.ts'
import { World } from './world.ts'

const sampleSize = 600

/**
 * Requests a second that a machine finishes when every slot is always taken, measured in the same engine: what a load
 * of 1 means. The models in turn are those of the sample, as if all of them were in memory.
 */
export function perSecondOf(
  spec: MachineSpec,
  models: readonly ModelSpec[],
  sample: readonly Request[],
): number {
  const trace = sample.slice(0, sampleSize).map((request) => ({ ...request, atMs: 0 }))
  const roomy = { ...spec, modelsMax: models.length }
  const world = new World({
    ...{ machines: [roomy], models, trace, foreign: [], incidents: [] },
    ...{ preloaded: [models.map((_, index) => index)], dice: seededDice(1) },
  })
  world.play((view) => {
    // One slot less one more often would be another mix than the trace's: a line in front of the slots of all models.
    const line: Request[] = []
    let open = 0
    const next = () => {
      while (open < spec.slots && line.length > 0) {
        open++
        view.send(line.shift()!, 0)
      }
    }
    return {
      arrived(request: Request) {
        line.push(request)
        next()
      },
      ended(_visit: Visit) {
        open--
        next()
      },
      failed() {},
    }
  })
  // A slow machine does not get through all of them before the world ends: what it finished is enough.
  const ends = world.outcomes.flatMap(({ isGood, endMs }) => (isGood ? [endMs] : []))
  return (1_000 * ends.length) / Math.max(...ends)
}
