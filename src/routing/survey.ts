import type { Dice } from '../core/dice.ts'
import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import type { RoutingSettings } from '../core/settings.ts'
import { type Barred, barsOf, candidatesFor, isServable } from './able.ts'
import { doubtful as doubtfulFrom } from './by-costs.ts'
import { type Costs, secondsOf } from './costs/costs.ts'
import { blankRates, type Rates } from './costs/rates.ts'
import { weightsKey } from './costs/sample.ts'
import { Ends } from './ends.ts'
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
import { look, lookAgainMs, type Run, type Running } from './running.ts'
import type { Rush } from './rush.ts'
import { Scratch } from './scratch.ts'

/** Models of one endpoint whose places are kept between decisions. */
const placesKeptMax = 256

/** Who has waited for a load so long is let in, whatever has to leave the memory. */
const patienceS = 60

/** Beliefs change with samples, and by age alone only slowly. */
const ratesGoodMs = 10_000

/** What a survey looks at. */
export interface SurveyDoors {
  readonly endpoints: () => readonly EndpointView[]
  readonly costs: Costs
  readonly running: Running
  readonly turns: TurnsTaken
  readonly dice: Dice
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
  readonly dice: Dice
  readonly explaining: boolean
  readonly hasCaches: boolean
  readonly hasPrices: boolean
  nowMs = 0
  settings: RoutingSettings
  readonly #doors: SurveyDoors
  readonly #tastes: Tastes
  readonly #machines = new WeakMap<EndpointView, MachineKept>()
  readonly #fields = new Map<string, Field>()
  readonly #mayBegin = new Map<string, boolean>()
  #number = 0

  constructor(doors: SurveyDoors, settings: RoutingSettings) {
    this.#doors = doors
    this.settings = settings
    this.prices = doors.prices ?? usualPrices
    this.turns = doors.turns
    this.dice = doors.dice
    this.explaining = doors.explaining ?? false
    this.#tastes = doors.tastes ?? {}
    this.hasCaches = this.#tastes.cachedTokens !== undefined
    this.hasPrices = this.#tastes.priceS !== undefined
  }

  /** A fresh look at everything. The snapshot is good until the next one. */
  at(nowMs: number): Snapshot {
    this.nowMs = nowMs
    this.#number++
    if (this.#fields.size > 0) this.#fields.clear()
    if (this.#mayBegin.size > 0) this.#mayBegin.clear()
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
    let may = this.#mayBegin.get(model)
    if (may === undefined) {
      may = false
      for (const endpoint of this.#doors.endpoints()) {
        const served = endpoint.model(model)
        if (served && (served.seatFree || served.seatToTry)) {
          may = true
          break
        }
      }
      this.#mayBegin.set(model, may)
    }
    return may
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
    if (!place.evicts || !pressure.warm) return true
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
    let doubtful = false
    let someHeld = false
    const usual = costs.usualOf(need.model)
    const barred: Barred[] = []
    for (const { endpoint, model } of candidatesFor(this.#doors.endpoints(), need, barred)) {
      const place = this.#machine(endpoint).place(model, need, this.#number, this.nowMs)
      places.push(place)
      if (place.warm) warmSomewhere = true
      if (place.held) someHeld = true
      if (place.rates.doubt >= doubtfulFrom) doubtful = true
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
      doubtful,
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
      machine = new MachineKept(endpoint, this.#doors, this.#tastes)
      this.#machines.set(endpoint, machine)
    }
    if (machine.number !== this.#number) machine.look(this.#number, this.nowMs)
    return machine
  }
}

class MachineKept implements Machine {
  readonly endpoint: EndpointView
  number = 0
  streams = 0
  slowdownS = 0
  foreignS = 0
  loadingS = 0
  room = 0
  begun = 0
  turn = 0
  changes = 0
  runs: readonly Run[] = []
  /** When the runs were looked at, for the how manyth time, and whether that still holds. */
  lookedMs = Number.NEGATIVE_INFINITY
  looks = 0
  isFresh = false
  #slowdownS = 0
  #loadsGoOn = false
  #version = -1
  readonly #doors: SurveyDoors
  readonly #tastes: Tastes
  readonly #places = new Map<string, PlaceKept>()

  constructor(endpoint: EndpointView, doors: SurveyDoors, tastes: Tastes) {
    this.endpoint = endpoint
    this.#doors = doors
    this.#tastes = tastes
  }

  get name(): string {
    return this.endpoint.name
  }

  look(number: number, nowMs: number): void {
    const { costs, running, turns } = this.#doors
    this.number = number
    this.changes++
    const version = running.versionOf(this.name)
    const ageMs = nowMs - this.lookedMs
    this.isFresh = version === this.#version && ageMs >= 0 && ageMs < lookAgainMs
    if (!this.isFresh) this.#lookAtRuns(version, nowMs)
    // A plan that was made here is over: what it has changed is as it was.
    this.streams = this.runs.length
    this.slowdownS = this.#slowdownS
    this.loadingS = this.#loadsGoOn ? this.#loadingSAt(nowMs) : 0
    this.foreignS = costs.foreignS(this.name, nowMs)
    this.room = this.endpoint.room
    this.begun = 0
    this.turn = turns.nextOf(this.endpoint)
  }

  #lookAtRuns(version: number, nowMs: number): void {
    this.#version = version
    this.lookedMs = nowMs
    this.looks++
    this.runs = this.#doors.running.of(this.name)
    this.#slowdownS = 0
    this.#loadsGoOn = false
    for (const run of this.runs) {
      look(run, this.runs.length, nowMs)
      this.#slowdownS += run.tokensLeft * run.rates.decodeS * run.rates.decodeSlope
      if (run.loadEndsMs > 0) this.#loadsGoOn = true
    }
  }

  #loadingSAt(nowMs: number): number {
    let seconds = 0
    for (const run of this.runs)
      if (run.loadEndsMs > 0) seconds = Math.max(seconds, loadSecondsLeft(run, nowMs))
    return seconds
  }

  place(model: ModelView | undefined, need: Need, number: number, nowMs: number): PlaceKept {
    const weights = weightsKey(model?.digest, need.model, need.runner)
    // What takes no seat has a place of its own, with room for everybody.
    const key = need.seat ? weights : ` ${weights}`
    let place = this.#places.get(key)
    if (!place) {
      if (this.#places.size >= placesKeptMax) this.#places.clear()
      place = new PlaceKept(this, weights)
      this.#places.set(key, place)
    }
    // Another name of the same weights finds the plan as it is.
    if (place.number !== number) {
      place.number = number
      place.look(model, need, nowMs, this.#doors.costs, this.#tastes)
    }
    return place
  }
}

class PlaceKept implements Place {
  readonly machine: MachineKept
  readonly endpoint: EndpointView
  readonly weights: string
  readonly rates: Rates = blankRates()
  readonly ends = new Ends()
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
  slowdownS = 0
  pushingS = 0
  #lookAt = -1
  #used = 0
  #ratesVersion = -1
  #ratesAtMs = 0

  constructor(machine: MachineKept, weights: string) {
    this.machine = machine
    this.endpoint = machine.endpoint
    this.weights = weights
  }

  get begunThere(): number {
    return this.machine.begun
  }

  look(
    model: ModelView | undefined,
    need: Need,
    nowMs: number,
    costs: Costs,
    tastes: Tastes,
  ): void {
    const { machine, endpoint, weights, rates, ends } = this
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
    const isFree = model.seatFree
    this.free = isFree ? Math.max(1, model.seatsLimit - model.seatsUsed) : 0
    this.tryable = !isFree && model.seatToTry
    this.held = model.heldBack
    const served = { endpoint: machine.name, weights, sizeBytes: model.sizeBytes }
    const version = costs.versionOf(machine.name)
    if (version !== this.#ratesVersion || nowMs - this.#ratesAtMs > ratesGoodMs) {
      costs.ratesOf(rates, served, nowMs)
      this.#ratesVersion = version
      this.#ratesAtMs = nowMs
    }
    rates.loadS = 0
    if (machine.isFresh && this.#lookAt === machine.looks && this.#used === model.seatsUsed) {
      ends.restore()
      ends.pass((nowMs - machine.lookedMs) / 1_000)
    } else this.#lookAtEnds(model, need, costs)
    if (!this.warm && machine.loadingS > 0) this.warmInS = this.#loadedInS(nowMs)
    if (this.warmInS !== undefined) rates.loadS = this.warmInS
    if (this.warm || this.warmInS !== undefined) return
    rates.loadS = costs.loadS(served, nowMs)
    const { keeping } = tastes
    // Loaded with other options: its own copy would have to leave.
    const pushes = model.evicts || model.resident
    this.evicts = keeping ? keeping.evicts(endpoint.name, need.model) || model.resident : pushes
    if (this.evicts)
      this.evictionS = keeping ? keeping.evictionPriceS(endpoint.name, need.model) : 0
  }

  #lookAtEnds(model: ModelView, need: Need, costs: Costs): void {
    const { machine, weights, rates, ends } = this
    this.#lookAt = machine.looks
    this.#used = model.seatsUsed
    ends.clear()
    for (const run of machine.runs) if (run.served.weights === weights) ends.add(run.secondsLeft)
    // Seats that are taken without a run that we know of: a usual request each.
    const unknown = model.seatsUsed - ends.count
    if (unknown > 0) {
      const usualS = secondsOf(costs.usualOf(need.model), rates, Math.max(1, machine.streams))
      for (let seat = 0; seat < unknown; seat++) ends.add(usualS)
    }
    ends.keep()
  }

  /** Until a load of it that goes on is over; undefined: none does. */
  #loadedInS(nowMs: number): number | undefined {
    for (const run of this.machine.runs)
      if (run.loadEndsMs > 0 && run.served.weights === this.weights)
        return loadSecondsLeft(run, nowMs)
    return undefined
  }
}

/** A load that takes longer than expected takes a little longer still. */
function loadSecondsLeft({ loadEndsMs, rates }: Run, nowMs: number): number {
  return Math.max((loadEndsMs - nowMs) / 1_000, 0.2 * rates.loadS)
}
