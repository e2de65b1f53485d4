import { byCosts } from './by-costs.ts'
import { isFree, isTryable } from './cost.ts'
import type { Field, Place } from './field.ts'
import { leavesTries } from './holdback.ts'
import { pick } from './pickers.ts'
import type { Action, Crowds, LineView, Snapshot, Waiting } from './plan.ts'
import { pressureOf } from './pressure.ts'
import { begin } from './settle.ts'
import { type Table, tablePlacesMax } from './table.ts'
import { unhurried } from './unhurried.ts'

/** Of those who want a model only so many are planned for; what comes behind them is too far off to know. */
const depth = 16
/** And so many in all: the bound of one decision's work. */
const depthInAll = 256

/**
 * Who is served where, now. The line is walked in its order with a plan in hand, a line of time for each seat: each
 * waiter gets the place where it costs least. If a seat is free there it begins; otherwise the seat that comes free
 * first is promised to it, so that whoever stands behind may well begin on a slower seat that stands idle.
 *
 * Pure, but for the plan in the snapshot and the turns that pickers note. Who calls it takes the leases in the same
 * breath, so that choosing and counting stay one act.
 */
export function decide<W extends Waiting>(snapshot: Snapshot, line: LineView<W>): Action<W>[] {
  const actions: Action<W>[] = []
  const stuck = new Set<string>()
  passOver(stuck, snapshot, line)
  const planned = new Map<string, number>()
  let inAll = 0
  for (const waiting of inOrder(line, snapshot.nowMs, stuck)) {
    const { key, need } = waiting
    if (need.seat && !snapshot.mayBegin(need.model)) {
      stuck.add(key)
      // Whether anybody can at all is not a question of seats.
      if (!snapshot.isServable(waiting))
        actions.push({ kind: 'nobody', waiting, bars: snapshot.barsOf(waiting) })
      continue
    }
    const action = decideFor(snapshot, waiting, line)
    if (action === undefined) {
      // What it leaves to batch work stands behind it, with the same key.
      if (!leavesTries(waiting, line)) stuck.add(key)
      else if (++inAll >= depthInAll) break
    } else actions.push(action)
    if (action?.kind === 'start' && need.seat) {
      snapshot.seatTaken(need.model)
      if (!snapshot.mayBegin(need.model)) passOver(stuck, snapshot, line)
    }
    if (action?.kind !== 'promise') continue
    const before = planned.get(need.model) ?? 0
    planned.set(need.model, before + 1)
    // Another kind of need for the same model may still find what those before it could not use.
    if (before + 1 >= depth) stuck.add(key)
    if (++inAll >= depthInAll) break
  }
  return actions
}

/** Until every kind of need in line has found nothing: the rest need not be looked at. */
function* inOrder<W extends Waiting>(
  line: LineView<W>,
  nowMs: number,
  stuck: ReadonlySet<string>,
): Generator<W, void> {
  if (stuck.size >= line.keys) return
  for (const waiting of line.inOrder(nowMs, stuck)) {
    if (!stuck.has(waiting.key)) yield waiting
    if (stuck.size >= line.keys) return
  }
}

/**
 * Whoever wants a model that has no seat free is passed over from the first on: to walk a long line only to find that
 * of each of them would cost more than all the rest. Whom nobody can serve at all is still told.
 */
function passOver<W extends Waiting>(
  stuck: Set<string>,
  snapshot: Snapshot,
  line: LineView<W>,
): void {
  for (const waiting of line.oneOfEach()) {
    const { key, need } = waiting
    if (need.seat && !stuck.has(key) && !snapshot.mayBegin(need.model))
      if (snapshot.isServable(waiting)) stuck.add(key)
  }
}

/** The same for one alone; undefined: no seat is free, and none is promised to it. */
export function decideFor<W extends Waiting>(
  snapshot: Snapshot,
  waiting: W,
  line: Crowds,
): Action<W> | undefined {
  const field = snapshot.fieldOf(waiting)
  if (field.places.length === 0) return { kind: 'nobody', waiting, bars: snapshot.barsOf(waiting) }
  const byCost =
    snapshot.settings.picker === 'expected-completion' &&
    waiting.need.seat &&
    field.distrust === undefined
  return byCost ? byCosts(snapshot, waiting, field, line) : byRank(snapshot, waiting, field, line)
}

/** The other pickers, and what takes no seat: whoever is first in rank among those with a seat free now. */
function byRank<W extends Waiting>(
  snapshot: Snapshot,
  waiting: W,
  field: Field,
  line: Crowds,
): Action<W> | undefined {
  const { need } = waiting
  const { settings, turns } = snapshot
  const pressure = pressureOf(snapshot, waiting, field, line)
  const begins = (place: Place, at: number) =>
    isFree(place) && (place.warm || snapshot.mayLoad(waiting, field, at, pressure))
  const free = need.seat ? unhurried(field.places.filter(begins)) : field.places
  const now = pick(free, need, turns, settings)
  const tryable = leavesTries(waiting, line) ? [] : field.places.filter(isTryable)
  const chosen = now ?? pick(tryable, need, turns, settings)
  if (!chosen) return undefined
  if (need.seat) begin(snapshot, chosen, undefined)
  const table: Table = {
    model: need.model,
    atMs: snapshot.nowMs,
    by: settings.picker === 'expected-completion' ? 'least-busy' : settings.picker,
    tie: undefined,
    because: field.distrust ?? (need.seat ? undefined : 'it takes no seat'),
    endpoints: field.places.slice(0, tablePlacesMax).map(nameOf),
    terms: noTerms,
    winner: chosen.endpoint.name,
    asTry: now === undefined,
    placesInAll: field.places.length,
  }
  return {
    kind: 'start',
    waiting,
    endpoint: chosen.endpoint.name,
    asTry: now === undefined,
    place: chosen,
    cachedTokens: 0,
    isCold: !chosen.warm,
    table,
    barred: field.barred,
  }
}

const noTerms: readonly number[] = Object.freeze([])
const nameOf = (place: Place) => place.endpoint.name
