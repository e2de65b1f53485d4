import type { PullTargets } from '../../core/settings.ts'
import type { Endpoint } from '../../pool/endpoint.ts'

/** Backends that take part in anything that changes the fleet: what the operator has drained or what is away does not. */
export function reachable(endpoints: readonly Endpoint[]): Endpoint[] {
  return endpoints.filter((endpoint) => endpoint.enabled && endpoint.ready)
}

/**
 * Where a model is put. `fit` leaves out a backend whose memory the operator or its agent stated and which the model is
 * known to exceed; what nobody knows rules nobody out. `best` takes the largest by memory, then by weight.
 */
export function placesFor(
  endpoints: readonly Endpoint[],
  policy: PullTargets,
  modelBytes: number | undefined,
): Endpoint[] {
  const able = reachable(endpoints)
  if (policy.to === 'all') return able
  const fitting = able.filter(
    ({ memoryBytes }) =>
      memoryBytes === undefined || modelBytes === undefined || modelBytes <= memoryBytes,
  )
  if (policy.to === 'fit') return fitting
  return [...fitting]
    .sort((a, b) => (b.memoryBytes ?? 0) - (a.memoryBytes ?? 0) || b.weight - a.weight)
    .slice(0, policy.count)
}

/** The size of a model, from the first backend that has it and says. */
export function knownSizeBytes(
  endpoints: readonly Endpoint[],
  canonical: string,
): number | undefined {
  for (const endpoint of endpoints) {
    const size = endpoint.onDisk.get(canonical)?.sizeBytes
    if (size !== undefined) return size
  }
  return undefined
}
