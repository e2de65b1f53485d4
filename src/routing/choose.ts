import type { EndpointView } from '../core/endpoint-view.ts'
import type { RoutingSettings } from '../core/settings.ts'
import { type Bar, barOf, contextAt, isCapable } from './filters.ts'
import type { Need } from './need.ts'
import { type Candidate, pick, type Turns } from './pickers.ts'

export type Choice =
  /** This one, now. `asTry`: with a seat beyond those that are known to exist. */
  | { readonly kind: 'take'; readonly endpoint: string; readonly asTry: boolean }
  /** Somebody can serve it, but every seat is taken. */
  | { readonly kind: 'wait' }
  /** Nobody can; why, by endpoint. */
  | { readonly kind: 'nobody'; readonly bars: ReadonlyMap<string, Bar> }

/**
 * Which endpoint serves this need: filters, then the picker. Pure but for the turns that the picker notes; who calls
 * it takes the lease in the same breath, so that choosing and counting stay one act.
 */
export function choose(
  endpoints: readonly EndpointView[],
  need: Need,
  turns: Turns,
  settings: RoutingSettings,
): Choice {
  let able = ableOf(endpoints, need)
  if (able.length === 0) able = whoCanOnlySayNo(endpoints, need)
  if (able.length === 0) return { kind: 'nobody', bars: barsOf(endpoints, need) }
  able = need.cloud ? listingFirst(able) : withRoomFor(able, need)

  const free = need.seat ? unhurried(able.filter(({ model }) => model?.seatFree)) : able
  const now = pick(free, need, turns, settings)
  if (now) return { kind: 'take', endpoint: now.endpoint.name, asTry: false }

  // Only beside requests that run on a loaded model is a try worth anything.
  const beyond = able.filter(({ model }) => model?.seatToTry && model.resident)
  const tried = pick(beyond, need, turns, settings)
  if (tried) return { kind: 'take', endpoint: tried.endpoint.name, asTry: true }
  return { kind: 'wait' }
}

/**
 * Who came back a moment ago steps behind the others once it has enough for now. Only behind those that could begin as
 * soon: rather here than a load elsewhere, and rather here than nowhere.
 */
function unhurried(free: Candidate[]): Candidate[] {
  if (!free.some(({ model }) => model?.heldBack)) return free
  const isWarmElsewhere = free.some(({ model }) => model?.resident && !model.heldBack)
  const first = free.filter(({ model }) => !model?.heldBack || (model.resident && !isWarmElsewhere))
  return first.length > 0 ? first : free
}

function ableOf(endpoints: readonly EndpointView[], need: Need): Candidate[] {
  const able: Candidate[] = []
  for (const endpoint of endpoints) {
    const model = endpoint.model(need.model)
    if (barOf(endpoint, model, need) === undefined) able.push({ endpoint, model })
  }
  return able
}

function barsOf(endpoints: readonly EndpointView[], need: Need): Map<string, Bar> {
  const bars = new Map<string, Bar>()
  for (const endpoint of endpoints) {
    const bar = barOf(endpoint, endpoint.model(need.model), need)
    if (bar !== undefined) bars.set(endpoint.name, bar)
  }
  return bars
}

/**
 * A model that can not do what is asked, wherever it is: one that has it says so, in the very words of Ollama. Not
 * while somebody has it who can, and is only away for now or has failed already.
 */
function whoCanOnlySayNo(endpoints: readonly EndpointView[], need: Need): Candidate[] {
  if (need.capabilities.length === 0) return []
  const capable = endpoints.some((endpoint) => {
    const model = endpoint.model(need.model)
    if (!model || !isCapable(model, need)) return false
    const bar = barOf(endpoint, model, need)
    return bar === 'tried' || bar === 'away' || bar === 'draining' || bar === 'resting'
  })
  return capable ? [] : ableOf(endpoints, { ...need, capabilities: [] })
}

/** A cloud model needs no copy on disk, only a server that is signed in: who lists it probably is. */
function listingFirst(able: Candidate[]): Candidate[] {
  const listing = able.filter(({ model }) => model !== undefined)
  return listing.length > 0 ? listing : able
}

/**
 * Those whose context holds the prompt. When none does, those with the largest: Ollama cuts such a prompt by itself,
 * and refusing here what a single server would answer is no improvement.
 */
function withRoomFor(able: Candidate[], need: Need): Candidate[] {
  if (need.promptTokens === 0 || able.length < 2) return able
  let largest = 0
  let fitting = 0
  for (const { endpoint, model } of able) {
    const context = contextAt(endpoint, model)
    if (context > largest) largest = context
    if (context >= need.promptTokens) fitting++
  }
  if (fitting === able.length) return able
  const enough = Math.min(need.promptTokens, largest)
  return able.filter(({ endpoint, model }) => contextAt(endpoint, model) >= enough)
}
