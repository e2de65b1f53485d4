import type { EndpointView, ModelView } from '../../src/core/endpoint-view.ts'
import type { RoutingSettings } from '../../src/core/settings.ts'
import { Dispatcher } from '../../src/routing/dispatcher.ts'
import type { Bar } from '../../src/routing/filters.ts'
import { type Need, needKey } from '../../src/routing/need.ts'
import type { Waiting } from '../../src/routing/plan.ts'

export type FakeEndpoint = Partial<Omit<EndpointView, 'model'>> & {
  /** The model `m` there; null: it is not on that disk. */
  readonly m?: Partial<ModelView> | null
}

/** An endpoint as routing sees it: ready, idle, with `m` loaded and a seat free, unless said otherwise. */
export function endpointOf(name: string, { m, ...more }: FakeEndpoint = {}): EndpointView {
  const model: ModelView = {
    digest: 'd',
    capabilities: new Set(['completion']),
    resident: true,
    contextLoaded: undefined,
    admitting: true,
    seatFree: true,
    seatToTry: false,
    seatsUsed: 0,
    seatsLimit: 1,
    sizeBytes: undefined,
    evicts: false,
    heldBack: false,
    ...m,
  }
  return {
    name,
    weight: 1,
    labels: [],
    enabled: true,
    ready: true,
    admitting: true,
    contextDefault: 4_096,
    inFlight: 0,
    room: Number.POSITIVE_INFINITY,
    ...more,
    model: (canonical) => (canonical === 'm:latest' && m !== null ? model : undefined),
  }
}

export function needOf(more: Partial<Need> = {}): Need {
  return {
    model: 'm:latest',
    cloud: false,
    capabilities: ['completion'],
    labels: [],
    promptTokens: 10,
    digest: undefined,
    seat: true,
    work: 'chat',
    pinned: undefined,
    runner: '',
    not: new Set(),
    ...more,
  }
}

export function routingOf(
  picker: RoutingSettings['picker'],
  preferences: RoutingSettings['preferences'] = {},
): RoutingSettings {
  return { picker, preferences, loadRescue: true }
}

export type Choice =
  | { readonly kind: 'take'; readonly endpoint: string; readonly asTry: boolean }
  | { readonly kind: 'wait' }
  | { readonly kind: 'nobody'; readonly bars: ReadonlyMap<string, Bar> }

/** What is decided for one alone, by somebody who has learned nothing yet. */
export function choose(
  endpoints: readonly EndpointView[],
  need: Need,
  settings: RoutingSettings,
): Choice {
  const dispatcher = new Dispatcher({ endpoints: () => endpoints }, settings)
  const action = dispatcher.decideFor(waitingOf(dispatcher, need), nobodyElse, 1_000)
  if (action?.kind === 'start')
    return { kind: 'take', endpoint: action.endpoint, asTry: action.asTry }
  return action?.kind === 'nobody' ? { kind: 'nobody', bars: action.bars } : { kind: 'wait' }
}

export const nobodyElse = { countOf: () => 0, batchOf: () => 0, waitedMsOf: () => 0 }

export function waitingOf(
  dispatcher: Dispatcher,
  need: Need,
  more: Partial<Waiting> & { textBytes?: number } = {},
): Waiting {
  const { textBytes = 400, ...rest } = more
  const size = { model: need.model, op: 'chat', tenant: 't', textBytes, outTokensMax: undefined }
  return {
    need,
    key: needKey(need),
    work: dispatcher.workOf(size),
    priority: 'normal',
    sinceMs: 0,
    deadlineMs: undefined,
    promised: undefined,
    ...rest,
  }
}
