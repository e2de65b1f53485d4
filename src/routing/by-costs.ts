import { type Circumstances, costOf, errorOf, isFree, isTryable, savedTokens } from './cost.ts'
import type { Field, Openings } from './field.ts'
import { keptFor, leavesTries } from './holdback.ts'
import type { Action, Crowds, Snapshot, Waiting } from './plan.ts'
import { pressureOf } from './pressure.ts'
import { placesMax } from './scratch.ts'
import { settle } from './settle.ts'
import type { Tie } from './table.ts'

/** Two machines are equal where what they differ by is less than so many standard errors. */
const errorsOfChance = 2

/** Where it costs least; undefined: no seat is free that it could use, and none is promised to it. */
export function byCosts<W extends Waiting>(
  snapshot: Snapshot,
  waiting: W,
  field: Field,
  line: Crowds,
): Action<W> | undefined {
  const { places } = field
  const { prices, scratch } = snapshot
  const { model } = waiting.need
  const openings = openingsOf(field, scratch.begun)
  if (openings.open.length === 0 && !snapshot.explaining) return undefined
  const congests = openings.idleWarm && !field.loadingSomewhere && field.perSecond > 0
  const circumstances: Circumstances = {
    waiting,
    field,
    congestionS: congests ? (prices.congestion * line.countOf(model)) / field.perSecond : 0,
    pressure: pressureOf(snapshot, waiting, field, line),
    idleWarm: openings.idleWarm,
  }

  let best = -1
  let bestCost = Number.POSITIVE_INFINITY
  let limit = Number.POSITIVE_INFINITY
  const count = Math.min(places.length, placesMax)
  const { costs } = scratch
  const kept = keptFor(snapshot, waiting, field)
  const leaves = leavesTries(waiting, line)
  const someStepBack = kept.length > 0 || field.someHeld || leaves
  for (let at = 0; at < count; at++) {
    const place = places[at]!
    // Who came back a moment ago, and has enough for now, steps behind those that could begin as soon. Seats that may not
    // exist are for others.
    const stepsBack =
      someStepBack &&
      (kept.includes(place) ||
        (leaves && !isFree(place) && isTryable(place)) ||
        (place.held && (place.warm ? openings.warmUnheld : openings.unheld)))
    const cost = stepsBack ? Number.POSITIVE_INFINITY : costOf(circumstances, at, snapshot, limit)
    costs[at] = cost
    if (cost >= bestCost) continue
    best = at
    bestCost = cost
    const moment = Math.min(prices.tieS, cost * prices.tieMomentShare)
    limit = cost + Math.max(cost * prices.tieShare, moment)
  }
  if (best < 0) return undefined
  const cheapest = best
  best = amongEquals(snapshot, waiting, field, cheapest, limit, count)
  const tie = tieOf(snapshot, waiting, field, best, cheapest)
  return settle(snapshot, circumstances, waiting, best, tie)
}

/** Which seats are open, as the plan stands. */
function openingsOf(field: Field, begun: number): Openings {
  const { openings } = field
  if (openings.at === begun) return openings
  openings.at = begun
  openings.open.length = 0
  openings.idleWarm = false
  openings.unheld = false
  openings.warmUnheld = false
  const { places } = field
  for (let at = 0; at < places.length; at++) {
    const place = places[at]!
    const free = isFree(place)
    if (!free && !isTryable(place)) continue
    openings.open.push(at)
    if (!free) continue
    if (place.warm) openings.idleWarm = true
    if (place.held) continue
    openings.unheld = true
    if (place.warm) openings.warmUnheld = true
  }
  return openings
}

/** Among costs that are as good as equal: who can begin, then whose cache holds more, then who was not picked longest. */
function amongEquals(
  snapshot: Snapshot,
  waiting: Waiting,
  field: Field,
  first: number,
  limit: number,
  count: number,
): number {
  const { costs } = snapshot.scratch
  let best = first
  let bestStarts = field.places[first]!.startsNow
  let bestCached = -1
  const cheapest = field.places[first]!
  const isIdle = cheapest.machine.streams === 0
  for (let at = 0; at < count; at++) {
    if (at === first) continue
    const place = field.places[at]!
    if (costs[at]! > limit) {
      if (!isIdle || place.machine.streams > 0) continue
      if (!isByChance(snapshot, waiting, field, first, at)) continue
    }
    if (place.startsNow !== bestStarts) {
      if (!place.startsNow) continue
    } else {
      if (bestCached < 0) bestCached = savedTokens(snapshot, waiting, field, best)
      const cached = savedTokens(snapshot, waiting, field, at)
      if (cached < bestCached) continue
      if (cached === bestCached && place.machine.turn >= field.places[best]!.machine.turn) continue
    }
    best = at
    bestStarts = place.startsNow
    bestCached = -1
  }
  return best
}

/** What spoke for this place rather than the cheapest one, in the order of `amongEquals`; undefined: it costs no more. */
function tieOf(
  snapshot: Snapshot,
  waiting: Waiting,
  field: Field,
  at: number,
  cheapest: number,
): Tie | undefined {
  const { costs } = snapshot.scratch
  if (at === cheapest || costs[at] === costs[cheapest]) return undefined
  if (field.places[at]!.startsNow !== field.places[cheapest]!.startsNow) return 'begins'
  const cached = savedTokens(snapshot, waiting, field, at)
  return cached > savedTokens(snapshot, waiting, field, cheapest) ? 'cache' : 'turn'
}

/**
 * Whether two machines on which nothing runs differ by no more than measuring does. Else the one that a few slow
 * moments made look slow would not be asked again for long, and its twin would carry every quiet hour.
 */
function isByChance(
  { scratch, prices }: Snapshot,
  waiting: Waiting,
  { places }: Field,
  cheaper: number,
  dearer: number,
): boolean {
  const cost = scratch.costs[cheaper]!
  const beyond = scratch.costs[dearer]! - cost
  if (beyond <= cost * prices.tieShareIdle) return true
  const error = Math.hypot(errorOf(waiting, places[cheaper]!), errorOf(waiting, places[dearer]!))
  return beyond <= errorsOfChance * error
}
