export interface Summary {
  readonly p50: number
  readonly p99: number
}

/** Not a number where there is nothing to sum up: the tables show it as a dash. */
export function summary(values: Float64Array): Summary {
  const sorted = values.toSorted()
  return { p50: percentile(sorted, 50), p99: percentile(sorted, 99) }
}

function percentile(sorted: Float64Array, percent: number): number {
  const index = Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))
  return sorted[index] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b)
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN
  return (lower + upper) / 2
}

/** (largest − smallest) / median, in percent: how far one round may lie from the next. */
export function spreadPercent(values: readonly number[]): number {
  const known = values.filter((value) => !Number.isNaN(value))
  if (known.length < 2) return Number.NaN
  return ((Math.max(...known) - Math.min(...known)) / median(known)) * 100
}
