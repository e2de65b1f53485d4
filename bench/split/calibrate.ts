import { median } from '../lib/stats.ts'
import type { Machine, Served } from './machine.ts'

/** What part number `index` is: some two hundred characters, no two alike, as one item of an input. */
export function partText(index: number): string {
  return `Part ${index} of the road: ${'a stone, a bridge, a knot in the rope; '.repeat(5)}and so on.`
}

/**
 * What one part takes at this machine, alone: by the machine's own trace from the slot to the last byte, median of
 * several. The way there and back and every pause in between is not in it, so it counts against whoever schedules.
 */
export async function measuredPartMs(
  machine: Machine,
  samples: number,
  partBody: (index: number) => unknown,
): Promise<number> {
  // The first meets code that is not compiled yet.
  for (let index = 0; index <= samples; index++)
    await machine.caller.ask('/api/generate', partBody(1_000_000 + index))
  return median(partsTook(await machine.served('/api/generate')).slice(-samples))
}

/** So many show what a machine's part takes in a round. */
const samplesMin = 5

/**
 * The faster of what was measured alone and what the machine showed in the round itself: on a machine that others use
 * as well the two differ, and a bound that can be beaten is none.
 */
export function bestPartMs(aloneMs: number, inRound: readonly Served[]): number {
  const took = partsTook(inRound)
  return took.length < samplesMin ? aloneMs : Math.min(aloneMs, median(took))
}

function partsTook(served: readonly Served[]): number[] {
  return served
    .filter(({ isLoad, isGood }) => isGood && !isLoad)
    .flatMap(({ fromMs, toMs }) => (toMs === undefined ? [] : [toMs - fromMs]))
}
