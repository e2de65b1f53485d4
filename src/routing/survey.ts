import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import type { RoutingSettings } from '../core/settings.ts'
import { type Barred, barsOf, candidatesFor, isServable } from './able.ts'
import { type Costs, secondsOf } from './costs/costs.ts'
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
import type { TurnsTaken } from './pickers.ts'
import type { Snapshot, Waiting } from './plan.ts'
import { type Prices, usualPrices } from './prices.ts'
import { isWarmFor } from './residency/warm.ts'
import { type Goings, look, lookAgainMs, type Running } from './running.ts'
import type { Rush } from './rush.ts'
import { Scratch } from './scratch.ts'

/** Models of one endpoint whose places are kept between decisions. */
const placesKeptMax = 256

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
  readonly turns: TurnsTaken
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
  readonly turns: TurnsTaken
  readonly explaining: boolean
  readonly hasCaches: boolean
  readonly hasPrices: boolean
  nowMs = 0
  settings: RoutingSettings
  readonly #doors: SurveyDoors
  readonly #tastes: Tastes
  readonly #machines = new WeakMap<EndpointView, MachineKept>()
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
    if (this.#fields.size > 0) this.#fields.clear()
    if (this.#openSeats.size > 0) this.#openSeats.clear()
    return this
  }

  fieldOf({ key, need }: Waiting): Field {
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
    return cachedTokens ? cachedTokens(field.places[at]!.endpoint, waiting.need, this.nowMs) : 0
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
    const places: PlaceKept[] = []
    let warmSomewhere = false
    let loadingSomewhere = false
    let perSecond = 0
    let someHeld = false
    const usual = costs.usualOf(need.model)
    const barred: Barred[] = []
    for (const { endpoint, model } of candidatesFor(this.#doors.endpoints(), need, barred)) {
      const place = this.#machine(endpoint).place(model, need, this.#number, this.nowMs)
      places.push(place)
      if (place.warm) warmSomewhere = true
      if (place.held) someHeld = true
      if (place.warmInS !== undefined) loadingSomewhere = true
      if (!need.seat || !model || !(place.warm || place.warmInS !== undefined)) continue
      perSecond += model.seatsLimit / secondsOf(usual, place.rates, model.seatsLimit)
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

  #machine(endpoint: EndpointView): MachineKept {
    let machine = this.#machines.get(endpoint)
    if (!machine) {
      machine = new MachineKept(endpoint, this.#doors, this.#tastes, this.#agedFills)
      this.#machines.set(endpoint, machine)
    }
    if (machine.number !== this.#number) machine.look(this.#number, this.nowMs)
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
  number = 0
  goings: Goings
  streams = 0
  foreignS = 0
  loadingS = 0
  room = 0
  begun = 0
  turn = 0
  changes = 0
  readonly #doors: SurveyDoors
  readonly #tastes: Tastes
  readonly #agedFills: AgedFills
  readonly #places = new Map<string, PlaceKept>()

  constructor(endpoint: EndpointView, doors: SurveyDoors, tastes: Tastes, agedFills: AgedFills) {
    this.endpoint = endpoint
    this.goings = doors.running.at(endpoint.name)
    this.#doors = doors
    this.#tastes = tastes
    this.#agedFills = agedFills
  }

  get name(): string {
    return this.endpoint.name
  }

  /** A plan that was made here before is over. */
  look(number: number, nowMs: number): void {
    const { costs, running, turns } = this.#doors
    this.number = number
    this.changes++
    this.goings = running.at(this.name)
    this.streams = this.goings.runs.length
    this.loadingS = this.goings.loading > 0 ? running.loadingS(this.name, nowMs) : 0
    this.foreignS = costs.foreignS(this.name, nowMs)
    this.room = this.endpoint.room
    this.begun = 0
    this.turn = turns.nextOf(this.endpoint)
  }

  place(model: ModelView | undefined, need: Need, number: number, nowMs: number): PlaceKept {
    const weights = weightsKey(model?.digest, need.model, need.runner)
    // What takes no seat has a place of its own, with room for everybody.
    const key = need.seat ? weights : ` ${weights}`
    let place = this.#places.get(key)
    if (!place) {
      if (this.#places.size >= placesKeptMax) this.#places.clear()
      place = new PlaceKept(this, weights, this.#doors, this.#agedFills)
      this.#places.set(key, place)
    }
    // Another name of the same weights finds the plan as it is.
    if (place.number !== number) {
      place.number = number
      place.look(model, need, nowMs, this.#tastes)
    }
    return place
  }
}

class PlaceKept implements Place, EndsSource {
  readonly machine: MachineKept
  readonly endpoint: EndpointView
  readonly weights: string
  readonly rates: Rates = blankRates()
  readonly ends: Ends
  number = 0
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
  #nowMs = 0
  #name = ''
  #used = 0
  #filledVersion = -1
  #filledUsed = -1
  #filledMs = 0
  #ratesVersion = -1

  constructor(machine: MachineKept, weights: string, doors: SurveyDoors, agedFills: AgedFills) {
    this.machine = machine
    this.endpoint = machine.endpoint
    this.weights = weights
    this.#doors = doors
    this.#agedFills = agedFills
    this.ends = new Ends(this)
  }

  get begunThere(): number {
    return this.machine.begun
  }

  look(model: ModelView | undefined, need: Need, nowMs: number, tastes: Tastes): void {
    const { machine, endpoint, weights, rates } = this
    const { costs, running } = this.#doors
    this.model = model
    this.begun = 0
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
    this.#nowMs = nowMs
    this.#name = need.model
    this.#used = model.seatsUsed
    this.ends.forget()
    this.free = freeSeatsOf(model)
    this.tryable = this.free === 0 && model.seatToTry
    this.held = model.heldBack
    const version = costs.versionOf(machine.name, weights)
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
    const { version, runs } = machine.goings
    const ageMs = this.#nowMs - this.#filledMs
    const isSame = version === this.#filledVersion && this.#used === this.#filledUsed
    if (isSame && ageMs >= 0 && !this.#isTooOld(ageMs)) return ends.again(ageMs / 1_000)
    this.#filledVersion = version
    this.#filledUsed = this.#used
    this.#filledMs = this.#nowMs
    const seconds: number[] = []
    for (const run of runs) {
      if (run.served.weights !== weights) continue
      look(run, runs.length, this.#nowMs)
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
