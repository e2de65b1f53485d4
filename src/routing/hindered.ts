import { isFree, isTryable } from './cost.ts'
import { keptFor, leavesTries } from './holdback.ts'
import type { Crowds, Snapshot, Waiting } from './plan.ts'
import { pressureOf } from './pressure.ts'

/**
 * Why a request does not begin at a place that could serve it: no seat is free, the model is not in memory and its load
 * is put off, the last free seats are kept for those who wait for an answer, or it came back a moment ago.
 */
export type Hindrance = 'busy' | 'noLoad' | 'kept' | 'held'

export interface Hindered {
  readonly backend: string
  readonly reason: Hindrance
}

/** Of a request that begins nowhere and is promised no seat: what stands in its way at each place. */
export function hinderedAt(snapshot: Snapshot, waiting: Waiting, line: Crowds): Hindered[] {
  const field = snapshot.fieldOf(waiting)
  const pressure = pressureOf(snapshot, waiting, field, line)
  const kept = keptFor(snapshot, waiting, field)
  const leaves = leavesTries(waiting, line)
  return field.places.map((place, at) => {
    const noLoad = !place.warm && !snapshot.mayLoad(waiting, field, at, pressure)
    const isOpen = isFree(place) || (isTryable(place) && !leaves)
    const open = kept.includes(place) ? 'kept' : 'held'
    return { backend: place.endpoint.name, reason: noLoad ? 'noLoad' : isOpen ? open : 'busy' }
  })
}
