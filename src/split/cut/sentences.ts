import { isBlank } from './lines.ts'
import { numbered } from './pack.ts'
import { packProse } from './prose.ts'
import { segmentEnds } from './segments.ts'
import type { CutWishes, Part } from './splitter.ts'

const sizeDefault = 20

/** Sentences by the rules of Unicode (UAX 29); one that is too large for a part is cut by words. */
export function cutSentences(text: string, wishes: CutWishes): Part[] {
  const limits = { ...wishes, size: wishes.size ?? sizeDefault }
  return packProse(text, sentenceEnds(text), [], numbered('sentence'), limits)
}

/** Where sentences end, with the white space behind them; at the very beginning it belongs to the first. */
export function sentenceEnds(text: string, start = 0, end = text.length): number[] {
  // One locale for all, or a host's language would move the cuts.
  const segmenter = new Intl.Segmenter('en', { granularity: 'sentence' })
  const ends: number[] = []
  let from = start
  for (const to of segmentEnds(segmenter, text, start, end, unwrapped)) {
    const blank = isBlank(text, from, to)
    from = to
    if (!blank) ends.push(to)
    else if (ends.length > 0) ends[ends.length - 1] = to
    // Nothing but white space so far: what comes next has it.
    else if (to === end) ends.push(to)
  }
  return ends
}

/**
 * Unicode ends a sentence at every line break. In wrapped prose most breaks are none: where the next line goes on in
 * lower case, the segmenter is shown a space, so that offsets stay.
 */
function unwrapped(window: string): string {
  return window.replace(/(?<![\r\n])\r?\n(?=[ \t]*\p{Ll})/gu, (lineBreak) =>
    ' '.repeat(lineBreak.length),
  )
}
