/** A reason longer than this is a backend's page of words; the first lines of it say what happened. */
const reasonCharsMax = 300

/** Labels come from the input (a heading, say), which may be of any length. */
const labelCharsMax = 120

interface Named {
  readonly index: number
  readonly label: string
}

/** How people are told of a part: `part 3 of 12 (lines 21-30)`. Always one line. */
export function partName({ index, label }: Named, parts: number): string {
  const where = oneLine(label, labelCharsMax)
  return `part ${index + 1} of ${parts}${where === '' ? '' : ` (${where})`}`
}

/** What stands where an answer is missing; one line, without marks around it and without a line end. */
export function missingPart(answer: Named & { readonly failed: string }, parts: number): string {
  return `${partName(answer, parts)} is missing: ${oneLine(answer.failed, reasonCharsMax)}`
}

/** A text on one line: a hole that ran over lines could be taken for part of an answer. */
export function oneLine(text: string, charsMax: number): string {
  // Cut first: what comes may be megabytes, and four times as much is enough to find what is not white space.
  const line = text
    .slice(0, charsMax * 4)
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
  return line.length <= charsMax ? line : `${line.slice(0, charsMax - 1).toWellFormed()}…`
}
