import { numbered, pack } from './pack.ts'
import type { CutWishes, Part } from './splitter.ts'

const sizeDefault = 10

/** A line goes up to its `\n` and has it; what follows the last one is a line, too. */
export function cutLines(text: string, wishes: CutWishes): Part[] {
  const limits = { ...wishes, size: wishes.size ?? sizeDefault }
  return pack(text, lineEnds(text), { labelOf: numbered('line') }, limits)
}

/** Offsets behind each line of `text` from `start` to before `end`. */
export function lineEnds(text: string, start = 0, end = text.length): number[] {
  const ends: number[] = []
  let at = start
  while (at < end) {
    const feed = text.indexOf('\n', at)
    at = feed < 0 || feed >= end ? end : feed + 1
    ends.push(at)
  }
  return ends
}

/** Whether there is nothing but white space from `start` to before `end`. */
export function isBlank(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && (code < 0x09 || code > 0x0d))
      return code > 0x7f && text.slice(at, end).trim() === ''
  }
  return true
}
