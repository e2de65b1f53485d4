import type { Field, Place, Pressure } from './field.ts'
import type { Snapshot, Waiting } from './plan.ts'
import type { Prices } from './prices.ts'

/** What holds for one waiter at all of its places. */
export interface Circumstances {
  readonly waiting: Waiting
  readonly field: Field
  /** Seconds of work that waits for this model, divided by all who work on it. */
  readonly congestionS: number
  readonly pressure: Pressure
  /** The model is in memory somewhere with a seat free now. */
  readonly idleWarm: boolean
}

/** So much of a wait behind others may as well be a machine that stood still for a moment. */
const foreignErrorMax = 0.1

/** Whether a place has a seat for somebody who begins now. */
export function isFree(place: Place): boolean {
  return place.free > 0 && place.machine.room > 0
}

/** Whether a seat more than the known ones may be tried there; beside a load it would tell nothing. */
export function isTryable(place: Place): boolean {
  return place.tryable && place.warm && place.machine.room > 0
}

/**
 * What is the same for every waiter at a place, worked out once and anew when the plan changes something there: the
 * line is walked with thousands of pairs, and each then costs a few multiplications.
 */
export function quote(place: Place, prices: Prices): void {
  const { machine, rates } = place
  const now = isFree(place)
  const tried = !now && isTryable(place)
  const seatS = now ? 0 : place.ends.firstS * (tried ? prices.tryDoubt : 1)
  // A seat that comes free is taken over from somebody: there are no more streams than now.
  const beside = now || tried ? machine.streams : Math.max(0, machine.streams - 1)
  place.quotedAt = machine.changes
  place.startsNow = now || tried
  place.waitS = seatS + machine.foreignS
  place.loadS = place.warm
    ? 0
    : place.warmInS !== undefined
      ? Math.max(0, place.warmInS - seatS)
      : machine.loadingS + rates.loadS
  place.readS = rates.prefillS * (1 + rates.prefillSlope * beside)
  place.writeS = rates.decodeS * (1 + rates.decodeSlope * beside)
  place.pushingS = isCold(place) && place.evicts ? prices.eviction * place.evictionS : 0
}

/** Not in memory there, and not on its way either. */
export function isCold(place: Place): boolean {
  return !place.warm && place.warmInS === undefined
}

/**
 * The cost in seconds of giving a request to a place: the time until it is done, and what that costs others. Infinity
 * where it is not to be thought of.
 *
 *     wait + load + (prompt - cached) * prefill(n) + answer * decode(n)
 *     + eviction * (what the fleet loses) + congestion - cache * (what is not read) + rules
 *
 * `n` counts the streams that run there with it. `enough`: what costs more need not be known exactly.
 */
export function costOf(
  circumstances: Circumstances,
  at: number,
  snapshot: Snapshot,
  enough: number,
): number {
  const { waiting, field, pressure } = circumstances
  const place = field.places[at]!
  if (place.quotedAt !== place.machine.changes) quote(place, snapshot.prices)
  if (isCold(place) && !snapshot.mayLoad(waiting, field, at, pressure))
    return Number.POSITIVE_INFINITY
  const { promptTokens, outTokens } = waiting.work
  const readS = promptTokens * place.readS
  let cost =
    place.waitS +
    place.pushingS +
    congestionOf(circumstances, place) +
    place.loadS +
    readS +
    outTokens * place.writeS
  if (snapshot.hasPrices) cost += snapshot.priceS(waiting, field, at)
  // Who holds the prompt is only asked where that could make a difference.
  const worth = 1 + snapshot.prices.cache
  if (snapshot.hasCaches && cost - worth * readS < enough)
    cost -= worth * savedTokens(snapshot, waiting, field, at) * place.readS
  return cost
}

/** The terms of that cost, in the order of `termNames`, written from there on. */
export function writeTerms(
  terms: number[],
  from: number,
  circumstances: Circumstances,
  at: number,
  snapshot: Snapshot,
): void {
  const { waiting, field } = circumstances
  const place = field.places[at]!
  const { promptTokens, outTokens } = waiting.work
  const savedS = savedTokens(snapshot, waiting, field, at) * place.readS
  const prefillS = promptTokens * place.readS - savedS
  const decodeS = outTokens * place.writeS
  terms[from] = place.waitS
  terms[from + 1] = place.loadS
  terms[from + 2] = prefillS
  terms[from + 3] = decodeS
  terms[from + 4] = place.pushingS
  terms[from + 5] = congestionOf(circumstances, place)
  terms[from + 6] = -snapshot.prices.cache * savedS
  terms[from + 7] = snapshot.hasPrices ? snapshot.priceS(waiting, field, at) : 0
}

/** Tokens of the prompt that need not be read there. */
export function savedTokens(
  snapshot: Snapshot,
  waiting: Waiting,
  field: Field,
  at: number,
): number {
  if (!snapshot.hasCaches) return 0
  return Math.min(waiting.work.promptTokens, snapshot.cachedTokens(waiting, field, at))
}

/** Standard error of what a place is thought to cost: from how few samples, and how far apart, its speeds are known. */
export function errorOf({ work }: Waiting, { machine, rates, readS, writeS }: Place): number {
  const readError = work.promptTokens * readS * rates.prefillError
  const writeError = work.outTokens * writeS * rates.decodeError
  const foreignError = Math.min(machine.foreignS, foreignErrorMax)
  return Math.hypot(readError, writeError, foreignError)
}

/** Seconds on the seat, from the moment when it is taken. */
export function seatSecondsOf(
  snapshot: Snapshot,
  waiting: Waiting,
  field: Field,
  at: number,
): number {
  const { loadS, readS, writeS } = field.places[at]!
  const { promptTokens, outTokens } = waiting.work
  const read = promptTokens - savedTokens(snapshot, waiting, field, at)
  return loadS + read * readS + outTokens * writeS
}

/** Only on waiting for a busy seat of a loaded model while another stands idle. */
function congestionOf({ idleWarm, congestionS }: Circumstances, place: Place): number {
  return idleWarm && place.warm && !place.startsNow ? congestionS : 0
}
