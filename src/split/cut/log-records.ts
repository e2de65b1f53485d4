import { isBlank } from './lines.ts'
import type { Records } from './records.ts'

/** Within so many UTF-16 units at the beginning of a line a log says when it happened. */
const stampUnitsMax = 64
const sampleLinesMax = 200
/** Stack traces may outnumber the lines that they belong to. */
const stampedShareMin = 0.05

/** Date and time as logs write them: ISO, syslog, web servers, klog, seconds since a beginning. */
const stamp =
  /^(?:\[ {0,6}\d{1,10}\.\d{3,9}\]|(?:[^\d\s]{0,3}|\S{1,40} \S+ \S+ \[|\[?[A-Z]{4,8}\]?:?\s{1,4}\[?)(?:\d{4}[-/.]\d\d?[-/.]\d\d?[T ,:]|\d\d?[/.-](?:\d\d?|[A-Z][a-z]{2})[/.-]\d{2,4}[ :,T]|[A-Z][a-z]{2} {1,2}\d{1,2} \d\d:\d\d|[A-Z][a-z]{2} [A-Z][a-z]{2} {1,2}\d{1,2} \d\d:|\d\d:\d\d:\d\d|[IWEF]\d{4} \d\d:|1\d{9}(?:\d{3})?\b))/

/** Records begin with a time; lines without one (a stack trace) belong to the record before. */
export function stampedRecords(text: string, ends: readonly number[]): Records | undefined {
  const begins = (start: number, end: number) =>
    stamp.test(text.slice(start, Math.min(end, start + stampUnitsMax)))
  let sampled = 0
  let stamped = 0
  let start = 0
  for (const end of ends) {
    if (!isBlank(text, start, end)) {
      const isStamped = begins(start, end)
      if (sampled === 0 && !isStamped) return undefined
      sampled++
      if (isStamped) stamped++
      if (sampled === sampleLinesMax) break
    }
    start = end
  }
  if (stamped < Math.max(2, sampled * stampedShareMin)) return undefined
  return beginningWhere(ends, begins)
}

/** Records begin where a line is not indented; undefined when no line is, or already the first. */
export function unindentedRecords(text: string, ends: readonly number[]): Records | undefined {
  const begins = (start: number) => !/\s/.test(text[start]!)
  const isIndented = (start: number, end: number) => !begins(start) && !isBlank(text, start, end)
  if (ends.length === 0 || !begins(0)) return undefined
  const hasIndented = ends.some((end, line) => isIndented(line === 0 ? 0 : ends[line - 1]!, end))
  return hasIndented ? beginningWhere(ends, begins) : undefined
}

function beginningWhere(
  lines: readonly number[],
  begins: (start: number, end: number) => boolean,
): Records {
  const ends: number[] = []
  let start = 0
  for (const end of lines) {
    if (ends.length > 0 && !begins(start, end)) ends[ends.length - 1] = end
    else ends.push(end)
    start = end
  }
  return { ends }
}
