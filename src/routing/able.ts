import type { EndpointView } from '../core/endpoint-view.ts'
import { type Bar, barOf, contextAt, isCapable } from './filters.ts'
import type { Need } from './need.ts'
import type { Candidate } from './pickers.ts'

/** Who can not serve a need, and why. `smallContext`: the prompt would be cut there, and not everywhere. */
export interface Barred {
  readonly endpoint: string
  readonly bar: Bar | 'smallContext'
}

/**
 * Who could serve this need, now or when a seat comes free; empty: nobody can, and `barsOf` says why. Who can not is
 * added to `barred`.
 */
export function candidatesFor(
  endpoints: readonly EndpointView[],
  need: Need,
  barred: Barred[],
): Candidate[] {
  let able = ableOf(endpoints, need, barred)
  if (able.length === 0) able = whoCanOnlySayNo(endpoints, need)
  return need.cloud ? listingFirst(able) : withRoomFor(able, need, barred)
}

/** Whether there is anybody at all who could serve it; mostly the first one that is looked at. */
export function isServable(endpoints: readonly EndpointView[], need: Need): boolean {
  for (const endpoint of endpoints)
    if (barOf(endpoint, endpoint.model(need.model), need) === undefined) return true
  return whoCanOnlySayNo(endpoints, need).length > 0
}

function ableOf(endpoints: readonly EndpointView[], need: Need, barred?: Barred[]): Candidate[] {
  const able: Candidate[] = []
  for (const endpoint of endpoints) {
    const model = endpoint.model(need.model)
    const bar = barOf(endpoint, model, need)
    if (bar === undefined) able.push({ endpoint, model })
    else barred?.push({ endpoint: endpoint.name, bar })
  }
  return able
}

export function barsOf(endpoints: readonly EndpointView[], need: Need): Map<string, Bar> {
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
function withRoomFor(able: Candidate[], need: Need, barred: Barred[]): Candidate[] {
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
  const holding: Candidate[] = []
  for (const candidate of able) {
    const { endpoint, model } = candidate
    if (contextAt(endpoint, model) >= enough) holding.push(candidate)
    else barred.push({ endpoint: endpoint.name, bar: 'smallContext' })
  }
  return holding
}
