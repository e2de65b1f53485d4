/** A line as long as this is hardly the same twice by chance; a closing brace is. */
const tellingCharsMin = 16

/**
 * An answer without the lines at its beginning that the answer before ended with: where parts overlap, the model has
 * seen the same input twice. Only the longest run of whole lines that is exactly the same counts, and only when it
 * holds one line of 16 characters or two lines that are not blank.
 */
export function withoutRepeat(
  before: string,
  text: string,
): { readonly rest: string; readonly lines: number } {
  const ended = linesOf(before)
  const begun = linesOf(text)
  const lines = longestOverlap(ended, begun)
  if (!isTelling(begun.slice(0, lines))) return { rest: text, lines: 0 }
  const length = begun.slice(0, lines).reduce((sum, line) => sum + line.length + 1, 0)
  return { rest: text.slice(length), lines }
}

/** Lines without their ends; the last is whole as well, for the answer ends there. */
function linesOf(text: string): string[] {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines
}

function isTelling(lines: readonly string[]): boolean {
  const full = lines.filter((line) => line.trim() !== '')
  return full.length >= 2 || full.some((line) => line.trim().length >= tellingCharsMin)
}

/**
 * How many lines end the first list and begin the second, at most. Goes through both once (Knuth, Morris and Pratt):
 * a model that repeats one line ten thousand times must not cost the square of it.
 */
function longestOverlap(ended: readonly string[], begun: readonly string[]): number {
  const borders = bordersOf(begun)
  let matched = 0
  for (const line of ended) {
    while (matched > 0 && begun[matched] !== line) matched = borders[matched - 1]!
    if (begun[matched] === line) matched++
  }
  return matched
}

/** For each beginning of the list, the longest shorter beginning that it also ends with. */
function bordersOf(lines: readonly string[]): number[] {
  const borders = lines.length === 0 ? [] : [0]
  let length = 0
  for (let at = 1; at < lines.length; at++) {
    while (length > 0 && lines[at] !== lines[length]) length = borders[length - 1]!
    if (lines[at] === lines[length]) length++
    borders.push(length)
  }
  return borders
}
