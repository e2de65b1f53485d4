import { tablePlacesMax, termCount } from './table.ts'

/** Places of one need that are looked at; no fleet that is looked at whole has more. */
export const placesMax = 1_024

/** Room for the costs of one waiter at all its places: made once, since decisions are made with every request. */
export class Scratch {
  /** Seats that plans have begun, ever: what was worked out before is old when it has changed. */
  begun = 0
  readonly costs = new Float64Array(placesMax)
  /** A table is written here and copied: one that grows while it is written leaves thrice its size behind. */
  readonly terms: number[] = Array.from({ length: tablePlacesMax * termCount }, () => 0.5)
}
