import type { Records } from './records.ts'
import { CannotCut } from './splitter.ts'

/** Lines that are read to find out whether all of them are JSON. */
const sampleLinesMax = 20

/** Whether each of the first lines is an object or a list; the last of them may have been cut off. */
export function isJsonLines(text: string, ends: readonly number[]): boolean {
  let start = 0
  let lines = 0
  for (const end of ends) {
    const line = text.slice(start, end).trim()
    start = end
    if (line === '') continue
    if (!/^[{[]/.test(line) || !(parses(line) || (lines > 0 && end === text.length))) return false
    if (++lines === sampleLinesMax) return true
  }
  return lines > 1
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/**
 * The elements of a JSON array. By offsets brackets, commas and white space belong to an element each, so that the
 * parts lie end to end; what is sent is an array of the whole elements, in their own spelling.
 */
export function jsonArray(text: string): Records | undefined {
  if (!/^\s*\[/.test(text)) return undefined
  try {
    JSON.parse(text)
  } catch (error) {
    // A log may begin with a bracket, too.
    if (!/^\s*\[\s*[{"]/.test(text)) return undefined
    throw new CannotCut(
      `the input begins like a JSON array and is none: ${(error as Error).message}`,
    )
  }
  const commas = commasOf(text)
  const open = text.indexOf('[')
  const close = text.lastIndexOf(']')
  // An empty array is one record without elements.
  const ends = [...commas.map((comma) => comma + 1), text.length]
  const startOf = (record: number) => (record === 0 ? open + 1 : commas[record - 1]! + 1)
  const textOf = (from: number, end: number) =>
    `[${text.slice(startOf(from), commas[end - 1] ?? close).trim()}]`
  return { ends, textOf }
}

/** Offsets of the commas between the elements of an array that is known to be valid. */
function commasOf(text: string): number[] {
  const commas: number[] = []
  const marks = /["[\]{},]/g
  let depth = 0
  for (let mark = marks.exec(text); mark; mark = marks.exec(text)) {
    if (mark[0] === '"') marks.lastIndex = stringEnd(text, mark.index)
    else if (mark[0] === '[' || mark[0] === '{') depth++
    else if (mark[0] === ']' || mark[0] === '}') depth--
    else if (depth === 1) commas.push(mark.index)
  }
  return commas
}

/** Behind the quote that closes a string, or the end of the text. */
function stringEnd(text: string, open: number): number {
  let at = open + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return Math.min(at + 1, text.length)
}

/** JSON objects one after the other, each over as many lines as it likes; a single one is one record. */
export function jsonObjects(text: string): Records | undefined {
  if (!/^\s*\{\s*["}]/.test(text)) return undefined
  const ends: number[] = []
  const marks = /["{}]/g
  let depth = 0
  let start = 0
  for (let mark = marks.exec(text); mark; mark = marks.exec(text)) {
    if (mark[0] === '"') {
      marks.lastIndex = stringEnd(text, mark.index)
    } else if (mark[0] === '{') {
      if (depth === 0 && ends.length > 0) ends[ends.length - 1] = mark.index
      depth++
    } else if (--depth === 0) {
      if (!parses(text.slice(start, mark.index + 1))) break
      start = mark.index + 1
      ends.push(start)
    } else if (depth < 0) break
  }
  if (text.slice(start).trim() !== '')
    throw new CannotCut('the input begins like JSON objects, and what follows is none')
  ends[ends.length - 1] = text.length
  return { ends }
}
