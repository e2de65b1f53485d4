import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import type { RoutingSettings } from '../core/settings.ts'
import type { Rates } from './costs/rates.ts'
import type { NotedEnds } from './ends.ts'
import type { Field, Machine } from './field.ts'
import type { Bar } from './filters.ts'
import type { Worker } from './give-way.ts'
import type { Need } from './need.ts'
import type { Action, Waiting } from './plan.ts'
import type { Prices } from './prices.ts'

/** One decision as it stands in a log: all that it was made of, as plain data, and what came of it. */
export interface DecisionEntry {
  readonly nowMs: number
  readonly settings: RoutingSettings
  readonly prices: Prices
  /** It was made for one who had just come and stood in no line; not there in older logs, which are about the line. */
  readonly alone: boolean
  /** It was made as for one who asks, without taking a turn: for a second sending. Not there in older logs. */
  readonly explaining?: boolean
  readonly keys: number
  readonly machines: readonly MachineEntry[]
  readonly fields: Readonly<Record<string, FieldEntry>>
  readonly models: Readonly<Record<string, ModelEntry>>
  readonly waiting: readonly WaitingEntry[]
  readonly actions: readonly ActionEntry[]
  /** It was about seats that batch work gives to people; else not there. */
  readonly givings?: GivingsEntry
}

/** What was known of those at work, and what they and their owner said. */
export interface GivingsEntry {
  readonly workers: Readonly<Record<string, readonly Worker[]>>
  /** Numbers of waiters to whom a seat was on its way. */
  readonly owed: readonly number[]
  readonly asked: readonly GivingAsked[]
}

/** One who was asked to give its seat to the waiter of that number: the number among those at work there. */
export interface GivingAsked {
  readonly waiting: number
  readonly endpoint: string
  readonly worker: number
  readonly gave: boolean
}

export type MachineEntry = Omit<Machine, 'endpoint' | 'changes' | 'begun'> &
  Pick<EndpointView, 'weight' | 'inFlight'>

export interface PlaceEntry {
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

export type FieldEntry = Omit<Field, 'places' | 'openings' | 'barred'> & {
  readonly places: readonly PlaceEntry[]
  readonly bars: readonly (readonly [string, Bar])[]
}

interface ModelEntry {
  readonly mayBegin: boolean
  readonly holdsSeat: boolean
  readonly count: number
  /** Not there in older logs. */
  readonly batch?: number
  readonly waitedMs: number
}

export interface WaitingEntry {
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
  readonly kind: 'start' | 'promise' | 'nobody' | 'giveWay'
  readonly endpoint: string | undefined
  readonly asTry: boolean
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

/** Of those who were asked only who gave. */
export function givingEntries(asked: readonly GivingAsked[]): ActionEntry[] {
  return asked
    .filter(({ gave }) => gave)
    .map(({ waiting, endpoint }) => ({ waiting, kind: 'giveWay', endpoint, asTry: false }))
}
