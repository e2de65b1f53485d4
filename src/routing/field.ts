import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import type { Barred } from './able.ts'
import type { Rates } from './costs/rates.ts'
import type { Ends } from './ends.ts'
import type { Need } from './need.ts'
import type { Candidate } from './pickers.ts'

/** One endpoint as a decision sees it: plain numbers, taken at one moment, changed only by the plan made in it. */
export interface Machine {
  readonly endpoint: EndpointView
  readonly name: string
  /** Streams that run there, and those that the plan has begun. */
  streams: number
  /** Seconds of work by others that was noticed there lately. */
  readonly foreignS: number
  /** Seconds until the loads that go on there are over; 0: none goes on. */
  loadingS: number
  /** Requests that it may take beside, over all models. */
  room: number
  /** Requests that the plan has begun there. */
  begun: number
  /** Counted up with every change that the plan makes there. */
  changes: number
  /** When it was picked last, in turns; ties go to the lowest. */
  turn: number
}

/** One model at one endpoint: its seats on a line of time. Needs that use the same seats share it. */
export interface Place extends Candidate {
  readonly machine: Machine
  readonly endpoint: EndpointView
  readonly model: ModelView | undefined
  readonly weights: string
  /** Seats that could be taken now; counted down by the plan. */
  free: number
  /** Seats that the plan has begun with this model, and at this endpoint. */
  begun: number
  readonly begunThere: number
  /** When each taken seat is expected to come free. */
  readonly ends: Ends
  /** One seat more than the known ones may be tried. */
  tryable: boolean
  /** Loaded, or in no need of it. */
  readonly warm: boolean
  /** Seconds until a load of it that goes on is over; undefined: none goes on. */
  warmInS: number | undefined
  /** A load of it would push another model out. */
  readonly evicts: boolean
  /** Price of that in seconds, before `prices.eviction`. */
  readonly evictionS: number
  /** It came back a moment ago and has enough for now. */
  readonly held: boolean
  readonly rates: Readonly<Rates>

  // What `quote` makes of all that, good as long as `quotedAt` is the machine's `changes`.
  quotedAt: number
  /** Somebody can begin there now, be it with a try. */
  startsNow: boolean
  waitS: number
  loadS: number
  /** Seconds for a token of the prompt, and of the answer, for one who begins there. */
  readS: number
  writeS: number
  pushingS: number
}

/** Which seats are open, as a plan stands; good as long as `at` is what the scratch has counted. */
export interface Openings {
  at: number
  /** Numbers of the places where somebody can begin, be it with a try; few of many while the fleet is busy. */
  readonly open: number[]
  /** A seat is free where the model is in memory. */
  idleWarm: boolean
  /** A seat is free where nobody is held back, and … */
  unheld: boolean
  /** … the model is in memory. */
  warmUnheld: boolean
}

export function noOpenings(): Openings {
  return { at: -1, open: [], idleWarm: false, unheld: false, warmUnheld: false }
}

/** Where one kind of need could be served. */
export interface Field {
  readonly places: readonly Place[]
  /** Who can not serve it, and why. */
  readonly barred: readonly Barred[]
  /** The model is in memory somewhere among these. */
  readonly warmSomewhere: boolean
  /** Or it is being loaded; the plan says so as soon as it begins a load. */
  loadingSomewhere: boolean
  /** Requests of this model that the places serve in a second, all seats taken. */
  readonly perSecond: number
  /** Tokens of a usual prompt for the model. */
  readonly usualPrompt: number
  /** Some came back a moment ago. */
  readonly someHeld: boolean
  readonly openings: Openings
  /** Why predictions are not to be used for this model; undefined: they are good enough. */
  readonly distrust: string | undefined
}

/** Who looks after what is in memory where: its word on loads. */
export interface Keeping {
  /** Seconds that it costs the fleet when a load of the model there pushes others out. */
  evictionPriceS(endpoint: string, model: string): number
  /** Something would have to leave. */
  evicts(endpoint: string, model: string): boolean
  /** Whether a load may be begun there, where nothing runs at this moment or something does; without a yes no cold place is. */
  mayLoad(
    endpoint: string,
    model: string,
    pressure: Pressure,
    nowMs: number,
    isIdle: boolean,
  ): boolean
  /** A copy of it is being loaded, or room made for it. */
  isSwapping(model: string): boolean
}

/** How much a load is wanted. */
export interface Pressure {
  /** How long all who wait for the model have waited, in seconds. */
  readonly waitedS: number
  /** How long this one has. */
  readonly longestS: number
  /** A copy is in memory, or comes, that it could use. */
  readonly warm: boolean
  /** Its deadline can not be met by waiting for a warm seat. */
  readonly urgent: boolean
}

/** What other rooms add to the cost of a place. All of it is in seconds or tokens, and none of it may be slow. */
export interface Tastes {
  /** Tokens of this prompt that are expected to be in the cache there. */
  readonly cachedTokens?: (place: EndpointView, need: Need, nowMs: number) => number
  /** Seconds by which rules make a place dearer, or cheaper when negative. */
  readonly priceS?: (place: EndpointView, need: Need) => number
  readonly keeping?: Keeping
}
