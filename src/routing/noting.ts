import {
  actionEntry,
  type DecisionEntry,
  type FieldEntry,
  type GivingAsked,
  givingEntries,
  type MachineEntry,
  type PlaceEntry,
  type WaitingEntry,
} from './decision-entry.ts'
import type { Field, Machine, Place } from './field.ts'
import type { Giving, Worker } from './give-way.ts'
import type { Action, Crowds, LineView, Snapshot, Waiting } from './plan.ts'
import { pressureOf } from './pressure.ts'

/** Machines by their number in the entry. */
type Noted = Map<Machine, { at: number; entry: MachineEntry }>

/**
 * Notes a decision about the line while it is made. The entry is complete when `done` has been called with what came of
 * it; everything was taken down before the plan changed it.
 */
export function recording<W extends Waiting>(
  inner: Snapshot,
  line: LineView<W>,
): {
  snapshot: Snapshot
  line: LineView<W>
  done: (actions: readonly Action<W>[]) => DecisionEntry
} {
  const notes = new Notes<W>(inner, line)
  function* inOrder(nowMs: number, passed: ReadonlySet<string>): Generator<W, void> {
    for (const waiting of line.inOrder(nowMs, passed)) {
      notes.add(waiting)
      yield waiting
    }
  }
  return {
    snapshot: notes.snapshot,
    line: {
      size: line.size,
      keys: line.keys,
      oneOfEach: line.oneOfEach.bind(line),
      inOrder,
      countOf: line.countOf.bind(line),
      batchOf: line.batchOf.bind(line),
      waitedMsOf: line.waitedMsOf.bind(line),
    },
    done: (actions) => notes.entry(actions, { alone: false, keys: line.keys }),
  }
}

/** The same for one who has just come and stands in no line; `done` with nothing: it was given nothing. */
export function recordingOne<W extends Waiting>(
  inner: Snapshot,
  waiting: W,
  line: Crowds,
): { snapshot: Snapshot; done: (action: Action<W> | undefined) => DecisionEntry } {
  const notes = new Notes<W>(inner, line)
  notes.add(waiting)
  return {
    snapshot: notes.snapshot,
    done: (action) => notes.entry(action ? [action] : [], { alone: true, keys: 1 }),
  }
}

/** The same for seats that are given to people; `done` without an entry: nobody gave any. */
export function recordingGivings<W extends Waiting, R extends Worker>(
  inner: Snapshot,
  innerLine: LineView<W>,
  innerGiving: Giving<W, R>,
): {
  snapshot: Snapshot
  line: LineView<W>
  giving: Giving<W, R>
  done: () => DecisionEntry | undefined
} {
  const noted = recording(inner, innerLine)
  const seen: W[] = []
  const workers: Record<string, Worker[]> = {}
  const places = new Map<R, Pick<GivingAsked, 'endpoint' | 'worker'>>()
  const owed: number[] = []
  const asked: GivingAsked[] = []
  const line: LineView<W> = {
    ...noted.line,
    *inOrder(nowMs, passed) {
      for (const waiting of noted.line.inOrder(nowMs, passed)) {
        seen.push(waiting)
        yield waiting
      }
    },
  }
  const giving: Giving<W, R> = {
    workersAt(endpoint) {
      const there = innerGiving.workersAt(endpoint)
      workers[endpoint] ??= there.map((each, worker) => {
        places.set(each, { endpoint, worker })
        const { weights, secondsLeft, gives, tokens } = each
        return { weights, secondsLeft, gives, tokens }
      })
      return there
    },
    isOwed(waiting) {
      const isOwed = innerGiving.isOwed(waiting)
      if (isOwed) owed.push(seen.indexOf(waiting))
      return isOwed
    },
    mayGive(worker, waiting, why) {
      const gave = innerGiving.mayGive(worker, waiting, why)
      asked.push({ waiting: seen.indexOf(waiting), ...places.get(worker)!, gave })
      return gave
    },
  }
  return {
    ...{ snapshot: noted.snapshot, line, giving },
    done() {
      const actions = givingEntries(asked)
      if (actions.length === 0) return undefined
      return { ...noted.done([]), actions, givings: { workers, owed, asked } }
    },
  }
}

/** What is taken down of one decision. */
class Notes<W extends Waiting> {
  /** The same world, of which every field that is looked at is noted. */
  readonly snapshot: Snapshot
  readonly #inner: Snapshot
  readonly #line: Crowds
  readonly #machines: Noted = new Map()
  readonly #fields: Record<string, FieldEntry> = {}
  readonly #models: Record<string, DecisionEntry['models'][string]> = {}
  readonly #seen: W[] = []
  readonly #waiting: WaitingEntry[] = []

  constructor(inner: Snapshot, line: Crowds) {
    this.#inner = inner
    this.#line = line
    this.snapshot = Object.create(inner, {
      fieldOf: { value: this.#fieldOf.bind(this) },
      // Methods of a class with private parts must be called on itself.
      ...bound(inner, [
        'barsOf',
        'isServable',
        'mayBegin',
        'seatTaken',
        'holdsSeatFor',
        'cachedTokens',
        'mayLoad',
        'priceS',
      ]),
    })
  }

  add(waiting: W): void {
    const inner = this.#inner
    const line = this.#line
    const field = this.#fieldOf(waiting)
    this.#seen.push(waiting)
    this.#waiting.push(waitingEntry(waiting, field, inner, line))
    const { model } = waiting.need
    this.#models[model] ??= {
      mayBegin: inner.mayBegin(model),
      holdsSeat: inner.holdsSeatFor(model),
      count: line.countOf(model),
      batch: line.batchOf(model),
      waitedMs: line.waitedMsOf(model, inner.nowMs),
    }
  }

  entry(
    actions: readonly Action<W>[],
    { alone, keys }: Pick<DecisionEntry, 'alone' | 'keys'>,
  ): DecisionEntry {
    const { nowMs, settings, prices, explaining } = this.#inner
    return {
      ...{ nowMs, settings, prices, alone, keys },
      ...(explaining && { explaining }),
      machines: [...this.#machines.values()].map(({ entry }) => entry),
      fields: this.#fields,
      models: this.#models,
      waiting: this.#waiting,
      actions: actions.map((action) => actionEntry(action, this.#seen)),
    }
  }

  #fieldOf(waiting: Waiting): Field {
    const field = this.#inner.fieldOf(waiting)
    this.#fields[waiting.key] ??= fieldEntry(field, this.#inner, waiting, this.#machines)
    return field
  }
}

function bound(inner: Snapshot, names: readonly (keyof Snapshot)[]): PropertyDescriptorMap {
  const methods: PropertyDescriptorMap = {}
  for (const name of names) {
    const method = inner[name]
    if (typeof method === 'function') methods[name] = { value: method.bind(inner) }
  }
  return methods
}

function fieldEntry(
  field: Field,
  snapshot: Snapshot,
  waiting: Waiting,
  machines: Noted,
): FieldEntry {
  const { places, openings: _openings, barred: _barred, ...rest } = field
  const bars = places.length === 0 ? [...snapshot.barsOf(waiting)] : []
  return { ...rest, bars, places: places.map((place) => placeEntry(place, machines)) }
}

function placeEntry(place: Place, machines: Noted): PlaceEntry {
  const { machine, model, weights, free, tryable, warm, warmInS, evicts, evictionS, held } = place
  let known = machines.get(machine)
  if (!known) {
    const { name, streams, foreignS, loadingS, room, turn } = machine
    const { weight, inFlight } = machine.endpoint
    const numbers = { name, streams, foreignS, loadingS, room, turn, weight, inFlight }
    known = { at: machines.size, entry: numbers }
    machines.set(machine, known)
  }
  return {
    ...{ machine: known.at, weights, free, tryable, warm, warmInS, evicts, evictionS, held },
    rates: { ...place.rates },
    ends: place.ends.noted(),
    model: model && {
      resident: model.resident,
      seatsUsed: model.seatsUsed,
      seatsLimit: model.seatsLimit,
      heldBack: model.heldBack,
    },
  }
}

function waitingEntry(
  waiting: Waiting,
  field: Field,
  snapshot: Snapshot,
  line: Crowds,
): WaitingEntry {
  const { key, priority, sinceMs, deadlineMs, promised } = waiting
  const { not: _not, prompt: _prompt, ...need } = waiting.need
  const { lengths: _lengths, ...work } = waiting.work
  const pressure = pressureOf(snapshot, waiting, field, line)
  const each = <T>(of: (at: number) => T) => field.places.map((_place, at) => of(at))
  return {
    ...{ key, need, work, priority, sinceMs, deadlineMs, promised },
    cached: each((at) => (snapshot.hasCaches ? snapshot.cachedTokens(waiting, field, at) : 0)),
    priceS: each((at) => (snapshot.hasPrices ? snapshot.priceS(waiting, field, at) : 0)),
    mayLoad: each((at) => snapshot.mayLoad(waiting, field, at, pressure)),
  }
}
