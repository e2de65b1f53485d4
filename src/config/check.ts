import type { Settings } from '../core/settings.ts'
import { backendSchema, type CheckedBackend } from './backend-schema.ts'
import { crossCheck } from './cross-check.ts'
import { problemsFromIssues } from './issues.ts'
import type { Places } from './places.ts'
import type { Problem } from './problem.ts'
import { type CheckedConfig, configSchema } from './schema.ts'
import type { Path } from './schema-tree.ts'
import { settingsOf } from './settings-of.ts'
import type { Environment } from './substitute.ts'

export type ConfigResult =
  | { readonly ok: true; readonly settings: Settings }
  | { readonly ok: false; readonly problems: readonly Problem[] }

/** A backend that passed for itself, with its place in the list. */
export interface NumberedBackend {
  readonly index: number
  readonly backend: CheckedBackend
}

/** Plain data → settings, or everything that is wrong with it, what one key says of another included. */
export function checkConfig(
  data: Readonly<Record<string, unknown>>,
  places: Places,
  more: { readonly env: Environment; readonly cwd: string; readonly before?: readonly Problem[] },
): ConfigResult {
  const { backends: list, ...rest } = data
  const faults: { path: Path; problem: Problem }[] = []
  const backends = checkBackends(list, data, places, faults)
  const config = checkRest(rest, places, faults)

  const wrong = new Set(faults.map(({ path }) => JSON.stringify(path)))
  const isWrong = (path: Path) => wrong.has(JSON.stringify(path))
  const crossed = config ? crossCheck(config, backends, isWrong, places) : []
  const before = more.before ?? []
  // What could not be filled in is wrong in form as well; that was said once, where it matters.
  const found = faults.flatMap(({ problem }) => (isAmong(before, problem) ? [] : [problem]))
  const problems = [...before, ...found, ...crossed]
  if (problems.length > 0 || !config) return { ok: false, problems: inOrder(problems) }
  return { ok: true, settings: settingsOf(config, backends, more) }
}

/** Each for itself, and without its own faults, so that none hides what else is wrong. */
export function checkBackends(
  list: unknown,
  data: unknown,
  places: Places,
  faults: { path: Path; problem: Problem }[],
): NumberedBackend[] {
  if (!Array.isArray(list)) {
    if (list === undefined) return []
    const issues = configSchema.shape.backends.safeParse(list).error?.issues ?? []
    faults.push(...problemsFromIssues(issues, ['backends'], data, places))
    return []
  }
  return list.flatMap((item: unknown, index) => {
    const checked = backendSchema.safeParse(item)
    if (checked.success) return [{ index, backend: checked.data }]
    const found = problemsFromIssues(checked.error.issues, ['backends', index], data, places)
    faults.push(...found)
    const again = backendSchema.safeParse(
      found.reduce((rest: unknown, { path }) => without(rest, path.slice(2)), item),
    )
    return again.success ? [{ index, backend: again.data }] : []
  })
}

function isAmong(problems: readonly Problem[], { line, column }: Problem): boolean {
  return line !== undefined && problems.some((each) => each.line === line && each.column === column)
}

/** Wrong values are noted and left out, so that their defaults stand in while the rest is checked. */
function checkRest(
  rest: Readonly<Record<string, unknown>>,
  places: Places,
  faults: { path: Path; problem: Problem }[],
): CheckedConfig | undefined {
  const first = configSchema.safeParse(rest)
  if (first.success) return first.data
  const found = problemsFromIssues(first.error.issues, [], rest, places)
  faults.push(...found)
  let mended: unknown = rest
  for (const { path } of found) mended = without(mended, path)
  return configSchema.safeParse(mended).data
}

function without(data: unknown, [part, ...below]: Path): unknown {
  if (typeof data !== 'object' || data === null || part === undefined) return data
  // An item cannot be taken out of a list without moving the others, so the list goes as a whole.
  if (Array.isArray(data)) return []
  const entries = Object.entries(data).filter(([key]) => below.length > 0 || key !== part)
  return Object.fromEntries(
    entries.map(([key, value]) => [key, key === part ? without(value, below) : value]),
  )
}

function inOrder(problems: readonly Problem[]): Problem[] {
  const place = ({ line = Number.MAX_SAFE_INTEGER, column = 0 }: Problem) => [line, column] as const
  return [...problems].sort((a, b) => place(a)[0] - place(b)[0] || place(a)[1] - place(b)[1])
}
