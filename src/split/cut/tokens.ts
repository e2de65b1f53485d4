import { type Limits, pack } from './pack.ts'
import type { CutWishes, Part } from './splitter.ts'
import { wordEnds } from './words.ts'

/** What most models read with attention, and what a slow server answers within a minute. */
export const tokensDefault = 1024

/** Limits for splitters whose size and overlap are in tokens. */
export function tokenLimits(wishes: CutWishes): Limits {
  const size = wishes.size ?? Math.min(wishes.tokensMax, tokensDefault)
  return { ...wishes, size }
}

/** For splitters whose size is in tokens: a unit uses what it weighs. */
export function ownTokens(_unit: number, tokens: number): number {
  return tokens
}

/** Parts of about `size` tokens, cut behind the last word that fits; labels count UTF-16 units. */
export function cutTokens(text: string, wishes: CutWishes): Part[] {
  const limits = tokenLimits(wishes)
  const unitTokensMax = Math.min(limits.size, limits.tokensMax)
  const isTooLarge = (start: number, end: number) =>
    wishes.tokensOf(text.slice(start, end)) > unitTokensMax
  const ends = wordEnds(text, 0, text.length, isTooLarge)
  const startOf = (unit: number) => (unit === 0 ? 0 : ends[unit - 1]!)
  const labelOf = (first: number, end: number) =>
    `characters ${startOf(first) + 1}-${ends[end - 1]}`
  return pack(text, ends, { sizeOf: ownTokens, labelOf }, limits)
}
