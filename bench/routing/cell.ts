import { seededDice } from '../../src/core/dice.ts'
import { World } from './engine/world.ts'
import { type Figures, measured } from './measure.ts'
import { catalogue } from './policies/catalogue.ts'
import { scenarios } from './scenarios/scenarios.ts'
import type { Ordered } from './scenarios/stage.ts'

/** One run: a policy in a variant of a scenario with a seed. */
export interface Cell extends Ordered {
  readonly scenario: string
  readonly policy: string
}

export interface Played {
  readonly scenario: string
  readonly variant: string
  readonly policy: string
  readonly seed: number
  readonly figures: Figures
  readonly events: number
  readonly wallMs: number
}

/** Plays it; where a policy has several manners, the one with the best decisive figure counts. */
export function playCell(cell: Cell): Played {
  const scenario = scenarios.find(({ word }) => word === cell.scenario)!
  const stage = scenario.stage(cell)
  const decisive = scenario.columns[0]!
  const startMs = performance.now()
  let best: Figures | undefined
  let events = 0
  for (const maker of catalogue[cell.policy]!.make(stage)) {
    const world = new World({ ...stage, dice: seededDice(cell.seed + 77) })
    const policy = world.play(maker)
    events += world.agenda.done
    const figures = {
      ...measured(world, stage, policy.decisionsNs ?? []),
      ...policy.more?.(),
      ...stage.more?.(world, policy),
    }
    const isBetter =
      best === undefined ||
      (decisive.better === 'higher'
        ? figures[decisive.figure]! > best[decisive.figure]!
        : figures[decisive.figure]! < best[decisive.figure]!)
    if (isBetter) best = figures
  }
  return {
    ...{ scenario: cell.scenario, variant: cell.variant.word, policy: cell.policy },
    ...{ seed: cell.seed, figures: best!, events, wallMs: performance.now() - startMs },
  }
}
