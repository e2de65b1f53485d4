import { type Circumstances, isCold, isFree, savedTokens, seatSecondsOf, termsOf } from './cost.ts'
import type { Place } from './field.ts'
import type { Action, Snapshot, Waiting } from './plan.ts'
import { type Table, termCount } from './table.ts'

/** Places that a table keeps, for those who ask why. */
export const tablePlacesMax = 64

/** Takes the place in the plan: begins there, or is promised the seat that comes free first. */
export function settle<W extends Waiting>(
  snapshot: Snapshot,
  circumstances: Circumstances,
  waiting: W,
  at: number,
): Action<W> | undefined {
  const { field } = circumstances
  const { barred } = field
  const place = field.places[at]!
  const { machine } = place
  const endpoint = place.endpoint.name
  const onSeatS = seatSecondsOf(snapshot, waiting, field, at)
  if (!place.startsNow) {
    const inS = place.ends.firstS
    const table = snapshot.explaining ? tableOf(snapshot, circumstances, at, false) : undefined
    place.ends.moveFirstTo(inS + onSeatS)
    machine.changes++
    return { kind: 'promise', waiting, endpoint, inS, table, barred }
  }
  const asTry = !isFree(place)
  const table = tableOf(snapshot, circumstances, at, asTry)
  const cachedTokens = savedTokens(snapshot, waiting, field, at)
  const load = !isCold(place)
    ? place.warm
      ? 'none'
      : 'joined'
    : machine.loadingS === 0
      ? 'own'
      : 'joined'
  if (load !== 'none') field.loadingSomewhere = true
  begin(snapshot, place, { onSeatS: place.waitS + onSeatS, waiting })
  snapshot.turns.took(place.endpoint, 1)
  machine.turn = snapshot.turns.nextOf(place.endpoint)
  return { kind: 'start', waiting, endpoint, asTry, place, cachedTokens, load, table, barred }
}

/** A seat is taken there, in the plan. */
export function begin(
  { scratch }: Snapshot,
  place: Place,
  cost: { onSeatS: number; waiting: Waiting } | undefined,
): void {
  const { machine, rates } = place
  if (place.free > 0) place.free--
  else place.tryable = false
  scratch.begun++
  place.begun++
  machine.changes++
  machine.begun++
  machine.room--
  if (!cost) return
  machine.streams++
  machine.slowdownS += cost.waiting.work.outTokens * rates.decodeS * rates.decodeSlope
  place.ends.add(cost.onSeatS)
  if (place.warm || place.warmInS !== undefined) return
  machine.loadingS += rates.loadS
  place.warmInS = machine.loadingS
}

function tableOf(
  snapshot: Snapshot,
  circumstances: Circumstances,
  winner: number,
  asTry: boolean,
): Table {
  const { waiting, field } = circumstances
  const { places } = field
  const count = Math.min(places.length, tablePlacesMax)
  const endpoints: string[] = []
  const terms = new Float64Array(count * termCount)
  for (let row = 0; row < count; row++) {
    // The winner is always among those that are kept.
    const at = row === count - 1 && winner >= count ? winner : row
    endpoints.push(places[at]!.endpoint.name)
    if (snapshot.scratch.costs[at] === Number.POSITIVE_INFINITY)
      terms.fill(Number.NaN, row * termCount, (row + 1) * termCount)
    else termsOf(circumstances, at, snapshot, terms, row * termCount)
  }
  return {
    model: waiting.need.model,
    atMs: snapshot.nowMs,
    by: 'expected-completion',
    because: undefined,
    endpoints,
    terms,
    winner: places[winner]!.endpoint.name,
    asTry,
    placesInAll: places.length,
  }
}
