import { canonicalName, shortName } from '../core/model-name.ts'

/** One backend's list, as it sent it. */
export interface BackendEntries {
  readonly backend: string
  readonly entries: readonly unknown[]
}

export type Entry = Readonly<Record<string, unknown>>

/** One name that means different weights on different backends: something the operator should know. */
export interface Conflict {
  /** Canonical. */
  readonly model: string
  /** The digest that won. */
  readonly digest: string
  /** Every digest, with the backends that have it. */
  readonly backendsByDigest: Readonly<Record<string, readonly string[]>>
}

export interface Merged {
  readonly models: readonly Entry[]
  readonly conflicts: readonly Conflict[]
}

/** More entries than this from one backend are not looked at: nobody has them, and a broken server might. */
const entriesMax = 10_000
const nameBytesMax = 512

interface Row {
  readonly backend: string
  readonly entry: Entry
  readonly digest: string
  /** Milliseconds since 1970 of the date that orders the list; the far past when there is none. */
  readonly dateMs: number
}

/**
 * The models of all backends as one `/api/tags` list: one entry per name, each entry whole from one backend. Where
 * digests differ, the one that most backends have wins, then the newest. Newest first, as Ollama sorts.
 */
export function mergeTags(lists: readonly BackendEntries[]): Merged {
  return merge(lists, 'modified_at')
}

/** The loaded models of all backends as one `/api/ps` list: the row that stays longest stands for its model. */
export function mergePs(lists: readonly BackendEntries[]): Merged {
  return merge(lists, 'expires_at')
}

/**
 * The `/v1/models` list, made from the backends' tags as Ollama makes it from its own.
 * Source: Ollama openai/openai.go, ToListCompletion; without models its `data` is null.
 */
export function mergeModels(lists: readonly BackendEntries[]): {
  readonly object: 'list'
  readonly data: readonly Entry[] | null
} {
  const data = mergeTags(lists).models.map((entry) => {
    const id = nameOf(entry) ?? ''
    const dateMs = dateOf(entry['modified_at'])
    return {
      id,
      object: 'model',
      created: Number.isFinite(dateMs) ? Math.floor(dateMs / 1000) : 0,
      owned_by: ownerOf(id),
    }
  })
  return { object: 'list', data: data.length === 0 ? null : data }
}

/** The lowest version: clients switch features on by it. Development builds (0.0.0) only count among themselves. */
export function lowestVersion(versions: readonly unknown[]): string | undefined {
  const known = versions
    .filter((version) => typeof version === 'string')
    .filter((version) => version.length <= 64 && /^v?\d+\.\d+\.\d+/.test(version))
  const released = known.filter((version) => !/^v?0\.0\.0/.test(version))
  return (released.length > 0 ? released : known).sort(compareVersions)[0]
}

function merge(lists: readonly BackendEntries[], dateKey: 'modified_at' | 'expires_at'): Merged {
  const rowsByName = new Map<string, Row[]>()
  for (const { backend, entries } of lists) {
    if (!Array.isArray(entries)) continue
    for (const entry of entries.slice(0, entriesMax)) {
      const name = isEntry(entry) ? nameOf(entry) : undefined
      if (!isEntry(entry) || name === undefined) continue
      const digest = typeof entry['digest'] === 'string' ? entry['digest'].slice(0, 128) : ''
      const row = { backend, entry, digest, dateMs: dateOf(entry[dateKey]) }
      const key = canonicalName(name)
      const rows = rowsByName.get(key)
      if (rows === undefined) rowsByName.set(key, [row])
      // The same name twice from one backend is a fault of its; the first stands.
      else if (!rows.some((other) => other.backend === backend)) rows.push(row)
    }
  }

  const conflicts: Conflict[] = []
  const chosen: { key: string; row: Row }[] = []
  for (const [key, rows] of rowsByName) {
    const byDigest = Map.groupBy(rows, (row) => row.digest)
    const digest = dateKey === 'modified_at' ? ruling(byDigest) : undefined
    const row = newest(digest === undefined ? rows : byDigest.get(digest)!)
    chosen.push({ key, row })
    // An absent digest says nothing, so it contradicts nobody.
    const said = [...byDigest].filter(([text]) => text !== '')
    if (said.length > 1)
      conflicts.push({
        model: key,
        digest: row.digest,
        backendsByDigest: Object.fromEntries(
          said.map(([text, of]) => [text, of.map((one) => one.backend)]),
        ),
      })
  }
  // Ollama compares whole seconds; names break ties, so that the order does not depend on who answered first.
  chosen.sort((a, b) => seconds(b.row) - seconds(a.row) || (a.key < b.key ? -1 : 1))
  return { models: chosen.map(({ row }) => row.entry), conflicts }
}

/** The digest most backends have; of equals the one with the newest entry, and then any, but always the same. */
function ruling(byDigest: ReadonlyMap<string, readonly Row[]>): string {
  return [...byDigest].sort(
    ([digestA, rowsA], [digestB, rowsB]) =>
      Number(digestA === '') - Number(digestB === '') ||
      rowsB.length - rowsA.length ||
      newest(rowsB).dateMs - newest(rowsA).dateMs ||
      (digestA < digestB ? -1 : 1),
  )[0]![0]
}

function newest(rows: readonly Row[]): Row {
  return rows.reduce((best, row) =>
    row.dateMs > best.dateMs || (row.dateMs === best.dateMs && row.backend < best.backend)
      ? row
      : best,
  )
}

const seconds = (row: Row) => Math.floor(row.dateMs / 1000)

/** Before every date, and finite: a difference of two infinities is no number. */
const noDateMs = -8.64e15

function dateOf(value: unknown): number {
  const dateMs = typeof value === 'string' && value.length <= 64 ? Date.parse(value) : Number.NaN
  return Number.isNaN(dateMs) ? noDateMs : dateMs
}

function nameOf(entry: Entry): string | undefined {
  for (const name of [entry['name'], entry['model']])
    if (typeof name === 'string' && name.trim() !== '' && name.length <= nameBytesMax) return name
  return undefined
}

function isEntry(value: unknown): value is Entry {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function ownerOf(name: string): string {
  return shortName(name)?.split('/').at(-2) ?? 'library'
}

function compareVersions(a: string, b: string): number {
  const [coreA, earlyA] = splitVersion(a)
  const [coreB, earlyB] = splitVersion(b)
  for (let index = 0; index < 3; index++) {
    const difference = coreA[index]! - coreB[index]!
    if (difference !== 0) return difference
  }
  // A release candidate comes before its release.
  if (earlyA === '' || earlyB === '') return Number(earlyA === '') - Number(earlyB === '')
  return earlyA.localeCompare(earlyB, 'en', { numeric: true })
}

function splitVersion(version: string): readonly [readonly number[], string] {
  const [, major, minor, patch, early] = /^v?(\d+)\.(\d+)\.(\d+)(?:-([^+]*))?/.exec(version) ?? []
  return [[Number(major), Number(minor), Number(patch)], early ?? '']
}
