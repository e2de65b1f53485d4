import type { Served } from './machine.ts'

/** What one machine did in a round, and how fast it is. */
export interface Worked {
  readonly partMs: number
  readonly served: readonly Served[]
  /** Its death, on the date's clock; undefined: it lived. */
  readonly diedMs: number | undefined
}

/** Where the power of a fleet went that did not become answers, each as a share of all of it. */
export interface Lost {
  /** Nothing to do yet. */
  readonly start: number
  /** Nothing to do between two parts. */
  readonly gaps: number
  /** Nothing to do any more, while others still worked. */
  readonly tail: number
  /** Spent on what nobody got: the loser of two tries, what died. */
  readonly wasted: number
}

/**
 * A fast machine's idle second counts for more than a slow one's, as much as it could have done in it. Loading is
 * counted as work, since the bound counts it as well.
 */
export function lostIn(machines: readonly Worked[], fromMs: number, toMs: number): Lost {
  let [all, start, gaps, tail, wasted] = [0, 0, 0, 0, 0]
  for (const { partMs, served, diedMs } of machines) {
    const endMs = Math.min(toMs, diedMs ?? toMs)
    const power = 1 / partMs
    let busyUntil = fromMs
    for (const row of served.toSorted((one, other) => one.fromMs - other.fromMs)) {
      const rowEnd = Math.min(row.toMs ?? endMs, endMs)
      const idle = Math.max(0, Math.min(row.fromMs, endMs) - busyUntil) * power
      if (busyUntil === fromMs) start += idle
      else gaps += idle
      if (!row.isGood) wasted += Math.max(0, rowEnd - Math.max(row.fromMs, fromMs)) * power
      busyUntil = Math.max(busyUntil, rowEnd)
    }
    tail += Math.max(0, endMs - busyUntil) * power
    all += (endMs - fromMs) * power
  }
  return { start: start / all, gaps: gaps / all, tail: tail / all, wasted: wasted / all }
}
