import { lowestVersion, mergeModels, mergePs, mergeTags } from '../dialects/merge.ts'
import type { Route } from '../dialects/routes.ts'
import type { Pool } from '../pool/pool.ts'

/** What a client hears when nobody has told a version yet. */
const versionUnknown = '0.0.0'

/** The fleet seen as one server, from what the last looks told: it never asks a backend. */
export function merged(route: Route, pool: Pool): unknown {
  const inService = pool.endpoints.filter((endpoint) => endpoint.enabled)
  // Models on the disk of a server that is away are still the fleet's; what it had in memory is gone.
  const onDisk = () =>
    inService.map(({ name, onDisk }) => ({
      backend: name,
      entries: [...onDisk.values()].map(({ entry }) => entry),
    }))
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
