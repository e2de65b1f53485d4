import { type Circumstances, isFree, savedTokens, seatSecondsOf, writeTerms } from './cost.ts'
import type { Place } from './field.ts'
import type { Action, Snapshot, Waiting } from './plan.ts'
import { type Table, type Tie, tablePlacesMax, termCount } from './table.ts'

/** Takes the place in the plan: begins there, or is promised the seat that comes free first. */
export function settle<W extends Waiting>(
  snapshot: Snapshot,
  circumstances: Circumstances,
  waiting: W,
  at: number,
  tie: Tie | undefined,
): Action<W> | undefined {
  const { field } = circumstances
  const { barred } = field
  const place = field.places[at]!
  const { machine } = place
  const endpoint = place.endpoint.name
  const onSeatS = seatSecondsOf(snapshot, waiting, field, at)
  if (!place.startsNow) {
    const inS = place.ends.firstS
    const table = snapshot.explaining
      ? tableOf(snapshot, circumstances, at, { tie, asTry: false })
      : undefined
    place.ends.moveFirstTo(inS + onSeatS)
    machine.changes++
    return { kind: 'promise', waiting, endpoint, inS, table, barred }
  }
  const asTry = !isFree(place)
  const table = tableOf(snapshot, circumstances, at, { tie, asTry })
  const cachedTokens = savedTokens(snapshot, waiting, field, at)
  const isCold = !place.warm
  if (isCold) field.loadingSomewhere = true
  begin(snapshot, place, place.waitS + onSeatS)
  snapshot.turns.took(place.endpoint, 1)
  machine.turn = snapshot.turns.nextOf(place.endpoint)
  return { kind: 'start', waiting, endpoint, asTry, place, cachedTokens, isCold, table, barred }
}

/** A seat is taken there, in the plan. */
export function begin({ scratch }: Snapshot, place: Place, onSeatS: number | undefined): void {
  const { machine, rates } = place
  if (place.free > 0) place.free--
  else place.tryable = false
  scratch.begun++
  place.begun++
  machine.changes++
  machine.begun++
  machine.room--
  if (onSeatS === undefined) return
  machine.streams++
  place.ends.add(onSeatS)
  if (place.warm || place.warmInS !== undefined) return
  machine.loadingS += rates.loadS
  place.warmInS = machine.loadingS
}

function tableOf(
  snapshot: Snapshot,
  circumstances: Circumstances,
  winner: number,
  { tie, asTry }: Pick<Table, 'tie' | 'asTry'>,
): Table {
  const { waiting, field } = circumstances
  const { places } = field
  const count = Math.min(places.length, tablePlacesMax)
  const { costs, terms } = snapshot.scratch
  const endpoints: string[] = new Array(count)
  for (let row = 0; row < count; row++) {
    // The winner is always among those that are kept.
    const at = row === count - 1 && winner >= count ? winner : row
    endpoints[row] = places[at]!.machine.name
    const from = row * termCount
    if (costs[at] === Number.POSITIVE_INFINITY) terms.fill(Number.NaN, from, from + termCount)
    else writeTerms(terms, from, circumstances, at, snapshot)
  }
  return {
    model: waiting.need.model,
    atMs: snapshot.nowMs,
    by: 'expected-completion',
    because: undefined,
    tie,
    endpoints,
    terms: terms.slice(0, count * termCount),
    winner: places[winner]!.machine.name,
    asTry,
    placesInAll: places.length,
  }
}
