import type { EndpointView } from '../core/endpoint-view.ts'
import { decide, decideFor } from './decide.ts'
import {
  type ActionEntry,
  actionEntry,
  type DecisionEntry,
  type FieldEntry,
  type GivingAsked,
  type GivingsEntry,
  givingEntries,
  type MachineEntry,
  type PlaceEntry,
  type WaitingEntry,
} from './decision-entry.ts'
import { Ends } from './ends.ts'
import { type Field, type Machine, noOpenings, type Place } from './field.ts'
import { giveWay, type Worker } from './give-way.ts'
import type { TurnsTaken } from './pickers.ts'
import type { LineView, Snapshot, Waiting } from './plan.ts'
import { Scratch } from './scratch.ts'

const nobody: ReadonlySet<string> = new Set()

/** Makes a logged decision once more; what is done now is told as the log tells what was done then. */
export function decidedAgain(entry: DecisionEntry): ActionEntry[] {
  const { snapshot, line } = replayed(entry)
  if (entry.givings) return givenAgain(entry.givings, snapshot, line)
  const waiting = [...line.inOrder(snapshot.nowMs, nobody)]
  const [first] = waiting
  const actions = entry.alone
    ? [first && decideFor(snapshot, first, line)].filter((action) => action !== undefined)
    : decide(snapshot, line)
  return actions.map((action) => actionEntry(action, waiting))
}

/** Those at work say what they said then; who was not asked then says yes. */
function givenAgain(
  { workers, owed, asked: noted }: GivingsEntry,
  snapshot: Snapshot,
  line: LineView<Waiting>,
): ActionEntry[] {
  const waiters = [...line.inOrder(snapshot.nowMs, nobody)]
  const asked: GivingAsked[] = []
  const at = new Map<Worker, Pick<GivingAsked, 'endpoint' | 'worker'>>()
  for (const [endpoint, there] of Object.entries(workers))
    for (const [worker, each] of there.entries()) at.set(each, { endpoint, worker })
  giveWay(snapshot, line, {
    workersAt: (endpoint) => workers[endpoint] ?? [],
    isOwed: (waiting) => owed.includes(waiters.indexOf(waiting)),
    mayGive(each, who) {
      const waiting = waiters.indexOf(who)
      const { endpoint, worker } = at.get(each)!
      const then = noted.find(
        (other) =>
          other.waiting === waiting && other.endpoint === endpoint && other.worker === worker,
      )
      const gave = then?.gave ?? true
      asked.push({ waiting, endpoint, worker, gave })
      return gave
    },
  })
  return givingEntries(asked)
}

/** A logged decision as something that can be decided once more. */
function replayed(entry: DecisionEntry): { snapshot: Snapshot; line: LineView<Waiting> } {
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
      explaining: entry.explaining ?? false,
      scratch: new Scratch(),
      hasCaches: true,
      hasPrices: true,
      turns: new NotedTurns(machines),
      fieldOf: ({ key }) => fields.get(key)!,
      isServable: ({ key }) => fields.get(key)!.places.length > 0,
      barsOf: ({ key }) => new Map(entry.fields[key]!.bars),
      mayBegin: (model) => entry.models[model]!.mayBegin,
      // Whoever found no seat after that was noted, and finds none again.
      seatTaken() {},
      holdsSeatFor: (model) => entry.models[model]!.holdsSeat,
      cachedTokens: (each, _field, at) => of(each).cached[at]!,
      priceS: (each, _field, at) => of(each).priceS[at]!,
      mayLoad: (each, _field, at) => of(each).mayLoad[at]!,
    },
    line: {
      size: waiting.length,
      keys: entry.keys,
      // Who was left out for their sake was not noted either.
      oneOfEach: () => [],
      inOrder: () => waiting,
      countOf: (model) => entry.models[model]!.count,
      batchOf: (model) => entry.models[model]!.batch ?? 0,
      waitedMsOf: (model) => entry.models[model]!.waitedMs,
    },
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
