import { seededDice } from '../../../src/core/dice.ts'
import type { Machine } from '../engine/machine.ts'
import { World } from '../engine/world.ts'
import type { Figures } from '../measure.ts'
import { catalogue } from '../policies/catalogue.ts'
import type { Stage } from '../scenarios/stage.ts'
import { figuresAt, type Loads } from './outcomes.ts'

/** Timers of a real run are that late, in milliseconds of the study. */
const movedMs = 50

/**
 * What the model says: of the trace as it is, and of the same with all arrivals moved by up to a twentieth of a second.
 * How far those lie apart is what chance alone does.
 */
export function foretold(
  stage: Stage,
  policy: string,
  seed: number,
  { plays, overMs }: { readonly plays: number; readonly overMs: number },
): readonly Figures[] {
  return Array.from({ length: plays }, (_, turn) => {
    if (turn === 0) return played(stage, policy, seed, overMs)
    const dice = seededDice(9_000 + turn)
    const moved = stage.trace.map((request) => {
      return { ...request, atMs: request.atMs + movedMs * dice.roll() }
    })
    const trace = moved.sort((one, other) => one.atMs - other.atMs)
    return played({ ...stage, trace }, policy, seed + turn, overMs)
  })
}

/** As it was at the moment at which the real run was over at the latest. */
function played(stage: Stage, policy: string, seed: number, overMs: number): Figures {
  let loads: Loads[] | undefined
  const look = {
    atMs: overMs,
    befall(machines: readonly Machine[]) {
      loads = machines.map(loadsNow)
    },
  }
  const incidents = [...stage.incidents, look]
  const world = new World({ ...stage, incidents, dice: seededDice(seed + 77) })
  world.play(catalogue[policy]!.make(stage)[0]!)
  // Over before that moment: nothing is played any more.
  loads ??= world.machines.map(loadsNow)
  return figuresAt(Math.min(overMs, world.nowMs), stage, world.outcomes, loads)
}

function loadsNow({ loads, loadMs }: Machine): Loads {
  return { loads, loadMs }
}
