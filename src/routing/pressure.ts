import { isCold, isFree } from './cost.ts'
import { decodeSAt, prefillSAt } from './costs/rates.ts'
import type { Field, Place, Pressure } from './field.ts'
import type { Crowds, Snapshot, Waiting } from './plan.ts'

/** How much a load is wanted for this waiter. */
export function pressureOf(
  { nowMs }: Pick<Snapshot, 'nowMs'>,
  waiting: Waiting,
  field: Field,
  line: Crowds,
): Pressure {
  const { need, sinceMs, deadlineMs } = waiting
  return {
    waitedS: line.waitedMsOf(need.model, nowMs) / 1_000,
    longestS: (nowMs - sinceMs) / 1_000,
    warm: field.warmSomewhere || field.loadingSomewhere,
    urgent: deadlineMs !== undefined && needsLoad(waiting, field, (deadlineMs - nowMs) / 1_000),
  }
}

/** It would be late at every place where its model is, or comes, and in time behind a load. */
function needsLoad(waiting: Waiting, { places }: Field, leftS: number): boolean {
  let loadHelps = false
  for (const place of places) {
    if (doneInS(waiting, place) > leftS) continue
    if (!isCold(place)) return false
    loadHelps = true
  }
  return loadHelps
}

/** Seconds until it would be done there. */
function doneInS({ work }: Waiting, place: Place): number {
  const { machine, rates, ends } = place
  const isHere = !isCold(place)
  const seatS = isHere && !isFree(place) ? ends.firstS : 0
  const streams = machine.streams + 1
  return (
    seatS +
    rates.loadS +
    work.promptTokens * prefillSAt(rates, streams) +
    work.outTokens * decodeSAt(rates, streams)
  )
}
