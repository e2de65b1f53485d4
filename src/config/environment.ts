import { didYouMean } from '../core/did-you-mean.ts'
import { coerce } from './coerce.ts'
import type { Places } from './places.ts'
import { type LeafKind, leaves } from './schema-tree.ts'
import type { Environment } from './substitute.ts'

/** Variables that are no key of the file. */
const extras = [
  'CHASQUI_CONFIG',
  'CHASQUI_BACKENDS',
  'CHASQUI_SLOTS',
  'CHASQUI_DEMO',
  'CHASQUI_MAKE_ADMIN_TOKEN',
  'CHASQUI_SUPERVISED',
  'CHASQUI_WORKER',
  'CHASQUI_DATABASE_URL',
]

/** Kubernetes sets these in every container for a service of that name. */
const setByKubernetes = /^CHASQUI_(SERVICE_(HOST|PORT)|PORT)(_|$)/

/** Variable → key. An image's CHASQUI_VERSION would be the program's version, so that key has none. */
export function settingVariables(): Map<string, { path: readonly string[]; kind: LeafKind }> {
  return new Map(
    leaves()
      .filter(({ path }) => path[0] !== 'version')
      .map((leaf) => [`CHASQUI_${leaf.path.join('_').toUpperCase()}`, leaf]),
  )
}

/** Lays the variables over what the file says. An empty variable counts as not set. */
export function withEnvironment(
  data: Readonly<Record<string, unknown>>,
  env: Environment,
  places: Places,
): Record<string, unknown> {
  let laid = { ...data }
  for (const [name, { path, kind }] of settingVariables()) {
    const words = env[name]
    if (words === undefined || words === '') continue
    laid = withValue(laid, path, coerce(words, kind))
    places.set(path, { in: 'environment', name })
  }
  return laid
}

/** One sentence for each variable that looks like a setting and is none. */
export function unknownVariables(env: Environment): string[] {
  const known = [...settingVariables().keys(), ...extras]
  return Object.keys(env)
    .filter(
      (name) => name.startsWith('CHASQUI_') && !known.includes(name) && !setByKubernetes.test(name),
    )
    .sort()
    .map((name) => {
      const meant = didYouMean(name, known)
      return `${name} is no setting and was ignored${meant === undefined ? '' : `; did you mean ${meant}?`}`
    })
}

function withValue(
  data: Readonly<Record<string, unknown>>,
  [key = '', ...below]: readonly string[],
  value: unknown,
): Record<string, unknown> {
  if (below.length === 0) return { ...data, [key]: value }
  const inner = data[key]
  // A section that is no map stays as it is, for the check to refuse.
  if (inner !== undefined && (typeof inner !== 'object' || inner === null || Array.isArray(inner)))
    return { ...data }
  return { ...data, [key]: withValue((inner ?? {}) as Record<string, unknown>, below, value) }
}
