import type { z } from 'zod'
import { didYouMean } from '../core/did-you-mean.ts'
import { maskUrl } from './mask.ts'
import type { Places } from './places.ts'
import type { Problem } from './problem.ts'
import { isSecret, keysAt, type Path } from './schema-tree.ts'

type Issue = z.core.$ZodIssue

/** What the schema complains of → problems that say where, what was found there, and what may have been meant. */
export function problemsFromIssues(
  issues: readonly Issue[],
  base: Path,
  data: unknown,
  places: Places,
): { readonly path: Path; readonly problem: Problem }[] {
  const found = new Map<string, { path: Path; problem: Problem }>()
  for (const issue of issues.flatMap(mostExact)) {
    const path = [...base, ...issue.path.map(asPart)]
    if (issue.code === 'unrecognized_keys') {
      for (const key of issue.keys)
        found.set(JSON.stringify([...path, key]), unknownKey(path, key, places))
    } else {
      const at = JSON.stringify(path)
      if (!found.has(at))
        found.set(at, { path, problem: wrongValue(issue, path, valueAt(data, path), places) })
    }
  }
  return [...found.values()]
}

/** Of the ways in which a value could have been right, the one that came furthest says best what is wrong. */
function mostExact(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union') return [issue]
  const inner = issue.errors.flat().filter(({ path }) => path.length > 0)
  if (inner.length === 0) return [issue]
  return inner.flatMap((below) => mostExact({ ...below, path: [...issue.path, ...below.path] }))
}

function unknownKey(path: Path, key: string, places: Places): { path: Path; problem: Problem } {
  const known = keysAt(path) ?? []
  const meant = didYouMean(key, known)
  const glued = known.find((word) => key.startsWith(`${word}:`))
  const hint =
    glued !== undefined
      ? `a space is missing behind "${glued}:"`
      : meant !== undefined
        ? `did you mean "${meant}"?`
        : `known here: ${known.join(', ')}`
  const at = [...path, key]
  return { path: at, problem: places.problem(at, 'is no known key', { hint, onKey: true }) }
}

function wrongValue(issue: Issue, path: Path, value: unknown, places: Places): Problem {
  const place = places.find(path)
  const variables = place?.in === 'file' ? place.from : []
  const open = !isSecret(path) && variables.length === 0
  const message =
    issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message
  return places.problem(path, `${message}${found(issue, value, open, variables)}`, {
    hint: open ? hintFor(issue, value) : undefined,
    onKey: issue.code === 'invalid_key',
  })
}

function found(issue: Issue, value: unknown, open: boolean, variables: readonly string[]): string {
  if (variables.length > 0) return `, not what ${variables.join(' and ')} says`
  if (!open || !/^must be /.test(issue.message) || issue.code === 'invalid_key') return ''
  if (typeof value === 'string') {
    // By a stray sign the lines below became part of it, and what in them is secret nobody can tell: YAML makes a space of
    // a line's end.
    if (/\s/.test(value)) return ''
    const shown = maskUrl(value)
    return shown.length <= 80 ? `, not ${JSON.stringify(shown)}` : ''
  }
  if (typeof value === 'number' || typeof value === 'boolean') return `, not ${value}`
  if (Array.isArray(value)) return ', not a list'
  return typeof value === 'object' && value !== null ? ', not a map' : ''
}

function hintFor(issue: Issue, value: unknown): string | undefined {
  if (issue.code === 'custom') {
    const hint: unknown = issue.params?.['hint']
    return typeof hint === 'string' ? hint : undefined
  }
  if (issue.code !== 'invalid_value' || typeof value !== 'string') return undefined
  const meant = didYouMean(
    value,
    issue.values.filter((word) => typeof word === 'string'),
  )
  return meant === undefined ? undefined : `did you mean "${meant}"?`
}

const asPart = (part: PropertyKey): string | number =>
  typeof part === 'number' ? part : String(part)

function valueAt(data: unknown, path: Path): unknown {
  let value = data
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Record<string | number, unknown>)[part]
  }
  return value
}
