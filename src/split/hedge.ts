/** A part that a backend has on a seat. */
export interface Straggler {
  readonly backend: string
  readonly onSeatForMs: number
  /** What it should take there; undefined: nobody knows. */
  readonly expectedMs: number | undefined
}

/** A free seat elsewhere. */
export interface FreeSeat {
  readonly backend: string
  /** What the part should take there; undefined: nobody knows. */
  readonly expectedMs: number | undefined
}

/** Beyond this multiple of what it should take, a part is late whatever one believed. */
const lateFactor = 1.5
/** To be worth doing twice, it must be expected sooner by this share of what it takes elsewhere … */
const gainShare = 0.25
/** … and by this much at least: below it the measuring is no better. */
const gainMsMin = 20

/**
 * The seat at which a part that is under way should be begun a second time, when no part is left to begin: where it is
 * expected to be done sooner than where it is. A slow machine that took one of the last parts is found out like that as
 * well as one that has stopped.
 */
export function seatForHedge(part: Straggler, free: readonly FreeSeat[]): FreeSeat | undefined {
  const late =
    part.expectedMs !== undefined && part.onSeatForMs > lateFactor * part.expectedMs + gainMsMin
  const remainingMs =
    part.expectedMs === undefined || late
      ? undefined
      : Math.max(0, part.expectedMs - part.onSeatForMs)
  let best: FreeSeat | undefined
  for (const seat of free) {
    if (seat.backend === part.backend || seat.expectedMs === undefined) continue
    if (best?.expectedMs === undefined || seat.expectedMs < best.expectedMs) best = seat
  }
  if (late) return best ?? free.find(({ backend }) => backend !== part.backend)
  if (best?.expectedMs === undefined) return undefined
  // Nothing is known of where it is: it is late when it could have been done elsewhere.
  if (remainingMs === undefined) return part.onSeatForMs > best.expectedMs ? best : undefined
  const gainMs = remainingMs - best.expectedMs
  return gainMs > Math.max(gainMsMin, gainShare * best.expectedMs) ? best : undefined
}
