import { lowestVersion, mergeModels, mergePs, mergeTags } from '../dialects/merge.ts'
import type { Route } from '../dialects/routes.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Pool } from '../pool/pool.ts'

/** What a client hears when nobody has told a version yet. */
const versionUnknown = '0.0.0'

/** The fleet seen as one server, from what the last looks told: it never asks a backend. */
export function merged(route: Route, pool: Pool): unknown {
  const inService = pool.endpoints.filter((endpoint) => endpoint.enabled)
  const onDisk = () => listsOf(inService)
  if (route.path === '/v1/models') return mergeModels(onDisk())
  switch (route.op) {
    case 'list':
      return { models: mergeTags(onDisk()).models }
    case 'ps':
      return {
        models: mergePs(
          inService
            .filter(({ ready }) => ready)
            .map(({ name, inMemory }) => ({
              backend: name,
              entries: [...inMemory.values()].map(({ entry }) => entry),
            })),
        ).models,
      }
    default:
      return {
        version:
          lowestVersion(inService.filter(({ ready }) => ready).map(({ version }) => version)) ??
          versionUnknown,
      }
  }
}

/**
 * Models on the disk of a server that is away are still the fleet's, as long as nobody who is there has the name: the
 * weights that are shown are those that serve.
 */
function listsOf(endpoints: readonly Endpoint[]) {
  const served = new Set(
    endpoints.filter(({ ready }) => ready).flatMap(({ onDisk }) => [...onDisk.keys()]),
  )
  return endpoints.map(({ name, ready, onDisk }) => ({
    backend: name,
    entries: [...onDisk.values()]
      .filter(({ canonical }) => ready || !served.has(canonical))
      .map(({ entry }) => entry),
  }))
}
