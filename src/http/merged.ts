import { canonicalName } from '../core/model-name.ts'
import { lowestVersion, mergeModels, mergePs, mergeTags } from '../dialects/merge.ts'
import type { Route } from '../dialects/routes.ts'
import type { ModelOnDisk } from '../pool/catalogue.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Pool } from '../pool/pool.ts'

/** What a client hears when nobody has told a version yet. */
const versionUnknown = '0.0.0'

/** The fleet seen as one server, from what the last looks told: it never asks a backend. */
export function merged(
  route: Route,
  pool: Pool,
  aliases: Readonly<Record<string, string>> = {},
): unknown {
  const inService = pool.endpoints.filter((endpoint) => endpoint.enabled)
  const onDisk = () => listsOf(inService, Object.entries(aliases))
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
function listsOf(
  endpoints: readonly Endpoint[],
  aliases: readonly (readonly [alias: string, model: string])[],
) {
  const served = new Set(
    endpoints.filter(({ ready }) => ready).flatMap(({ onDisk }) => [...onDisk.keys()]),
  )
  const hidden = new Set(aliases.map(([alias]) => canonicalName(alias)))
  return endpoints.map((endpoint) => {
    const { name, ready, onDisk } = endpoint
    const shown = [...onDisk.values()].filter(
      ({ canonical }) => (ready || !served.has(canonical)) && endpoint.takes(canonical),
    )
    const entries = shown.filter(({ canonical }) => !hidden.has(canonical))
    return {
      backend: name,
      entries: [...entries.map(({ entry }) => entry), ...aliasEntries(shown, aliases)],
    }
  })
}

/** An alias is shown as its model under another name: who picks from a list can not pick what is not on it. */
function aliasEntries(
  shown: readonly ModelOnDisk[],
  aliases: readonly (readonly [alias: string, model: string])[],
) {
  return aliases.flatMap(([alias, model]) => {
    const meant = shown.find(({ canonical }) => canonical === canonicalName(model))
    return meant ? [{ ...meant.entry, name: alias, model: alias }] : []
  })
}
