import type { Endpoint } from '../pool/endpoint.ts'
import type { Sighting } from './continuing/conformance.ts'
import type { Exchange } from './exchange.ts'

/** What a stream that has ended well tells of who could be asked how its model goes on. */
export function sightingOf(
  { asked: { ask, priority } }: Exchange,
  endpoint: Endpoint,
): Sighting | undefined {
  const model = endpoint.model(ask.name.canonical)
  if (!model?.digest || model.remote) return undefined
  return {
    backend: endpoint.name,
    canonical: ask.name.canonical,
    digest: model.digest,
    version: endpoint.version,
    model: ask.modelText,
    runner: ask.runner,
    isBatch: priority === 'batch',
    canThink: model.capabilities?.has('thinking') ?? false,
  }
}
