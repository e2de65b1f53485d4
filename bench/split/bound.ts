/** What a machine can do for a batch of equal parts, as the bound reckons with it. */
export interface Capacity {
  /** What one part takes there, measured alone. */
  readonly partMs: number
  /** Before its first part: the model is loaded. */
  readonly loadMs: number
  /** From then on it answers nothing; undefined: it lives. */
  readonly diesAtMs: number | undefined
}

/**
 * Total work / total speed, loads counted: the moment at which everybody, always busy, has done it all, as if parts
 * could be cut at will. No schedule ends sooner. Infinity when those who live can not do it.
 */
export function fluidBoundMs(parts: number, machines: readonly Capacity[]): number {
  return earliestMs(parts, (atMs) =>
    machines.reduce((done, machine) => done + partsBy(machine, atMs), 0),
  )
}

/**
 * The best schedule of parts that can not be cut: since all parts are equal it is exact, for then only their number at
 * each machine matters, and every machine may as well do as many as end in time.
 */
export function wholePartsBoundMs(parts: number, machines: readonly Capacity[]): number {
  return earliestMs(parts, (atMs) =>
    // The halved interval ends a hair beside the true moment: a part that is all but done then counts.
    machines.reduce((done, machine) => done + Math.floor(partsBy(machine, atMs) + 1e-6), 0),
  )
}

function partsBy({ partMs, loadMs, diesAtMs }: Capacity, atMs: number): number {
  return Math.max(0, Math.min(atMs, diesAtMs ?? atMs) - loadMs) / partMs
}

/** Longer than anything that is ever measured here. */
const neverMs = 86_400_000

function earliestMs(parts: number, doneBy: (atMs: number) => number): number {
  if (doneBy(neverMs) < parts) return Number.POSITIVE_INFINITY
  let low = 0
  let high = neverMs
  // Sixty halvings of a day are far below a microsecond.
  for (let halving = 0; halving < 60; halving++) {
    const middle = (low + high) / 2
    if (doneBy(middle) >= parts) high = middle
    else low = middle
  }
  return high
}
