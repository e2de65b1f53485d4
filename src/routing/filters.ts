import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import type { Need } from './need.ts'
import { mayServe } from './rules/placement.ts'

/** Why an endpoint can not serve a need; the words that an operator reads in a refusal. */
export type Bar =
  | 'tried'
  /** It is under way there: a second one is looked for beside it. */
  | 'underWay'
  | 'notPinned'
  | 'draining'
  | 'away'
  | 'resting'
  | 'noModel'
  | 'otherWeights'
  | 'noCapability'
  | 'noLabel'
  /** It is not in memory there, and loads hang. */
  | 'loadsHang'
  /** The operator's rules keep this request from it. */
  | 'ruledOut'
  /** The operator lets it serve other models only. */
  | 'notItsModel'

/** Undefined: it can serve, though perhaps not now. Whether a seat is free is another question. */
export function barOf(
  endpoint: EndpointView,
  model: ModelView | undefined,
  need: Need,
): Bar | undefined {
  // A cloud model needs no copy on disk, only a server that is signed in; who lists it comes first (choose).
  if (!model && !need.cloud) return 'noModel'
  if (need.pinned !== undefined && need.pinned !== endpoint.name) return 'notPinned'
  if (need.not.size > 0 && need.not.has(endpoint.name)) return 'tried'
  if (need.beside === endpoint.name) return 'underWay'
  if (endpoint.takes?.(need.model) === false) return 'notItsModel'
  if (need.rules !== undefined && !mayServe(need.rules, endpoint)) return 'ruledOut'
  if (!endpoint.enabled) return 'draining'
  if (!endpoint.ready) return 'away'
  if (!hasLabels(endpoint, need)) return 'noLabel'
  if (!model) return endpoint.admitting ? undefined : 'resting'
  if (need.digest !== undefined && model.digest !== undefined && model.digest !== need.digest)
    return 'otherWeights'
  if (!model.admitting) return 'resting'
  if (endpoint.loadsHang && !model.resident) return 'loadsHang'
  return isCapable(model, need) ? undefined : 'noCapability'
}

/** Mostly nothing is asked for, and this is asked of every endpoint for every request. */
function hasLabels({ labels }: EndpointView, need: Need): boolean {
  return need.labels.length === 0 || need.labels.every((label) => labels.includes(label))
}

/** As far as the server said: nothing is ruled out that nobody spoke of. */
export function isCapable({ capabilities }: ModelView, need: Need): boolean {
  if (capabilities === undefined || need.capabilities.length === 0) return true
  return need.capabilities.every((each) => capabilities.has(each))
}

/** Tokens of context that a request for this model gets there. */
export function contextAt(endpoint: EndpointView, model: ModelView | undefined): number {
  return model?.contextLoaded ?? endpoint.contextDefault
}
