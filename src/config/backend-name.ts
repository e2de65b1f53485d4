import type { BackendUrl } from './backend-url.ts'
import type { NumberedBackend } from './check.ts'

/** The name of each backend: the given one, or one made of host and port. */
export function namesOf(backends: readonly NumberedBackend[]): Map<number, string> {
  const taken = new Set(backends.flatMap(({ backend }) => backend.name ?? []))
  const names = new Map<number, string>()
  for (const { index, backend } of backends) {
    const name = backend.name ?? free(derived(backend.url), taken)
    taken.add(name)
    names.set(index, name)
  }
  return names
}

/** A name for a server of which only the address is known. */
export function derived(url: Pick<BackendUrl, 'host' | 'port' | 'pathPrefix'>): string {
  const words = `${url.host.replace(/^\[|\]$/g, '')}-${url.port}${url.pathPrefix}`
  return (
    words
      .toLowerCase()
      .replace(/[^a-z0-9_.]+/g, '-')
      .replace(/^[^a-z0-9]+/, '')
      .slice(0, 60) || 'backend'
  )
}

function free(name: string, taken: ReadonlySet<string>): string {
  if (!taken.has(name)) return name
  let number = 2
  while (taken.has(`${name}-${number}`)) number++
  return `${name}-${number}`
}
