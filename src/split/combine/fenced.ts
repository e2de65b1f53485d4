/** Up to three spaces, then three or more of one mark; behind backticks, no other on the line (CommonMark 4.5). */
const opening = /^( {0,3})(`{3,}(?=[^`]*$)|~{3,})/

/**
 * The content of the fenced block, when there is exactly one: models wrap what they were asked for in a fence, often
 * with a sentence around it. With none or several the text as it is. A fence that is never closed runs to the end.
 */
export function fenced(text: string): string {
  const lines = text.split('\n')
  let content: string[] | undefined
  for (let at = 0; at < lines.length; at++) {
    const fence = opening.exec(lines[at]!)
    if (fence === null) continue
    if (content !== undefined) return text
    const end = closing(lines, at + 1, fence[2]!)
    content = lines.slice(at + 1, end).map((line) => undented(line, fence[1]!.length))
    at = end
  }
  return content === undefined ? text : content.join('\n')
}

/** Where the block ends: at a line of the same mark, at least as long, with nothing behind it. */
function closing(lines: readonly string[], from: number, fence: string): number {
  for (let at = from; at < lines.length; at++) {
    const line = lines[at]!.trim()
    const indent = lines[at]!.length - lines[at]!.trimStart().length
    if (indent <= 3 && line.length >= fence.length && line === fence[0]!.repeat(line.length))
      return at
  }
  return lines.length
}

/** A fence that stands in has its content stand in as much. */
function undented(line: string, spaces: number): string {
  let drop = 0
  while (drop < spaces && line[drop] === ' ') drop++
  return line.slice(drop)
}
