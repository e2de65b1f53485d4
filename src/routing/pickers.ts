import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import type { PickerName, RoutingSettings } from '../core/settings.ts'
import type { Need } from './need.ts'

/** An endpoint with a seat that the need can have now. */
export interface Candidate {
  readonly endpoint: EndpointView
  /** Undefined for a cloud model that the endpoint does not list. */
  readonly model: ModelView | undefined
  /** Begun there in this very decision, beside what the endpoint counts: with this model, and in all. */
  readonly begun?: number
  readonly begunThere?: number
}

/** The turns of endpoints, as a decision needs them. */
export interface TurnsTaken {
  /** Where the endpoint's next turn would begin; who has the lowest is due. */
  nextOf(endpoint: EndpointView): number
  took(endpoint: EndpointView, share: number): void
}

/** Where an endpoint's last turn ended. */
export interface Turn {
  endsAt: number
}

/** For who looks at every endpoint all the time: what is kept of one is looked up once. */
export interface TurnsKept extends TurnsTaken {
  turnOf(endpoint: EndpointView): Turn
  nextAfter(turn: Turn): number
}

/**
 * What pickers remember between two picks: each endpoint's turns, on a scale on which every turn is as long as one
 * divided by the endpoint's share (start-time fair queueing). Ties go round by it, or the first endpoint in the file
 * would carry every quiet hour alone. Who is new, or was away or full for a while, goes on where the others are now:
 * what it missed it does not get all at once.
 */
export class Turns implements TurnsKept {
  readonly #turns = new WeakMap<EndpointView, Turn>()
  #now = 0

  turnOf(endpoint: EndpointView): Turn {
    let turn = this.#turns.get(endpoint)
    if (!turn) {
      turn = { endsAt: 0 }
      this.#turns.set(endpoint, turn)
    }
    return turn
  }

  nextAfter({ endsAt }: Turn): number {
    return Math.max(this.#now, endsAt)
  }

  /** Where the endpoint's next turn would begin; who has the lowest is due. */
  nextOf(endpoint: EndpointView): number {
    return this.nextAfter(this.turnOf(endpoint))
  }

  took(endpoint: EndpointView, share: number): void {
    const turn = this.turnOf(endpoint)
    this.#now = this.nextAfter(turn)
    turn.endsAt = this.#now + 1 / share
  }
}

/** Lower goes first, compared number by number. */
type Rank = readonly number[]
type Picker = (
  candidate: Candidate,
  need: Need,
  turns: TurnsTaken,
  settings: RoutingSettings,
) => Rank

/** Behaviour is a function in a catalogue. */
export const pickers: Readonly<Record<PickerName, Picker>> = {
  /** Loaded and free, then free, then busy; among equals the least in flight; ties go round. */
  'least-busy': (candidate, _need, turns) => [
    ...leastBusy(candidate),
    turns.nextOf(candidate.endpoint),
  ],
  /** Where costs say nothing: for what takes no seat, and for models whose predictions are bad. */
  'expected-completion': (candidate, _need, turns) => [
    ...leastBusy(candidate),
    turns.nextOf(candidate.endpoint),
  ],
  'round-robin': ({ endpoint }, _need, turns) => [turns.nextOf(endpoint)],
  weighted: ({ endpoint }, _need, turns) => [turns.nextOf(endpoint)],
  /** The operator's order for this kind of work; everybody else after them, least busy first. */
  capability: (candidate, need, turns, settings) => {
    const { endpoint } = candidate
    const order = settings.preferences[need.work] ?? []
    const place = order.indexOf(endpoint.name)
    return [place < 0 ? order.length : place, ...leastBusy(candidate), turns.nextOf(endpoint)]
  },
}

function leastBusy({ endpoint, model, begun = 0, begunThere = 0 }: Candidate): Rank {
  const inFlight = endpoint.inFlight + begunThere
  if (!model) return [1, inFlight, 0]
  return [model.resident ? 0 : 1, inFlight / endpoint.weight, model.seatsUsed + begun]
}

export function pick<C extends Candidate>(
  candidates: readonly C[],
  need: Need,
  turns: TurnsTaken,
  settings: RoutingSettings,
): C | undefined {
  let best = candidates[0]
  if (best === undefined) return undefined
  const rankOf = pickers[settings.picker]
  if (candidates.length > 1) {
    let bestRank = rankOf(best, need, turns, settings)
    for (const candidate of candidates) {
      const rank = rankOf(candidate, need, turns, settings)
      if (isBefore(rank, bestRank)) {
        best = candidate
        bestRank = rank
      }
    }
  }
  turns.took(best.endpoint, settings.picker === 'round-robin' ? 1 : best.endpoint.weight)
  return best
}

function isBefore(one: Rank, other: Rank): boolean {
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) return one[at]! < other[at]!
  return false
}
