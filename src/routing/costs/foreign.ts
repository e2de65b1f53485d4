import { Recent } from '../../core/recent.ts'

/** What was noticed of others' work counts half after this long: they may be gone. */
const halfLifeMs = 30_000
/** Shorter waits are overhead. */
const noticedS = 0.05
/** One answer that was kept waiting for minutes says nothing about the next one. */
const foreignSMax = 120
const endpointsMax = 4_096

interface Row {
  seconds: number
  atMs: number
  /** What the last answer had waited. */
  last: number
}

/**
 * Work of others: time that an answer spent inside a server, and that none of its figures explains, while a seat of
 * ours was free there. Somebody asks that server directly.
 */
export class Foreign {
  readonly #rows = new Recent<string, Row>(endpointsMax)

  /**
   * An answer waited so long for nothing that we know of. A short time says that nobody was there. Two in a row count
   * for what the shorter one had waited: a machine that stood still for a moment is nobody's work.
   */
  noticed(endpoint: string, hiddenS: number, nowMs: number): void {
    const before = this.at(endpoint, nowMs)
    const seconds = hiddenS > noticedS ? Math.min(hiddenS, foreignSMax) : 0
    const after = before + 0.5 * (Math.min(seconds, this.#rows.peek(endpoint)?.last ?? 0) - before)
    if (after > 0.01 || seconds > 0)
      this.#rows.set(endpoint, { seconds: after, atMs: nowMs, last: seconds })
    else this.#rows.delete(endpoint)
  }

  /** Seconds that a request is likely to wait there behind others' work. */
  at(endpoint: string, nowMs: number): number {
    const row = this.#rows.peek(endpoint)
    return row ? row.seconds * 0.5 ** ((nowMs - row.atMs) / halfLifeMs) : 0
  }

  forget(endpoint: string): void {
    this.#rows.delete(endpoint)
  }
}
