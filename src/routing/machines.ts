import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import { type Costs, secondsOf } from './costs/costs.ts'
import type { Pair } from './costs/pair.ts'
import { blankRates, type Rates } from './costs/rates.ts'
import { weightsKey } from './costs/sample.ts'
import { Ends, type EndsSource, insert } from './ends.ts'
import type { Machine, Place, Tastes } from './field.ts'
import type { Need } from './need.ts'
import type { Turn, TurnsKept } from './pickers.ts'
import type { Prices } from './prices.ts'
import { isWarmFor } from './residency/warm.ts'
import { type Goings, look, lookAgainMs, type Running } from './running.ts'
import type { Rush } from './rush.ts'

/** Models of one endpoint whose places are kept between decisions. */
const placesKeptMax = 256
/** How old the ends at a place may be, where others were worked out anew before it. */
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

/** Seats that somebody could take now. */
export function freeSeatsOf(model: ModelView): number {
  return model.seatFree ? Math.max(1, model.seatsLimit - model.seatsUsed) : 0
}

/** How many a decision may still work out anew. */
export interface AgedFills {
  left: number
}

/** What is known of an endpoint, kept from one decision to the next and filled anew in each that asks for it. */
export class MachineKept implements Machine {
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

/** The same of a model there: the seats that a need would use. */
export class PlaceKept implements Place, EndsSource {
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
