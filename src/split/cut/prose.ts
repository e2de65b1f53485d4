import { type Limits, pack, type Units } from './pack.ts'
import type { Part } from './splitter.ts'
import { type IsTooLarge, wordEnds } from './words.ts'

/** Where the units of `text` from `start` to before `end` end. */
export type EndsOf = (text: string, start: number, end: number) => number[]

/**
 * Where the pieces end that a stretch of prose is cut into: itself where it fits, else by the first way, each of its
 * pieces that does not fit by the next, and in the end by words.
 */
export function proseEnds(
  text: string,
  start: number,
  end: number,
  ways: readonly EndsOf[],
  isTooLarge: IsTooLarge,
): number[] {
  if (!isTooLarge(start, end)) return [end]
  const [way, ...others] = ways
  if (!way) return wordEnds(text, start, end, isTooLarge)
  const ends: number[] = []
  let from = start
  for (const to of way(text, start, end)) {
    for (const inner of proseEnds(text, from, to, others, isTooLarge)) ends.push(inner)
    from = to
  }
  return ends
}

/**
 * Packs units of prose, each that is too large cut finer. Where sentences begin is a guess and a text without full
 * stops has none, so prose is never refused for its length. Such a unit counts as one, where it ends.
 */
export function packProse(
  text: string,
  coarseEnds: readonly number[],
  ways: readonly EndsOf[],
  labelOf: Units['labelOf'],
  limits: Limits,
): Part[] {
  const isTooLarge: IsTooLarge = (start, end) =>
    limits.tokensOf(text.slice(start, end)) > limits.tokensMax
  const ends: number[] = []
  const unitOf: number[] = []
  let start = 0
  for (const [unit, coarseEnd] of coarseEnds.entries()) {
    for (const end of proseEnds(text, start, coarseEnd, ways, isTooLarge)) {
      ends.push(end)
      unitOf.push(unit)
    }
    start = coarseEnd
  }
  const sizeOf = (piece: number) => (unitOf[piece] === unitOf[piece + 1] ? 0 : 1)
  const label: Units['labelOf'] = (first, end) => labelOf(unitOf[first]!, unitOf[end - 1]! + 1)
  return pack(text, ends, { sizeOf, labelOf: label }, limits)
}
