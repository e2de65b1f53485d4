/** The number of the line at an offset, counted from 1; fast when asked for rising offsets. */
export function lineCounter(text: string): (offset: number) => number {
  let line = 1
  let counted = 0
  return (offset) => {
    if (offset < counted) {
      line = 1
      counted = 0
    }
    for (;;) {
      const feed = text.indexOf('\n', counted)
      if (feed < 0 || feed >= offset) return line
      line++
      counted = feed + 1
    }
  }
}

/** `line 3`, `lines 3-7`: the lines that have something of the text from `start` to before `end`. */
export function lineRange(lineAt: (offset: number) => number, start: number, end: number): string {
  const [first, last] = [lineAt(start), lineAt(end - 1)]
  return first === last ? `line ${first}` : `lines ${first}-${last}`
}
