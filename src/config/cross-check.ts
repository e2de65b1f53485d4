import { didYouMean } from '../core/did-you-mean.ts'
import { namesOf } from './backend-name.ts'
import type { BackendUrl } from './backend-url.ts'
import type { NumberedBackend } from './check.ts'
import { isItself } from './itself.ts'
import { circularModels, unknownPlaces } from './placement-check.ts'
import type { Places } from './places.ts'
import type { Problem } from './problem.ts'
import type { CheckedConfig } from './schema.ts'
import { type Path, pathText } from './schema-tree.ts'

/** What one key says of another. A key that is wrong by itself is not compared. */
export function crossCheck(
  config: CheckedConfig,
  backends: readonly NumberedBackend[],
  isWrong: (path: Path) => boolean,
  places: Places,
): Problem[] {
  const problems: Problem[] = []
  const { probes, breaker, listen } = config

  if (
    probes.timeout >= probes.interval &&
    !isWrong(['probes', 'timeout']) &&
    !isWrong(['probes', 'interval'])
  )
    problems.push(
      places.problem(
        nearest(places, ['probes', 'timeout'], ['probes', 'interval']),
        'does not fit: probes.timeout must be below probes.interval',
        {
          hint: 'or two probes of one backend would overlap',
        },
      ),
    )
  if (
    breaker.rest_max < breaker.rest &&
    !isWrong(['breaker', 'rest']) &&
    !isWrong(['breaker', 'rest_max'])
  )
    problems.push(
      places.problem(
        nearest(places, ['breaker', 'rest_max'], ['breaker', 'rest']),
        'does not fit: breaker.rest_max must not be below breaker.rest',
      ),
    )

  problems.push(...sameNames(backends, places), ...sameBackends(backends, places))
  if (!isWrong(['listen']))
    for (const { index, backend } of backends)
      if (isItself(backend.url, listen))
        problems.push(
          places.problem(['backends', index, 'url'], 'is where this proxy itself listens', {
            hint: "an Ollama's own port is 11434 unless it was told another",
          }),
        )
  const areKnown = everybodyIsKnown(config, backends, isWrong)
  if (areKnown) problems.push(...unknownPreferences(config, backends, isWrong, places))
  if (areKnown && !isWrong(['rules'])) {
    const labels = new Set(backends.flatMap(({ backend }) => backend.labels))
    problems.push(...unknownPlaces(config, [...namesOf(backends).values(), ...labels], places))
  }
  problems.push(...circularModels(config, places))
  return problems
}

/** The one of two keys that somebody wrote; the other one is only a default. */
function nearest(places: Places, ...paths: readonly [Path, Path]): Path {
  return paths.find((path) => places.find(path) !== places.find(path.slice(0, -1))) ?? paths[0]
}

export function sameNames(backends: readonly NumberedBackend[], places: Places): Problem[] {
  const first = new Map<string, number>()
  return backends.flatMap(({ index, backend: { name } }) => {
    if (name === undefined) return []
    const before = first.get(name)
    if (before === undefined) {
      first.set(name, index)
      return []
    }
    return [
      places.problem(
        ['backends', index, 'name'],
        `is also the name of ${pathText(['backends', before])}`,
      ),
    ]
  })
}

function sameBackends(backends: readonly NumberedBackend[], places: Places): Problem[] {
  const first = new Map<string, number>()
  return backends.flatMap(({ index, backend: { url } }) => {
    const before = first.get(identity(url))
    if (before === undefined) {
      first.set(identity(url), index)
      return []
    }
    const message = `is the same server as ${pathText(['backends', before])}`
    return [
      places.problem(['backends', index, 'url'], message, {
        hint: 'use slots for more requests at once',
      }),
    ]
  })
}

function identity(url: BackendUrl): string {
  const host = url.host.replace(/\.$/, '')
  return `${host === 'localhost' ? '127.0.0.1' : host}:${url.port}${url.pathPrefix}`
}

function unknownPreferences(
  config: CheckedConfig,
  backends: readonly NumberedBackend[],
  isWrong: (path: Path) => boolean,
  places: Places,
): Problem[] {
  const { routing } = config
  if (isWrong(['routing', 'preferences'])) return []
  const known = [...namesOf(backends).values()]
  return Object.entries(routing.preferences).flatMap(([kind, names]) =>
    names.flatMap((name, index) => {
      if (known.includes(name)) return []
      const meant = didYouMean(name, known)
      const path = ['routing', 'preferences', kind, index]
      return [
        places.problem(path, `names ${quoted(places, path, name)}, which is no backend`, {
          hint: meant === undefined ? `there are: ${known.join(', ')}` : `did you mean "${meant}"?`,
        }),
      ]
    }),
  )
}

/** Whether a name that is none of theirs is surely a mistake. */
function everybodyIsKnown(
  config: CheckedConfig,
  backends: readonly NumberedBackend[],
  isWrong: (path: Path) => boolean,
): boolean {
  // Without any in the configuration, all of them join later, and their names are not known yet.
  if (backends.length === 0 || othersCome(config)) return false
  // A backend with a fault is not among these, but its name may well be the right one.
  return backends.every(
    ({ index }, position) => index === position && !isWrong(['backends', index, 'name']),
  )
}

/** Some join or are found later, under names that nobody knows yet. */
function othersCome({ join, discover }: CheckedConfig): boolean {
  const { dns, folder, mdns, scan } = discover
  return join.token !== undefined || folder !== 'off' || mdns || dns.length + scan.length > 0
}

/** What came out of a variable is not printed, whatever it is. */
function quoted(places: Places, path: Path, words: string): string {
  const place = places.find(path)
  const from = place?.in === 'file' ? place.from : []
  return from.length === 0 ? `"${words}"` : `what ${from.join(' and ')} says`
}
