/** How a program that ended has fared so far. */
export interface Fate {
  /** Times in a row that it ended soon after its start. */
  readonly diedSoon: number
}

export const freshFate: Fate = { diedSoon: 0 }

/** Who runs for so long has started well. */
const soonMs = 5_000
/** So many starts in a row that came to nothing: another one would not fare better. */
export const diedSoonMax = 5
const pauseMsFirst = 500
const pauseMsMax = 30_000

/** After it has ended by itself: what that means, and how long to wait before the next start; undefined: give up. */
export function afterEnd(
  { diedSoon }: Fate,
  ranMs: number,
): { readonly fate: Fate; readonly pauseMs: number | undefined } {
  if (ranMs >= soonMs) return { fate: freshFate, pauseMs: pauseMsFirst }
  const fate = { diedSoon: diedSoon + 1 }
  if (fate.diedSoon >= diedSoonMax) return { fate, pauseMs: undefined }
  return { fate, pauseMs: Math.min(pauseMsFirst * 2 ** diedSoon, pauseMsMax) }
}
