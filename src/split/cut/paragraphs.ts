import { isBlank, lineEnds } from './lines.ts'
import { numbered } from './pack.ts'
import { packProse } from './prose.ts'
import { sentenceEnds } from './sentences.ts'
import type { CutWishes, Part } from './splitter.ts'

const sizeDefault = 5

/** Paragraphs have blank lines between them; one that is too large for a part is cut by sentences, then by words. */
export function cutParagraphs(text: string, wishes: CutWishes): Part[] {
  const limits = { ...wishes, size: wishes.size ?? sizeDefault }
  return packProse(text, paragraphEnds(text), [sentenceEnds], numbered('paragraph'), limits)
}

/** The blank lines behind a paragraph belong to it; those at the very beginning belong to the first. */
export function paragraphEnds(text: string, start = 0, end = text.length): number[] {
  const ends: number[] = []
  let lineStart = start
  let hasText = false
  let blankBefore = false
  for (const lineEnd of lineEnds(text, start, end)) {
    const blank = isBlank(text, lineStart, lineEnd)
    if (!blank && blankBefore && hasText) ends.push(lineStart)
    hasText ||= !blank
    blankBefore = blank
    lineStart = lineEnd
  }
  if (end > start) ends.push(end)
  return ends
}
