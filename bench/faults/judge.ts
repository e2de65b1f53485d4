import type { Said } from './questions.ts'

/** How the transfer of an answer ended, as HTTP goes. */
export type Transfer =
  /** As its framing says. */
  | 'whole'
  /** In its middle: the connection closed first, so that every client sees that it is broken. */
  | 'cut'
  /** Not at all: it was still open when the row was over. */
  | 'hung'

/** What a client has of one answer. */
export interface Got extends Said {
  /** 0: there was no head. */
  readonly status: number
  readonly transfer: Transfer
  /** The longest time without a byte of it, from its first byte on. */
  readonly longestGapMs: number
}

/**
 * `identical` whole, and its text that of the run without faults, byte by byte · `honest` it says that it failed: a
 * status, or an error in its stream · `broken` the transfer was cut, which every client sees · `hung` still open ·
 * `silent` it ends as if it were whole, and is not.
 */
export const fates = ['identical', 'honest', 'broken', 'hung', 'silent'] as const
export type Fate = (typeof fates)[number]

export interface Verdict {
  readonly fate: Fate
  /** Characters that are not where they should be: doubled, lost, or others. A mere beginning has none. */
  readonly wrongChars: number
}

export function judge(got: Got, wanted: string): Verdict {
  return { fate: fateOf(got, wanted), wrongChars: wrongChars(got.text, wanted) }
}

function fateOf({ status, transfer, ends, errors, text }: Got, wanted: string): Fate {
  if (transfer === 'hung') return 'hung'
  if (status >= 400) return 'honest'
  // An end that is told behind an error mends nothing.
  if (errors.length > 0) return 'honest'
  if (transfer === 'cut') return 'broken'
  return ends === 1 && text === wanted ? 'identical' : 'silent'
}

/** Between the common beginning and the common end of the two; of what is only a beginning, none. */
function wrongChars(text: string, wanted: string): number {
  if (wanted.startsWith(text)) return 0
  const shorter = Math.min(text.length, wanted.length)
  let front = 0
  while (front < shorter && text[front] === wanted[front]) front++
  let back = 0
  while (back < shorter - front && text.at(-1 - back) === wanted.at(-1 - back)) back++
  return Math.max(text.length, wanted.length) - front - back
}
