import type { Pool } from '../pool/pool.ts'
import { barOf, contextAt } from '../routing/filters.ts'
import type { Need } from '../routing/need.ts'
import type { Placement } from '../routing/rules/placement.ts'

/** An endpoint that could serve a part, as a run sees it. */
export interface Holder {
  readonly name: string
  /** Tokens that a request gets there. */
  readonly context: number
  readonly seats: number
  readonly seatFree: boolean
  readonly resident: boolean
}

/** What the parts of a run ask of an endpoint. */
export interface RunNeed {
  /** Canonical model name. */
  readonly model: string
  readonly cloud: boolean
  readonly labels: readonly string[]
  readonly except: ReadonlySet<string>
  /** The request's own num_ctx: then every endpoint has this context. */
  readonly context: number | undefined
  /** What the operator's rules say of the run. */
  readonly rules: Placement | undefined
}

/** A model served by an account elsewhere has no seats to count; this many at once are polite. */
const cloudSeats = 4

/** Who could serve a part now or after a rest. */
export function holdersOf(pool: Pool, want: RunNeed): Holder[] {
  const need: Need = {
    model: want.model,
    cloud: want.cloud,
    capabilities: [],
    labels: want.labels,
    promptTokens: 0,
    digest: pool.servingDigest(want.model),
    seat: true,
    work: '',
    pinned: undefined,
    runner: '',
    not: want.except,
    rules: want.rules,
  }
  const holders: Holder[] = []
  for (const endpoint of pool.endpoints) {
    const model = endpoint.model(want.model)
    const bar = barOf(endpoint, model, need)
    if (bar !== undefined && bar !== 'resting') continue
    const seats = model && !model.remote ? endpoint.seatsOf(model).limit : cloudSeats
    holders.push({
      name: endpoint.name,
      context: want.context ?? contextAt(endpoint, model),
      seats: Math.min(seats, endpoint.backend.slotsTotal ?? seats),
      seatFree: bar === undefined && (model?.seatFree ?? true),
      resident: model?.resident ?? true,
    })
  }
  return holders
}

export function seatsOf(holders: readonly Holder[]): number {
  let seats = 0
  for (const holder of holders) seats += holder.seats
  return seats
}
