import type { EndpointView } from '../core/endpoint-view.ts'
import type { RoutingSettings } from '../core/settings.ts'
import { type Bar, barOf, contextAt } from './filters.ts'
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
  let able: EndpointView[] = []
  const bars = new Map<string, Bar>()
  for (const endpoint of endpoints) {
    const bar = barOf(endpoint, need)
    if (bar === undefined) able.push(endpoint)
    else bars.set(endpoint.name, bar)
  }
  if (able.length === 0) return { kind: 'nobody', bars }
  if (need.cloud) {
    const listing = able.filter((endpoint) => endpoint.model(need.model))
    if (listing.length > 0) able = listing
  }
  able = withRoomFor(able, need)

  const free: Candidate[] = []
  for (const endpoint of able) {
    const model = endpoint.model(need.model)
    if (!need.seat || model === undefined || model.seatFree) free.push({ endpoint, model })
  }
  const now = pick(free, need, turns, settings)
  if (now) return { kind: 'take', endpoint: now.endpoint.name, asTry: false }

  const beyond: Candidate[] = []
  for (const endpoint of able) {
    const model = endpoint.model(need.model)
    // Only beside requests that run on a loaded model is a try worth anything.
    if (model?.seatToTry && model.resident) beyond.push({ endpoint, model })
  }
  const tried = pick(beyond, need, turns, settings)
  if (tried) return { kind: 'take', endpoint: tried.endpoint.name, asTry: true }
  return { kind: 'wait' }
}

/**
 * Those whose context holds the prompt. When none does, those with the largest: Ollama cuts such a prompt by itself,
 * and refusing here what a single server would answer is no improvement.
 */
function withRoomFor(able: EndpointView[], need: Need): EndpointView[] {
  if (need.promptTokens === 0 || able.length < 2) return able
  const fitting = able.filter((endpoint) => contextAt(endpoint, need) >= need.promptTokens)
  if (fitting.length > 0) return fitting
  const largest = Math.max(...able.map((endpoint) => contextAt(endpoint, need)))
  return able.filter((endpoint) => contextAt(endpoint, need) === largest)
}
