import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import type { PickerName, RoutingSettings } from '../core/settings.ts'
import type { Need } from './need.ts'

/** An endpoint with a seat that the need can have now. */
export interface Candidate {
  readonly endpoint: EndpointView
  /** Undefined for a cloud model that the endpoint does not list. */
  readonly model: ModelView | undefined
}

/**
 * What pickers remember between two picks: how much each endpoint has been given. Ties go round by it, or the first
 * endpoint in the file would carry every quiet hour alone.
 */
export class Turns {
  readonly #given = new Map<string, number>()

  /** Work given so far, in picks divided by weight (stride scheduling). */
  given(name: string): number {
    return this.#given.get(name) ?? 0
  }

  /** One more pick. A newcomer starts level with the least served of the others, not from nought. */
  took(name: string, weight: number, among: readonly Candidate[]): void {
    const least = Math.min(
      ...among.map(({ endpoint }) => this.#given.get(endpoint.name) ?? Number.POSITIVE_INFINITY),
    )
    const before = this.#given.get(name) ?? (Number.isFinite(least) ? least : 0)
    this.#given.set(name, before + 1 / weight)
  }
}

/** Lower goes first, compared number by number. */
type Rank = readonly number[]
type Picker = (candidate: Candidate, need: Need, turns: Turns, settings: RoutingSettings) => Rank

/** Behaviour is a function in a catalogue. */
export const pickers: Readonly<Record<PickerName, Picker>> = {
  /** Loaded and free, then free, then busy; among equals the least in flight; ties go round. */
  'least-busy': ({ endpoint, model }, _need, turns) => [
    ...leastBusy(endpoint, model),
    turns.given(endpoint.name),
  ],
  'round-robin': ({ endpoint }, _need, turns) => [turns.given(endpoint.name) * endpoint.weight],
  weighted: ({ endpoint }, _need, turns) => [turns.given(endpoint.name)],
  /** The operator's order for this kind of work; everybody else after them, least busy first. */
  capability: ({ endpoint, model }, need, turns, settings) => {
    const order = settings.preferences[need.work] ?? []
    const place = order.indexOf(endpoint.name)
    return [
      place < 0 ? order.length : place,
      ...leastBusy(endpoint, model),
      turns.given(endpoint.name),
    ]
  },
}

function leastBusy(endpoint: EndpointView, model: ModelView | undefined): Rank {
  if (!model) return [1, endpoint.inFlight, 0]
  return [model.resident ? 0 : 1, endpoint.inFlight / endpoint.weight, model.seatsUsed]
}

export function pick(
  candidates: readonly Candidate[],
  need: Need,
  turns: Turns,
  settings: RoutingSettings,
): Candidate | undefined {
  let best: Candidate | undefined
  let bestRank: Rank = []
  for (const candidate of candidates) {
    const rank = pickers[settings.picker](candidate, need, turns, settings)
    if (best === undefined || before(rank, bestRank)) {
      best = candidate
      bestRank = rank
    }
  }
  if (best) turns.took(best.endpoint.name, best.endpoint.weight, candidates)
  return best
}

function before(one: Rank, other: Rank): boolean {
  for (const [index, value] of one.entries()) {
    const against = other[index] ?? 0
    if (value !== against) return value < against
  }
  return false
}
