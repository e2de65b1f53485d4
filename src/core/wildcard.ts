/** Compares without letter case; a `*` stands for any text. Without regular expressions: patterns are written by hand. */
export function matchesAny(words: string, patterns: readonly string[]): boolean {
  const lower = words.toLowerCase()
  return patterns.some((pattern) => matches(lower, pattern.toLowerCase()))
}

function matches(words: string, pattern: string): boolean {
  const [head = '', ...pieces] = pattern.split('*')
  const tail = pieces.pop()
  if (tail === undefined) return words === pattern
  if (!words.startsWith(head)) return false
  let position = head.length
  for (const piece of pieces) {
    const found = words.indexOf(piece, position)
    if (found < 0) return false
    position = found + piece.length
  }
  return words.length - tail.length >= position && words.endsWith(tail)
}
