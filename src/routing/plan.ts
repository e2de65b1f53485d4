import type { RoutingSettings } from '../core/settings.ts'
import type { Barred } from './able.ts'
import type { Field, Place, Pressure } from './field.ts'
import type { Bar } from './filters.ts'
import type { Need } from './need.ts'
import type { TurnsTaken } from './pickers.ts'
import type { Prices } from './prices.ts'
import type { Scratch } from './scratch.ts'
import type { Table } from './table.ts'
import type { Work } from './work.ts'

/** Somebody in line, as a decision sees it. */
export interface Waiting {
  readonly need: Need
  /** `needKey(need)`: who has the same can use the same seats. */
  readonly key: string
  readonly work: Work
  readonly priority: string
  readonly sinceMs: number
  /** By when it must be finished, on the clock's `now`; undefined: it has time. */
  readonly deadlineMs: number | undefined
  /** Where the last plan promised it a seat. Whoever carries the plan out writes it here. */
  promised: string | undefined
}

/** How many wait, and how long. */
export interface Crowds {
  /** How many wait for this model. */
  countOf(model: string): number
  /** How many of them are batch work. */
  batchOf(model: string): number
  /** How long they have waited, all together, in milliseconds. */
  waitedMsOf(model: string, nowMs: number): number
}

/** The line as a decision sees it. */
export interface LineView<W extends Waiting> extends Crowds {
  readonly size: number
  /** Different keys among those who wait. */
  readonly keys: number
  /** One of those who wait with each key. */
  oneOfEach(): Iterable<W>
  /** First one first, without those whose key is among the passed, which may become more on the way. */
  inOrder(nowMs: number, passed: ReadonlySet<string>): Iterable<W>
}

/** The world at one moment. `Survey` makes it of the live fleet, a log or a test of plain data. */
export interface Snapshot {
  readonly nowMs: number
  readonly settings: RoutingSettings
  readonly prices: Prices
  readonly turns: TurnsTaken
  /** Where this waiter could go; the same object for the same key. */
  fieldOf(waiting: Waiting): Field
  readonly scratch: Scratch
  /** Somebody asks what would be done: also who waits gets its table. */
  readonly explaining: boolean
  /** Somebody could serve it, now or later. */
  isServable(waiting: Waiting): boolean
  /** Why nobody can serve it, by endpoint. */
  barsOf(waiting: Waiting): ReadonlyMap<string, Bar>
  /** False: no seat is free for this model anywhere, as the plan stands, so that nobody who wants it can begin now. */
  mayBegin(model: string): boolean
  /** The plan has given one of these seats away. */
  seatTaken(model: string): void
  /** People are waiting for answers of this model: batch work leaves them a seat. */
  holdsSeatFor(model: string): boolean
  /** Anybody knows of prompts in caches, and of rules with prices; else it need not be asked. */
  readonly hasCaches: boolean
  readonly hasPrices: boolean
  /** Tokens of its prompt that are expected in the cache of a place, by its number in the field. */
  cachedTokens(waiting: Waiting, field: Field, at: number): number
  /** Whether the model may be loaded at a place where it is not. */
  mayLoad(waiting: Waiting, field: Field, at: number, pressure: Pressure): boolean
  /** Seconds by which rules make the place dearer. */
  priceS(waiting: Waiting, field: Field, at: number): number
}

/** `table` and `barred` are what the choice was made of, for those who ask why. */
export type Action<W> =
  /** To this endpoint, now. `asTry`: with a seat beyond those that are known to exist. */
  | {
      readonly kind: 'start'
      readonly waiting: W
      readonly endpoint: string
      readonly asTry: boolean
      /** As planned at this moment; another decision fills it anew. */
      readonly place: Place
      readonly cachedTokens: number
      /** The model is not in memory there: it has to be loaded first, or is on its way. */
      readonly isCold: boolean
      readonly table: Table
      readonly barred: readonly Barred[]
    }
  /** It waits on purpose: for a seat of this endpoint, which is expected to be free so soon. */
  | {
      readonly kind: 'promise'
      readonly waiting: W
      readonly endpoint: string
      readonly inS: number
      /** Only where somebody asks. */
      readonly table: Table | undefined
      readonly barred: readonly Barred[]
    }
  /** Nobody can serve it; why, by endpoint. */
  | { readonly kind: 'nobody'; readonly waiting: W; readonly bars: ReadonlyMap<string, Bar> }
