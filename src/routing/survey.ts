import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import type { RoutingSettings } from '../core/settings.ts'
import { type Barred, barsOf, findAble, isServable, noneAble } from './able.ts'
import { type Costs, secondsOf } from './costs/costs.ts'
import type { Pair } from './costs/pair.ts'
import { blankRates, type Rates } from './costs/rates.ts'
import { weightsKey } from './costs/sample.ts'
import { Ends, type EndsSource, insert } from './ends.ts'
import {
  type Field,
  type Machine,
  noOpenings,
  type Place,
  type Pressure,
  type Tastes,
} from './field.ts'
import type { Bar } from './filters.ts'
import type { Need } from './need.ts'
import type { Turn, TurnsKept } from './pickers.ts'
import type { Snapshot, Waiting } from './plan.ts'
import { type Prices, usualPrices } from './prices.ts'
import { isWarmFor } from './residency/warm.ts'
import { type Goings, look, lookAgainMs, type Running } from './running.ts'
import type { Rush } from './rush.ts'
import { Scratch } from './scratch.ts'

/** Models of one endpoint whose places are kept between decisions. */
const placesKeptMax = 256
/** Models whose places are kept side by side with the endpoints. */
const rowsMax = 256

/** Who has waited for a load so long is let in, whatever has to leave the memory. */
const patienceS = 60

/**
 * Ends that only time has made old are worked out anew at so few places in one decision, or every tenth would take ten
 * times as long as the others; and nowhere are they older than this.
 */
const agedFillsMax = 8
const endsGoodMsMax = 1_000

/** What a survey looks at. */
export interface SurveyDoors {
  readonly endpoints: () => readonly EndpointView[]
  readonly costs: Costs
  readonly running: Running
  readonly turns: TurnsKept
  readonly tastes?: Tastes
  readonly prices?: Prices
  readonly rush?: Rush
  readonly explaining?: boolean
}

/**
 * The live fleet as a snapshot. Only what a decision asks for is looked at, and once: the plan is made in it. The
 * objects are kept from one decision to the next and filled anew, or each request would leave some hundred behind.
 */
export class Survey implements Snapshot {
  readonly scratch = new Scratch()
  readonly prices: Prices
  readonly turns: TurnsKept
  readonly explaining: boolean
  readonly hasCaches: boolean
  readonly hasPrices: boolean
  nowMs = 0
  settings: RoutingSettings
  readonly #doors: SurveyDoors
  readonly #tastes: Tastes
  readonly #machines = new WeakMap<EndpointView, MachineKept>()
  /** By model, each endpoint's place at the endpoint's number: what was found last, and mostly is what is looked for. */
  readonly #rows = new Map<string, (PlaceKept | undefined)[]>()
  #endpoints: readonly EndpointView[] = []
  readonly #able = noneAble()
  /** The first kind of need that was asked for; who decides about one request asks for no other. */
  #firstKey = ''
  #firstField: Field | undefined
  readonly #fields = new Map<string, Field>()
  /** Seats that somebody could take now, in the plan, by model. */
  readonly #openSeats = new Map<string, number>()
  readonly #agedFills = { left: 0 }
  #number = 0

  constructor(doors: SurveyDoors, settings: RoutingSettings) {
    this.#doors = doors
    this.settings = settings
    this.prices = doors.prices ?? usualPrices
    this.turns = doors.turns
    this.explaining = doors.explaining ?? false
    this.#tastes = doors.tastes ?? {}
    this.hasCaches = this.#tastes.cachedTokens !== undefined
    this.hasPrices = this.#tastes.priceS !== undefined
  }

  /** A fresh look at everything. The snapshot is good until the next one. */
  at(nowMs: number): Snapshot {
    this.nowMs = nowMs
    this.#number++
    this.#agedFills.left = agedFillsMax
    this.#firstField = undefined
    if (this.#fields.size > 0) this.#fields.clear()
    if (this.#openSeats.size > 0) this.#openSeats.clear()
    return this
  }

  fieldOf({ key, need }: Waiting): Field {
    if (this.#firstField === undefined) {
      this.#firstKey = key
      this.#firstField = this.#fieldFor(need)
      return this.#firstField
    }
    if (key === this.#firstKey) return this.#firstField
    let field = this.#fields.get(key)
    if (!field) {
      field = this.#fieldFor(need)
      this.#fields.set(key, field)
    }
    return field
  }

  isServable({ need }: Waiting): boolean {
    return isServable(this.#doors.endpoints(), need)
  }

  barsOf({ need }: Waiting): ReadonlyMap<string, Bar> {
    return barsOf(this.#doors.endpoints(), need)
  }

  mayBegin(model: string): boolean {
    return this.#openSeatsOf(model) > 0
  }

  seatTaken(model: string): void {
    this.#openSeats.set(model, this.#openSeatsOf(model) - 1)
  }

  #openSeatsOf(model: string): number {
    let seats = this.#openSeats.get(model)
    if (seats === undefined) {
      seats = 0
      for (const endpoint of this.#doors.endpoints()) {
        const served = endpoint.model(model)
        if (served) seats += freeSeatsOf(served) || (served.seatToTry ? 1 : 0)
      }
      this.#openSeats.set(model, seats)
    }
    return seats
  }

  holdsSeatFor(model: string): boolean {
    return this.#doors.rush?.isOn(model, this.nowMs) ?? false
  }

  cachedTokens(waiting: Waiting, field: Field, at: number): number {
    const { cachedTokens } = this.#tastes
    if (!cachedTokens) return 0
    // Asked for the cost, among equals, for the table and for the winner: it is the same all through a decision.
    const place = field.places[at] as PlaceKept
    const { need } = waiting
    if (place.cachedFor !== need) {
      place.cachedTokens = cachedTokens(place.endpoint, need, this.nowMs)
      place.cachedFor = need
    }
    return place.cachedTokens
  }

  /** Nobody looks after that: a copy that is there, or comes, is not doubled at another model's cost at once. */
  mayLoad({ need }: Waiting, field: Field, at: number, pressure: Pressure): boolean {
    const place = field.places[at]!
    const { keeping } = this.#tastes
    const { endpoint, machine } = place
    if (keeping)
      return keeping.mayLoad(endpoint.name, need.model, pressure, this.nowMs, machine.streams === 0)
    if (!place.evicts || !pressure.warm || pressure.urgent) return true
    const rent = place.rates.loadS + this.prices.eviction * place.evictionS
    return pressure.waitedS >= rent || pressure.longestS >= patienceS
  }

  priceS(waiting: Waiting, field: Field, at: number): number {
    const { priceS } = this.#tastes
    return priceS ? priceS(field.places[at]!.endpoint, waiting.need) : 0
  }

  #fieldFor(need: Need): Field {
    const { costs } = this.#doors
    const endpoints = this.#doors.endpoints()
    const able = this.#able
    const barred: Barred[] = []
    findAble(able, endpoints, need, barred)
    const row = this.#rowOf(need.model, endpoints)
    const places: PlaceKept[] = new Array(able.count)
    let warmSomewhere = false
    let loadingSomewhere = false
    let perSecond = 0
    let someHeld = false
    const usual = costs.usualOf(need.model)
    for (let index = 0; index < places.length; index++) {
      const model = able.models[index]
      const at = able.at[index]!
      const place = this.#placeOf(endpoints[at]!, model, need, row, at)
      places[index] = place
      if (place.warm) warmSomewhere = true
      if (place.held) someHeld = true
      if (place.warmInS !== undefined) loadingSomewhere = true
      if (!need.seat || !model || !(place.warm || place.warmInS !== undefined)) continue
      const { seatsLimit } = model
      perSecond += seatsLimit / secondsOf(usual, place.rates, seatsLimit)
    }
    if (this.#tastes.keeping?.isSwapping(need.model)) loadingSomewhere = true
    const distrust = costs.distrust(need.model)
    const openings = noOpenings()
    return {
      usualPrompt: usual.prompt,
      openings,
      someHeld,
      places,
      barred,
      warmSomewhere,
      loadingSomewhere,
      perSecond,
      distrust,
    }
  }

  #rowOf(model: string, endpoints: readonly EndpointView[]): (PlaceKept | undefined)[] {
    // Another list of endpoints: some are gone, and the others may have other numbers.
    if (endpoints !== this.#endpoints) {
      this.#endpoints = endpoints
      this.#rows.clear()
    }
    let row = this.#rows.get(model)
    if (!row) {
      if (this.#rows.size >= rowsMax) this.#rows.clear()
      row = []
      this.#rows.set(model, row)
    }
    return row
  }

  #placeOf(
    endpoint: EndpointView,
    model: ModelView | undefined,
    need: Need,
    row: (PlaceKept | undefined)[],
    at: number,
  ): PlaceKept {
    let place = row[at]
    if (!place?.isOf(endpoint, model, need)) {
      place = this.#machine(endpoint).place(model, need)
      row[at] = place
    }
    const { machine } = place
    const number = this.#number
    if (machine.number !== number) machine.look(number, this.nowMs)
    // Another name of the same weights finds the plan as it is.
    if (place.number !== number) {
      place.number = number
      place.look(model, need, this.nowMs, this.#tastes)
    }
    return place
  }

  #machine(endpoint: EndpointView): MachineKept {
    let machine = this.#machines.get(endpoint)
    if (!machine) {
      machine = new MachineKept(endpoint, this.#doors, this.#agedFills)
      this.#machines.set(endpoint, machine)
    }
    return machine
  }
}

function freeSeatsOf(model: ModelView): number {
  return model.seatFree ? Math.max(1, model.seatsLimit - model.seatsUsed) : 0
}

/** How many a decision may still work out anew. */
interface AgedFills {
  left: number
}

class MachineKept implements Machine {
  readonly endpoint: EndpointView
  readonly name: string
  number = 0
  nowMs = 0
  goings: Goings
  streams = 0
  foreignS = 0
  loadingS = 0
  room = 0
  begun = 0
  turn = 0
  changes = 0
  readonly #doors: SurveyDoors
  readonly #agedFills: AgedFills
  readonly #turn: Turn
  readonly #places = new Map<string, PlaceKept>()

  constructor(endpoint: EndpointView, doors: SurveyDoors, agedFills: AgedFills) {
    this.endpoint = endpoint
    this.name = endpoint.name
    this.goings = doors.running.at(endpoint.name)
    this.#doors = doors
    this.#agedFills = agedFills
    this.#turn = doors.turns.turnOf(endpoint)
  }

  /** A plan that was made here before is over. */
  look(number: number, nowMs: number): void {
    const { costs, running, turns } = this.#doors
    this.number = number
    this.nowMs = nowMs
    this.changes++
    // As long as something runs there it is the same object.
    if (this.goings.runs.length === 0) this.goings = running.at(this.name)
    this.streams = this.goings.runs.length
    this.loadingS = this.goings.loading > 0 ? running.loadingS(this.name, nowMs) : 0
    this.foreignS = costs.foreignS(this.name, nowMs)
    this.room = this.endpoint.room
    this.begun = 0
    this.turn = turns.nextAfter(this.#turn)
  }

  place(model: ModelView | undefined, need: Need): PlaceKept {
    const weights = weightsKey(model?.digest, need.model, need.runner)
    // What takes no seat has a place of its own, with room for everybody.
    const key = need.seat ? weights : ` ${weights}`
    let place = this.#places.get(key)
    if (!place) {
      if (this.#places.size >= placesKeptMax) this.#forgetPlaces()
      place = new PlaceKept(this, model, need, this.#doors, this.#agedFills)
      this.#places.set(key, place)
    }
    return place
  }

  #forgetPlaces(): void {
    for (const place of this.#places.values()) place.isForgotten = true
    this.#places.clear()
  }
}

class PlaceKept implements Place, EndsSource {
  readonly machine: MachineKept
  readonly endpoint: EndpointView
  readonly weights: string
  readonly rates: Rates = blankRates()
  readonly ends: Ends
  number = 0
  /** Another one may stand for these seats by now. */
  isForgotten = false
  /** Tokens of this need's prompt in the cache there, as this decision sees it. */
  cachedFor: Need | undefined
  cachedTokens = 0
  model: ModelView | undefined
  free = 0
  begun = 0
  tryable = false
  warm = false
  warmInS: number | undefined
  evicts = false
  evictionS = 0
  held = false
  quotedAt = -1
  startsNow = false
  waitS = 0
  loadS = 0
  readS = 0
  writeS = 0
  pushingS = 0
  readonly #doors: SurveyDoors
  readonly #agedFills: AgedFills
  /** What `weights` are made of. */
  readonly #digest: string
  readonly #runner: string
  readonly #takesSeat: boolean
  #pair: Pair | undefined
  #pairsVersion = -1
  #name = ''
  #used = 0
  #filledVersion = -1
  #filledUsed = -1
  #filledMs = 0
  #ratesVersion = -1

  constructor(
    machine: MachineKept,
    model: ModelView | undefined,
    need: Need,
    doors: SurveyDoors,
    agedFills: AgedFills,
  ) {
    this.machine = machine
    this.endpoint = machine.endpoint
    this.weights = weightsKey(model?.digest, need.model, need.runner)
    this.#digest = model?.digest ?? need.model
    this.#runner = need.runner
    this.#takesSeat = need.seat
    this.#doors = doors
    this.#agedFills = agedFills
    this.ends = new Ends(this)
  }

  get begunThere(): number {
    return this.machine.begun
  }

  /** Whether these are the seats that the need would use there. */
  isOf(endpoint: EndpointView, model: ModelView | undefined, need: Need): boolean {
    return (
      this.endpoint === endpoint &&
      this.#digest === (model?.digest ?? need.model) &&
      this.#runner === need.runner &&
      this.#takesSeat === need.seat &&
      !this.isForgotten
    )
  }

  look(model: ModelView | undefined, need: Need, nowMs: number, tastes: Tastes): void {
    const { machine, endpoint, weights, rates } = this
    const { costs, running } = this.#doors
    this.model = model
    this.begun = 0
    this.cachedFor = undefined
    this.warm = model === undefined || isWarmFor(model, need)
    this.warmInS = undefined
    this.evicts = false
    this.evictionS = 0
    if (!need.seat || !model) {
      this.free = 1
      this.tryable = false
      this.held = false
      return
    }
    this.#name = need.model
    this.#used = model.seatsUsed
    this.ends.forget()
    this.free = freeSeatsOf(model)
    this.tryable = this.free === 0 && model.seatToTry
    this.held = model.heldBack
    if (this.#pairsVersion !== costs.pairsVersion) {
      this.#pair = costs.pairOf(machine.name, weights)
      this.#pairsVersion = costs.pairsVersion
    }
    const version = costs.versionOf(this.#pair)
    if (version !== this.#ratesVersion) {
      costs.ratesOf(rates, { endpoint: machine.name, weights, sizeBytes: model.sizeBytes })
      this.#ratesVersion = version
    }
    rates.loadS = 0
    if (this.warm) return
    if (machine.loadingS > 0)
      this.warmInS = running.loadingS(machine.name, nowMs, weights) || undefined
    if (this.warmInS !== undefined) {
      rates.loadS = this.warmInS
      return
    }
    const cold = { endpoint: machine.name, weights, sizeBytes: model.sizeBytes }
    rates.loadS = costs.loadS(cold, nowMs)
    const { keeping } = tastes
    // Loaded with other options: its own copy would have to leave.
    const pushes = model.evicts || model.resident
    this.evicts = keeping ? keeping.evicts(endpoint.name, need.model) || model.resident : pushes
    if (this.evicts)
      this.evictionS = keeping ? keeping.evictionPriceS(endpoint.name, need.model) : 0
  }

  /** Only where somebody may have to wait for a seat: all that runs there is looked at for it. */
  fillEnds(ends: Ends): void {
    const { machine, rates, weights } = this
    const { costs } = this.#doors
    const { nowMs } = machine
    const { version, runs } = machine.goings
    const ageMs = nowMs - this.#filledMs
    const isSame = version === this.#filledVersion && this.#used === this.#filledUsed
    if (isSame && ageMs >= 0 && !this.#isTooOld(ageMs)) return ends.again(ageMs / 1_000)
    this.#filledVersion = version
    this.#filledUsed = this.#used
    this.#filledMs = nowMs
    const seconds: number[] = []
    for (const run of runs) {
      if (run.served.weights !== weights) continue
      look(run, runs.length, nowMs)
      insert(seconds, run.secondsLeft)
    }
    // Seats that are taken without a run that we know of: a usual request each.
    if (seconds.length < this.#used) {
      const usualS = secondsOf(costs.usualOf(this.#name), rates, Math.max(1, runs.length))
      while (seconds.length < this.#used) insert(seconds, usualS)
    }
    ends.fill(seconds)
  }

  #isTooOld(ageMs: number): boolean {
    if (ageMs < lookAgainMs) return false
    if (this.#agedFills.left > 0) this.#agedFills.left--
    else if (ageMs < endsGoodMsMax) return false
    return true
  }
}
