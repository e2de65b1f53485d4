import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import type { RoutingSettings } from '../core/settings.ts'
import { type Barred, barsOf, findAble, isServable, noneAble } from './able.ts'
import { secondsOf } from './costs/costs.ts'
import { type Field, noOpenings, type Pressure, type Tastes } from './field.ts'
import type { Bar } from './filters.ts'
import { freeSeatsOf, MachineKept, type PlaceKept, type SurveyDoors } from './machines.ts'
import type { Need } from './need.ts'
import type { TurnsKept } from './pickers.ts'
import type { Snapshot, Waiting } from './plan.ts'
import { type Prices, usualPrices } from './prices.ts'
import { Scratch } from './scratch.ts'

/** Models whose places are kept side by side with the endpoints. */
const rowsMax = 256

/** Who has waited for a load so long is let in, whatever has to leave the memory. */
const patienceS = 60

/**
 * Ends that only time has made old are worked out anew at so few places in one decision, or every tenth would take ten
 * times as long as the others.
 */
const agedFillsMax = 8

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
