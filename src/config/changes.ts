import { isDeepStrictEqual } from 'node:util'
import type { Settings } from '../core/settings.ts'
import { printable } from './printable.ts'

/** One difference between two configurations, in the words of the file and without secrets. */
export interface Change {
  readonly key: string
  readonly sentence: string
  /** True: it can not change while the process runs. */
  readonly needsRestart: boolean
}

/** The socket is open, files lie in the directory, and logs have begun in their form and place. */
const needRestart: ReadonlySet<string> = new Set([
  'listen',
  'data',
  'log.format',
  'routing.decision_log',
])

/** What is different in `after`. */
export function changesBetween(before: Settings, after: Settings): Change[] {
  const { backends: backendsBefore, ...restBefore } = plainOf(before)
  const { backends: backendsAfter, ...restAfter } = plainOf(after)
  return [
    ...differences(byName(backendsBefore), byName(backendsAfter), []).map(backendChange),
    ...differences(restBefore, restAfter, []).map(settingChange),
  ]
}

/** `after` with everything that needs a restart as it was. */
export function asFarAsPossible(before: Settings, after: Settings): Settings {
  const { listen, dataDir, decisionLog } = before
  return {
    ...after,
    listen,
    dataDir,
    decisionLog,
    log: { ...after.log, format: before.log.format },
  }
}

interface Difference {
  readonly path: readonly string[]
  readonly from: unknown
  readonly to: unknown
}

/** Leaves that differ. Lists are leaves; of a map that is new or gone, or was a single value, the whole is one. */
function differences(before: Plain, after: Plain, path: readonly string[]): Difference[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...keys].flatMap((key) => {
    const [from, to] = [before[key], after[key]]
    const here = [...path, key]
    if (isDeepStrictEqual(from, to)) return []
    return isMap(from) && isMap(to) ? differences(from, to, here) : [{ path: here, from, to }]
  })
}

function backendChange({ path: [name = '', ...below], from, to }: Difference): Change {
  const key = `backend ${name}`
  if (below.length === 0)
    return {
      key,
      sentence: `${key} ${from === undefined ? 'added' : 'removed'}`,
      needsRestart: false,
    }
  return said(`${key} ${below.join('.')}`, below[0] === 'headers', from, to)
}

function settingChange({ path, from, to }: Difference): Change {
  const key = path.join('.')
  return said(key, key === 'admin_token' || key === 'join.token', from, to)
}

function said(key: string, isSecret: boolean, from: unknown, to: unknown): Change {
  const sentence = isSecret ? `${key} changed` : `${key} ${shown(from)} → ${shown(to)}`
  return { key, sentence, needsRestart: needRestart.has(key) }
}

/** Longer values are texts, which nobody reads in a log. */
const shownMax = 100

function shown(value: unknown): string {
  if (value === undefined || value === null) return 'unset'
  const words = typeof value === 'string' ? value : JSON.stringify(value)
  return words.length > shownMax ? `${words.slice(0, shownMax)}…` : words
}

type Plain = Readonly<Record<string, unknown>>

const isMap = (value: unknown): value is Plain =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const plainOf = (settings: Settings) => printable(settings, (secret) => secret)

const byName = (backends: readonly { readonly name: string }[]): Plain =>
  Object.fromEntries(backends.map((backend) => [backend.name, backend]))
