import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import type { RoutingSettings } from '../core/settings.ts'
import type { Rates } from './costs/rates.ts'
import { Ends, type NotedEnds } from './ends.ts'
import { type Field, type Machine, noOpenings, type Place } from './field.ts'
import type { Bar } from './filters.ts'
import type { Need } from './need.ts'
import type { TurnsTaken } from './pickers.ts'
import type { Action, LineView, Snapshot, Waiting } from './plan.ts'
import { pressureOf } from './pressure.ts'
import type { Prices } from './prices.ts'
import { Scratch } from './scratch.ts'

/** One decision as it stands in a log: all that it was made of, as plain data, and what came of it. */
export interface DecisionEntry {
  readonly nowMs: number
  readonly settings: RoutingSettings
  readonly prices: Prices
  readonly keys: number
  readonly machines: readonly MachineEntry[]
  readonly fields: Readonly<Record<string, FieldEntry>>
  readonly models: Readonly<Record<string, ModelEntry>>
  readonly waiting: readonly WaitingEntry[]
  readonly actions: readonly ActionEntry[]
}

type MachineEntry = Omit<Machine, 'endpoint' | 'changes' | 'begun'> &
  Pick<EndpointView, 'weight' | 'inFlight'>

interface PlaceEntry {
  readonly machine: number
  readonly weights: string
  readonly free: number
  readonly tryable: boolean
  readonly warm: boolean
  readonly warmInS: number | undefined
  readonly evicts: boolean
  readonly evictionS: number
  readonly held: boolean
  readonly rates: Rates
  readonly ends: NotedEnds
  readonly model: Pick<ModelView, 'resident' | 'seatsUsed' | 'seatsLimit' | 'heldBack'> | undefined
}

type FieldEntry = Omit<Field, 'places' | 'openings' | 'barred'> & {
  readonly places: readonly PlaceEntry[]
  readonly bars: readonly (readonly [string, Bar])[]
}

interface ModelEntry {
  readonly mayBegin: boolean
  readonly holdsSeat: boolean
  readonly count: number
  readonly waitedMs: number
}

interface WaitingEntry {
  readonly key: string
  readonly need: Omit<Need, 'not' | 'prompt'>
  readonly work: Omit<Waiting['work'], 'lengths'>
  readonly priority: string
  readonly sinceMs: number
  readonly deadlineMs: number | undefined
  readonly promised: string | undefined
  /** By place: tokens in its cache, the price of rules, whether the model may be loaded there. */
  readonly cached: readonly number[]
  readonly priceS: readonly number[]
  readonly mayLoad: readonly boolean[]
}

/** What was done with the waiter of that number. */
export interface ActionEntry {
  readonly waiting: number
  readonly kind: 'start' | 'promise' | 'nobody'
  readonly endpoint: string | undefined
  readonly asTry: boolean
}

/**
 * Notes a decision while it is made. The entry is complete when `done` has been called with what came of it; everything
 * was taken down before the plan changed it.
 */
export function recording<W extends Waiting>(
  inner: Snapshot,
  line: LineView<W>,
): {
  snapshot: Snapshot
  line: LineView<W>
  done: (actions: readonly Action<W>[]) => DecisionEntry
} {
  const machines = new Map<Machine, { at: number; entry: MachineEntry }>()
  const fields: Record<string, FieldEntry> = {}
  const models: Record<string, ModelEntry> = {}
  const seen: W[] = []
  const entries: WaitingEntry[] = []
  const noteField = (waiting: Waiting): Field => {
    const field = inner.fieldOf(waiting)
    fields[waiting.key] ??= fieldEntry(field, inner, waiting, machines)
    return field
  }
  const noteWaiting = (waiting: W) => {
    const field = noteField(waiting)
    seen.push(waiting)
    entries.push(waitingEntry(waiting, field, inner, line))
    const { model } = waiting.need
    models[model] ??= {
      mayBegin: inner.mayBegin(model),
      holdsSeat: inner.holdsSeatFor(model),
      count: line.countOf(model),
      waitedMs: line.waitedMsOf(model, inner.nowMs),
    }
  }
  function* inOrder(nowMs: number): Generator<W, void> {
    for (const waiting of line.inOrder(nowMs)) {
      noteWaiting(waiting)
      yield waiting
    }
  }
  const snapshot: Snapshot = Object.create(inner, {
    fieldOf: { value: noteField },
    // Methods of a class with private parts must be called on itself.
    ...bound(inner, [
      'barsOf',
      'isServable',
      'mayBegin',
      'holdsSeatFor',
      'cachedTokens',
      'mayLoad',
      'priceS',
    ]),
  })
  return {
    snapshot,
    line: {
      size: line.size,
      keys: line.keys,
      inOrder,
      countOf: line.countOf.bind(line),
      waitedMsOf: line.waitedMsOf.bind(line),
    },
    done: (actions) => ({
      nowMs: inner.nowMs,
      settings: inner.settings,
      prices: inner.prices,
      keys: line.keys,
      machines: [...machines.values()].map(({ entry }) => entry),
      fields,
      models,
      waiting: entries,
      actions: actions.map((action) => actionEntry(action, seen)),
    }),
  }
}

/** A logged decision as something that can be decided once more. */
export function replayed(entry: DecisionEntry): { snapshot: Snapshot; line: LineView<Waiting> } {
  const machines = entry.machines.map(machineOf)
  const fields = new Map<string, Field>()
  // Needs that use the same seats share a place, and with it what the plan has done there.
  const places = new Map<string, Place>()
  const seated = new Set(entry.waiting.filter(({ need }) => need.seat).map(({ key }) => key))
  for (const [key, field] of Object.entries(entry.fields))
    fields.set(key, fieldOf(field, machines, { places, seats: seated.has(key) }))
  const waiting: Waiting[] = entry.waiting.map(waitingOf)
  const of = (each: Waiting) => entry.waiting[waiting.indexOf(each)]!
  return {
    snapshot: {
      nowMs: entry.nowMs,
      settings: entry.settings,
      prices: entry.prices,
      explaining: false,
      scratch: new Scratch(),
      hasCaches: true,
      hasPrices: true,
      turns: new NotedTurns(machines),
      fieldOf: ({ key }) => fields.get(key)!,
      isServable: ({ key }) => fields.get(key)!.places.length > 0,
      barsOf: ({ key }) => new Map(entry.fields[key]!.bars),
      mayBegin: (model) => entry.models[model]!.mayBegin,
      holdsSeatFor: (model) => entry.models[model]!.holdsSeat,
      cachedTokens: (each, _field, at) => of(each).cached[at]!,
      priceS: (each, _field, at) => of(each).priceS[at]!,
      mayLoad: (each, _field, at) => of(each).mayLoad[at]!,
    },
    line: {
      size: waiting.length,
      keys: entry.keys,
      inOrder: () => waiting,
      countOf: (model) => entry.models[model]!.count,
      waitedMsOf: (model) => entry.models[model]!.waitedMs,
    },
  }
}

/** What was done, in the form of the log, so that two logs can be compared. */
export function actionEntry<W extends Waiting>(
  action: Action<W>,
  waiting: readonly W[],
): ActionEntry {
  return {
    waiting: waiting.indexOf(action.waiting),
    kind: action.kind,
    endpoint: action.kind === 'nobody' ? undefined : action.endpoint,
    asTry: action.kind === 'start' && action.asTry,
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
  machines: Map<Machine, { at: number; entry: MachineEntry }>,
): FieldEntry {
  const { places, openings: _openings, barred: _barred, ...rest } = field
  const bars = places.length === 0 ? [...snapshot.barsOf(waiting)] : []
  return { ...rest, bars, places: places.map((place) => placeEntry(place, machines)) }
}

function placeEntry(
  place: Place,
  machines: Map<Machine, { at: number; entry: MachineEntry }>,
): PlaceEntry {
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

function waitingEntry<W extends Waiting>(
  waiting: W,
  field: Field,
  snapshot: Snapshot,
  line: LineView<W>,
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

function machineOf({ weight, inFlight, ...numbers }: MachineEntry): Machine {
  // JSON knows no infinity.
  const room = numbers.room ?? Number.POSITIVE_INFINITY
  const endpoint: EndpointView = {
    ...{ name: numbers.name, weight, inFlight, labels: [], enabled: true, ready: true },
    ...{ admitting: true, contextDefault: 0, room, model: none },
  }
  return { ...numbers, endpoint, room, changes: 0, begun: 0 }
}

function fieldOf(
  { places, bars: _bars, ...rest }: FieldEntry,
  machines: readonly Machine[],
  shared: { readonly places: Map<string, Place>; readonly seats: boolean },
): Field {
  const placeFor = (entry: PlaceEntry) => {
    const key = `${entry.machine} ${shared.seats} ${entry.weights}`
    const place = shared.places.get(key) ?? placeOf(entry, machines[entry.machine]!)
    shared.places.set(key, place)
    return place
  }
  return { ...rest, barred: [], openings: noOpenings(), places: places.map(placeFor) }
}

function placeOf(entry: PlaceEntry, machine: Machine): Place {
  const { ends: noted, machine: _number, model, ...rest } = entry
  const ends = new Ends()
  ends.fillFrom(noted)
  return {
    ...rest,
    ...{ machine, endpoint: machine.endpoint, ends, begun: 0, begunThere: 0 },
    model: model && {
      ...{ ...model, digest: undefined, capabilities: undefined, contextLoaded: undefined },
      ...{ admitting: true, seatFree: rest.free > 0, seatToTry: rest.tryable },
      ...{ sizeBytes: undefined, evicts: rest.evicts },
    },
    ...{ quotedAt: -1, startsNow: false, waitS: 0, loadS: 0, readS: 0, writeS: 0, pushingS: 0 },
  }
}

function waitingOf({ need, work, ...entry }: WaitingEntry): Waiting {
  const { key, priority, sinceMs, deadlineMs, promised } = entry
  return {
    ...{ key, priority, sinceMs, deadlineMs, promised },
    need: { ...need, not: new Set() },
    work: { ...work, lengths: undefined },
  }
}

/** Turns as they stood; goes on like the real ones (`Turns`). */
class NotedTurns implements TurnsTaken {
  readonly #endsAt: Map<EndpointView, number>
  #now: number

  constructor(machines: readonly Machine[]) {
    this.#endsAt = new Map(machines.map(({ endpoint, turn }) => [endpoint, turn]))
    this.#now = Math.min(...this.#endsAt.values())
  }

  nextOf(endpoint: EndpointView): number {
    return Math.max(this.#now, this.#endsAt.get(endpoint) ?? 0)
  }

  took(endpoint: EndpointView, share: number): void {
    this.#now = this.nextOf(endpoint)
    this.#endsAt.set(endpoint, this.#now + 1 / share)
  }
}

function none(): undefined {
  return undefined
}
