import type { Barred } from './able.ts'
import { type Table, type TermName, type Tie, termCount, termNames } from './table.ts'

/** A decision in words and seconds, as the API gives it. */
export interface Explained {
  readonly model: string
  /** When, as an ISO date. */
  readonly at: string
  readonly picker: string
  readonly reason: string
  readonly backend: string
  /** The seat is one more than was known to exist. */
  readonly as_try: boolean
  readonly candidates: readonly ExplainedPlace[]
  /** Further places that could have served, and that the table has no room for. */
  readonly more_candidates: number
  readonly barred: readonly { readonly backend: string; readonly reason: string }[]
}

export interface ExplainedPlace {
  readonly backend: string
  readonly chosen: boolean
  /** Null: it was no choice at that moment, or the picker knows no seconds. */
  readonly cost_s: number | null
  /** Terms that are not zero. */
  readonly terms_s: Readonly<Partial<Record<TermName, number>>>
}

/** Puts a table into words; `atWallMs` is the date of the decision. */
export function explain(table: Table, barred: readonly Barred[], atWallMs: number): Explained {
  const candidates = table.endpoints.map((backend, at) => explainedPlace(table, backend, at))
  candidates.sort(byCost)
  return {
    model: table.model,
    at: new Date(atWallMs).toISOString(),
    picker: table.by,
    reason: reasonOf(table, barred),
    backend: table.winner,
    as_try: table.asTry,
    candidates,
    more_candidates: table.placesInAll - table.endpoints.length,
    barred: barred.map(({ endpoint, bar }) => ({ backend: endpoint, reason: bar })),
  }
}

function reasonOf(table: Table, barred: readonly Barred[]): string {
  if (table.because !== undefined) return `${table.by}: ${table.because}`
  if (table.terms.length === 0) return `first by ${table.by}`
  if (table.endpoints.length === 1) {
    const hadIt = barred.some(({ bar }) => bar === 'tried' || bar === 'underWay')
    return hadIt ? 'the only other one that can serve it' : 'the only one that can serve it'
  }
  return table.tie === undefined
    ? 'least cost'
    : `as good as the cheapest as far as is known, and ${tieWords[table.tie]}`
}

const tieWords: Readonly<Record<Tie, string>> = {
  begins: 'able to begin now',
  cache: 'with more of the prompt in its cache',
  turn: 'next in turn',
}

function explainedPlace(table: Table, backend: string, at: number): ExplainedPlace {
  const chosen = backend === table.winner
  const terms: Partial<Record<TermName, number>> = {}
  if (table.terms.length === 0) return { backend, chosen, cost_s: null, terms_s: terms }
  let cost = 0
  for (const [term, name] of termNames.entries()) {
    const seconds = table.terms[at * termCount + term]!
    if (Number.isNaN(seconds)) return { backend, chosen, cost_s: null, terms_s: {} }
    cost += seconds
    if (seconds !== 0) terms[name] = rounded(seconds)
  }
  return { backend, chosen, cost_s: rounded(cost), terms_s: terms }
}

function byCost(one: ExplainedPlace, other: ExplainedPlace): number {
  if (one.chosen !== other.chosen) return one.chosen ? -1 : 1
  return (one.cost_s ?? Number.MAX_VALUE) - (other.cost_s ?? Number.MAX_VALUE)
}

/** Milliseconds are as far as anybody reads. */
function rounded(seconds: number): number {
  return Math.round(seconds * 1_000) / 1_000
}
