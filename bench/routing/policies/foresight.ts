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

/** Requests are told apart by their prompts in so many parts of the trace … */
const partsMax = 25
/** … or in fewer, or a part would tell what single answers will be. */
const partMin = 100

/**
 * Nothing of a single answer, but how long those to prompts of about that length are in this traffic: the mean, and of
 * one under way the mean of those that became longer than it is. What stands in no request nobody can know better.
 */
export function knowsUsual(trace: readonly Request[]): Foresight {
  const byPrompt = [...trace].sort((one, other) => one.promptTokens - other.promptTokens)
  const size = Math.max(partMin, Math.ceil(byPrompt.length / partsMax))
  const parts = Array.from({ length: Math.ceil(byPrompt.length / size) }, (_, at) => {
    const part = byPrompt.slice(at * size, (at + 1) * size)
    return {
      promptMost: part.at(-1)!.promptTokens,
      meanBeyond: meansBeyond(part.map(({ outputTokens }) => outputTokens)),
    }
  })
  const leftOf = ({ promptTokens }: Request, said: number) =>
    (parts.find(({ promptMost }) => promptTokens <= promptMost) ?? parts.at(-1)!).meanBeyond(said)
  return {
    answer: (request) => leftOf(request, 0),
    left: ({ request, said }) => leftOf(request, said),
  }
}

/** Gives the mean of what is left of those that are longer than so much. */
function meansBeyond(unsorted: readonly number[]): (said: number) => number {
  const lengths = [...unsorted].sort((one, other) => one - other)
  const sums = new Float64Array(lengths.length + 1)
  for (let at = lengths.length - 1; at >= 0; at--) sums[at] = sums[at + 1]! + lengths[at]!
  return (said) => {
    const first = firstAbove(lengths, said)
    return first === lengths.length ? 1 : sums[first]! / (lengths.length - first) - said
  }
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
