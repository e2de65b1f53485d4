import { isFree } from './cost.ts'
import type { Field, Place } from './field.ts'
import type { Crowds, Snapshot, Waiting } from './plan.ts'

/** A usual prompt is read within this: from there the first word comes soon. */
const soonS = 1
/** Of so many such seats one is kept free: of fewer it would be too large a share of the work. */
const seatsForEach = 4
const keptMost = 2

/**
 * The last free seats from which a first word comes soon: batch work leaves them to those who wait for an answer, while
 * such have come in the last minute. A slow seat that stays free is of no use to them.
 */
export function keptFor(
  snapshot: Snapshot,
  { priority, need }: Waiting,
  field: Field,
): readonly Place[] {
  if (priority !== 'batch' || !snapshot.holdsSeatFor(need.model)) return nothing
  const open: Place[] = []
  let seats = 0
  let free = 0
  for (const place of field.places) {
    if (!place.warm || field.usualPrompt * place.rates.prefillS > soonS) continue
    seats += place.model?.seatsLimit ?? 0
    if (!isFree(place)) continue
    free += place.free
    open.push(place)
  }
  return free <= Math.min(keptMost, Math.floor(seats / seatsForEach)) ? open : nothing
}

/**
 * A seat beyond the known ones may not exist, and whoever tries it may wait unseen: a person leaves that to batch work,
 * while there is some.
 */
export function leavesTries({ priority, need }: Waiting, line: Crowds): boolean {
  return priority === 'interactive' && line.batchOf(need.model) > 0
}

const nothing: readonly Place[] = []
