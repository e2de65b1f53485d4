import type { Backend } from '../core/backend.ts'

/** Somebody who knows of backends: the configuration, members, DNS names, a folder. */
export interface Source {
  backends(): readonly Backend[]
}

/**
 * All backends in one list. A name and an address stand for one server: who comes first in the order of the sources,
 * which is the configuration, keeps both.
 */
export function fleetOf(
  sources: readonly Source[],
  shadowed: (backend: Backend, by: Backend) => void,
): Backend[] {
  const byName = new Map<string, Backend>()
  const byPlace = new Map<string, Backend>()
  for (const source of sources)
    for (const backend of source.backends()) {
      const place = backend.origin + backend.pathPrefix
      const before = byName.get(backend.name) ?? byPlace.get(place)
      if (before) {
        shadowed(backend, before)
        continue
      }
      byName.set(backend.name, backend)
      byPlace.set(place, backend)
    }
  return [...byName.values()]
}
