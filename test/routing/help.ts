import type { EndpointView, ModelView } from '../../src/core/endpoint-view.ts'
import type { RoutingSettings } from '../../src/core/settings.ts'
import type { Need } from '../../src/routing/need.ts'

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
