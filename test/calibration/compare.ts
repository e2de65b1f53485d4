/** Lists where two recordings of the same scenarios disagree, and which of that is known. */
import type { Generation, KnownDifference } from './known-differences.ts'
import type { Recording } from './scenarios.ts'

export interface Difference {
  step: string
  /** Where in the record, as keys joined by dots. */
  path: string
  real: unknown
  simulator: unknown
}

const isTree = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

function walk(step: string, path: string, real: unknown, simulator: unknown): Difference[] {
  if (JSON.stringify(real) === JSON.stringify(simulator)) return []
  if (isTree(real) && isTree(simulator) && Array.isArray(real) === Array.isArray(simulator)) {
    const keys = new Set([...Object.keys(real), ...Object.keys(simulator)])
    return [...keys].flatMap((key) =>
      walk(step, path === '' ? key : `${path}.${key}`, real[key], simulator[key]),
    )
  }
  return [{ step, path, real, simulator }]
}

export function differences(real: Recording, simulator: Recording): Difference[] {
  const steps = new Set([...Object.keys(real), ...Object.keys(simulator)])
  return [...steps].flatMap((step) => walk(step, '', real[step], simulator[step]))
}

export interface Judged {
  unexplained: Difference[]
  explained: Array<Difference & { reason: string }>
  /** Entries of the list that no difference needs any more. */
  unused: KnownDifference[]
}

const matches = (pattern: RegExp | string, text: string): boolean =>
  typeof pattern === 'string' ? pattern === text : pattern.test(text)

export function judge(
  found: readonly Difference[],
  known: readonly KnownDifference[],
  generation: Generation,
): Judged {
  const judged: Judged = { unexplained: [], explained: [], unused: [] }
  const used = new Set<KnownDifference>()
  for (const difference of found) {
    const entry = known.find(
      (one) =>
        (one.generation === undefined || one.generation === generation) &&
        matches(one.step, difference.step) &&
        (one.path === undefined || matches(one.path, difference.path)),
    )
    if (entry === undefined) judged.unexplained.push(difference)
    else {
      used.add(entry)
      judged.explained.push({ ...difference, reason: entry.reason })
    }
  }
  judged.unused = known.filter(
    (one) => !used.has(one) && (one.generation === undefined || one.generation === generation),
  )
  return judged
}

const short = (value: unknown): string => {
  const text = value === undefined ? '(absent)' : JSON.stringify(value)
  return text.length > 160 ? `${text.slice(0, 157)}...` : text
}

export function table(found: readonly Difference[]): string {
  return found
    .map((one) =>
      [
        `${one.step}  ${one.path}`,
        `    real       ${short(one.real)}`,
        `    simulator  ${short(one.simulator)}`,
      ].join('\n'),
    )
    .join('\n')
}
