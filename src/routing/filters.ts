import type { EndpointView } from '../core/endpoint-view.ts'
import type { Need } from './need.ts'

/** Why an endpoint can not serve a need; the words that an operator reads in a refusal. */
export type Bar =
  | 'tried'
  | 'notPinned'
  | 'draining'
  | 'away'
  | 'resting'
  | 'noModel'
  | 'otherWeights'
  | 'noCapability'
  | 'noLabel'

/** Undefined: it can serve, though perhaps not now. Whether a seat is free is another question. */
export function barOf(endpoint: EndpointView, need: Need): Bar | undefined {
  const model = endpoint.model(need.model)
  // A cloud model needs no copy on disk, only a server that is signed in; who lists it comes first (choose).
  if (!model && !need.cloud) return 'noModel'
  if (need.pinned !== undefined && need.pinned !== endpoint.name) return 'notPinned'
  if (need.not.has(endpoint.name)) return 'tried'
  if (!endpoint.enabled) return 'draining'
  if (!endpoint.ready) return 'away'
  if (need.labels.some((label) => !endpoint.labels.includes(label))) return 'noLabel'
  if (!model) return undefined
  if (need.digest !== undefined && model.digest !== undefined && model.digest !== need.digest)
    return 'otherWeights'
  const { capabilities } = model
  if (capabilities && need.capabilities.some((each) => !capabilities.has(each)))
    return 'noCapability'
  if (!model.admitting) return 'resting'
  return undefined
}

/** Tokens of context that a request for this model gets there. */
export function contextAt(endpoint: EndpointView, need: Need): number {
  return endpoint.model(need.model)?.contextLoaded ?? endpoint.contextDefault
}
