import { seededDice } from '../../src/core/dice.ts'
import { median } from '../lib/stats.ts'

export interface Interval {
  readonly median: number
  readonly low: number
  readonly high: number
}

const resamples = 2_000

/** The median with its 95 % interval by the bootstrap: of how many medians of resampled seeds 95 of 100 lie between. */
export function intervalOf(values: readonly number[]): Interval {
  const known = values.filter(Number.isFinite)
  if (known.length === 0) return { median: Number.NaN, low: Number.NaN, high: Number.NaN }
  const dice = seededDice(1)
  const medians = Array.from({ length: resamples }, () =>
    median(known.map(() => known[Math.floor(dice.roll() * known.length)]!)),
  ).sort((one, other) => one - other)
  return {
    median: median(known),
    low: medians[Math.floor(0.025 * resamples)]!,
    high: medians[Math.floor(0.975 * resamples)]!,
  }
}
