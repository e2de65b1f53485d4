import type { Pressure } from '../field.ts'

/** What is known of one place where the model would have to be loaded. */
export interface ColdPlace {
  readonly loadS: number
  /** Seconds that the fleet loses with those who have to leave; 0 where nobody has to. */
  readonly evictionS: number
  readonly evicts: boolean
  /** It is there with another runner, and nobody else could serve it: once that one is idle nobody is protected by waiting. */
  readonly alone: boolean
  /** Nothing runs there. */
  readonly idle: boolean
  /** Somebody who has to leave came too short a time ago. */
  readonly tooYoung: boolean
  /** How many times its price a swap must be worth: more than 1 where too many were made lately. */
  readonly dearness: number
  /** The fleet has loaded too much lately. */
  readonly braked: boolean
}

/** Nobody waits longer than this for a model that is nowhere in memory. */
const longestSMax = 30

/**
 * Rent or buy: waiting is rented, a load is bought. It is bought when those who wait have paid its price already; then
 * no order of requests makes it cost more than twice what it had to (ski rental). All who have gathered by then are
 * served in one residency.
 */
export function isWorthLoading(place: ColdPlace, pressure: Pressure): boolean {
  const { loadS, evictionS, evicts, idle, tooYoung, dearness, braked } = place
  const { waitedS, longestS, warm, urgent } = pressure
  if (warm) {
    if (braked) return false
    if (!evicts) return true
    return !tooYoung && (urgent || waitedS >= dearness * (loadS + evictionS))
  }
  if (!evicts) return true
  const isLate = urgent || longestS >= longestSMax
  const isPaid = waitedS >= loadS + evictionS
  // An idle machine that lets somebody wait for nothing helps nobody: what is young there is let go as soon as it is paid.
  if (tooYoung && !isLate) return idle && isPaid
  return idle || isLate || isPaid
}
