import type { Request } from '../engine/specs.ts'
import type { Visit } from '../engine/visit.ts'

/** What a scheduler knows of answers before they end, in tokens. */
export interface Foresight {
  answer(request: Request): number
  /** Of what is under way. */
  left(visit: Visit): number
}

export const foresees: Foresight = {
  answer: ({ outputTokens }) => outputTokens,
  left: (visit) => (visit.state === 'speaking' ? visit.left : visit.outputTokens),
}

/**
 * Nothing of a single answer, but how long all of this traffic are: the mean, and of one under way the mean of those
 * that became longer than it is. Lengths that stand in no request can not be known better by anybody.
 */
export function knowsUsual(trace: readonly Request[]): Foresight {
  const lengths = trace.map(({ outputTokens }) => outputTokens).sort((one, other) => one - other)
  const sums = new Float64Array(lengths.length + 1)
  for (let at = lengths.length - 1; at >= 0; at--) sums[at] = sums[at + 1]! + lengths[at]!
  const meanBeyond = (said: number) => {
    const first = firstAbove(lengths, said)
    return first === lengths.length ? 1 : sums[first]! / (lengths.length - first) - said
  }
  return { answer: () => meanBeyond(0), left: (visit) => meanBeyond(visit.said) }
}

/** Index of the first that is larger; the length of the list where none is. */
function firstAbove(sorted: readonly number[], value: number): number {
  let [from, to] = [0, sorted.length]
  while (from < to) {
    const middle = (from + to) >> 1
    if (sorted[middle]! > value) to = middle
    else from = middle + 1
  }
  return from
}
