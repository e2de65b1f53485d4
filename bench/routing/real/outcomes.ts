import type { TraceEntry } from '../../../backends/simulator/trace.ts'
import { seededDice } from '../../../src/core/dice.ts'
import { type Outcome, World } from '../engine/world.ts'
import { type Figures, measured } from '../measure.ts'
import { type Stage, sum } from '../scenarios/stage.ts'
import type { Seen } from './clients.ts'

/** How much was loaded on a machine. */
export interface Loads {
  readonly loads: number
  readonly loadMs: number
}

/** What a front gave, and what the machines know of it. */
export interface Happened {
  readonly seen: readonly Seen[]
  /** By machine. */
  readonly entries: readonly (readonly TraceEntry[])[]
  /** When it ended, in milliseconds of the study. */
  readonly overMs: number
}

/** Who asked at a machine: what a request of the trace is called there. */
export function idOf(request: { readonly id: number }): string {
  return `t${request.id}`
}

/**
 * The study's figures of what had become of the requests at a moment: they are put into a world in which nothing was
 * played. Whoever was not served by then has waited so long.
 */
export function figuresAt(
  overMs: number,
  stage: Stage,
  outcomes: readonly Outcome[],
  loads: readonly Loads[],
): Figures {
  const world = new World({ ...stage, dice: seededDice(0) })
  world.agenda.at(overMs, () => {})
  world.agenda.playUntil(overMs)
  const { NaN: never } = Number
  for (const outcome of outcomes) {
    const { firstMs, endMs, isGood } = outcome
    const isOver = endMs <= overMs
    world.outcomes.push({
      ...outcome,
      ...{ firstMs: firstMs <= overMs ? firstMs : never, endMs: isOver ? endMs : never },
      isGood: isGood && isOver,
    })
  }
  for (const [index, machine] of world.machines.entries()) Object.assign(machine, loads[index])
  const nobody = { arrived() {}, ended() {}, failed() {} }
  return { ...measured(world, stage, []), ...stage.more?.(world, nobody) }
}

/** What clients saw, with what the machines know of it. */
export function outcomesOf({ seen, entries }: Happened): Outcome[] {
  const visits = visitsById(entries)
  return seen.map(({ request, firstMs, endMs, isGood }) => {
    const there = visits.get(idOf(request)) ?? []
    const last = there.findLast(({ entry }) => entry.cancelReason === undefined)
    if (isGood && !last) throw new Error(`an answer to ${idOf(request)} that no machine gave`)
    return {
      ...{ request, firstMs, endMs, isGood, visits: there.length },
      ...{ machine: last?.machine ?? -1, cachedTokens: last?.entry.cachedTokens ?? 0 },
    }
  })
}

export function loadsOf({ entries }: Happened): Loads[] {
  return entries.map((those) => {
    const begun = those.filter(({ loadStart }) => loadStart !== undefined)
    const loadMs = begun.map(({ loadStart = 0, loadEnd }) => (loadEnd ?? loadStart) - loadStart)
    return { loads: begun.length, loadMs: sum(loadMs) }
  })
}

interface Visited {
  readonly machine: number
  readonly entry: TraceEntry
}

/** In the order in which they came. */
function visitsById(entries: readonly (readonly TraceEntry[])[]): Map<string, Visited[]> {
  const all = entries
    .flatMap((those, machine) => those.map((entry) => ({ machine, entry })))
    .sort((one, other) => one.entry.arrivalWall - other.entry.arrivalWall)
  return Map.groupBy(all, ({ entry }) => whoseIs(entry))
}

/** A front that asks with headers of its own passes on what stands in the body. */
function whoseIs({ headers, bodyText }: TraceEntry): string {
  const header = headers.find(([name]) => name.toLowerCase() === 'x-request-id')
  return header?.[1] ?? /^\{"request_id": ?"([^"]+)"/.exec(bodyText ?? '')?.[1] ?? ''
}
