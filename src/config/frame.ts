import { isMap, isPair, isScalar, isSeq, type Node, parseDocument } from 'yaml'
import { masked } from './mask.ts'
import { isPrintableKey, isSecret, keysAt, leaves, type Path } from './schema-tree.ts'

/** Columns of a line that are shown at most. */
const widthMax = 120

interface Range {
  readonly start: number
  readonly end: number
}

/** The line of a problem with a caret under its column. What is secret, or may be, is masked. */
export function frameOf(text: string, lineNumber: number, column: number): string {
  const lines = text.split('\n')
  const line = (lines[lineNumber - 1] ?? '').replace(/\r$/, '')
  const lineStart = lines
    .slice(0, lineNumber - 1)
    .reduce((sum, before) => sum + before.length + 1, 0)
  const shown = withMasks(line, column - 1, hiddenRanges(text, line, lineStart))

  const from = shown.caret > widthMax - 20 ? shown.caret - 60 : 0
  const cut = shown.line.slice(from, from + widthMax).replaceAll('\t', ' ')
  const gutter = `${lineNumber}`.padStart(5)
  return `${gutter} | ${cut}\n${' '.repeat(gutter.length)} | ${' '.repeat(shown.caret - from)}^`
}

function hiddenRanges(text: string, line: string, lineStart: number): Range[] {
  const document = parseDocument(text, { prettyErrors: false, logLevel: 'error' })
  const ranges: Range[] = []
  hideSecrets(document.contents, [], ranges)
  const hidden = ranges
    .map(({ start, end }) => ({ start: start - lineStart, end: end - lineStart }))
    .filter(({ start, end }) => end > 0 && start < line.length)
    // To the end of the line: a comment behind a secret is often the secret before.
    .map(({ start }) => ({ start: Math.max(0, start), end: line.length }))

  // The tree of a file with a mistake in it may not show what belongs where, so only what is surely harmless is shown.
  const value = /^\s*(- +)?([\w-]+:)?\s*/.exec(line)?.[0].length ?? 0
  if (!isHarmless(line)) hidden.push({ start: value, end: line.length })
  return hidden
}

function hideSecrets(node: unknown, path: Path, ranges: Range[], from?: number): void {
  if (isSecret(path)) {
    hide(node, ranges, from)
    if (!isMap(node)) return
  }
  if (isMap(node)) {
    const known = keysAt(path)
    for (const pair of node.items) {
      const key = isScalar(pair.key) ? String(pair.key.value) : ''
      // Under a key that does not exist may be a secret whose key was misspelt.
      if (known !== undefined && !known.includes(key)) hide(pair.value, ranges, behind(pair.key))
      if (!isPrintableKey(path, key)) hide(pair.key, ranges)
      hideSecrets(pair.value, [...path, key], ranges, behind(pair.key))
    }
  } else if (isSeq(node)) {
    node.items.forEach((item, index) => {
      hideSecrets(isPair(item) ? item.value : item, [...path, index], ranges)
    })
  } else if (isScalar(node) && node.range) {
    // A URL with a password or a key in it, wherever somebody put it; or a file that is one word, key and all.
    if (path.length === 0 || /@|:\/\/.*[?:].*[^\d/]/.test(String(node.value)))
      ranges.push({ start: node.range[0], end: node.range[1] })
  }
}

/** Hides the values below a node; a map's own keys stay, unless they are hidden for themselves. */
function hide(node: unknown, ranges: Range[], from = Number.POSITIVE_INFINITY): void {
  if (isMap(node)) {
    for (const pair of node.items) hide(pair.value, ranges, behind(pair.key))
  } else {
    const range = (node as Node | null | undefined)?.range
    if (range) ranges.push({ start: Math.min(from, range[0]), end: range[1] })
  }
}

/** The first sign behind `key: `, where a tag or an anchor may stand before the value. */
function behind(key: unknown): number | undefined {
  const end = (key as Node | null)?.range?.[1]
  return end === undefined ? undefined : end + 2
}

/**
 * Signs behind which a secret may stand: a map in one line, a login or its half, a query, a comment; the name of an alias
 * or anchor that is no plain word, which a stray sign before a login makes of it; a word for a token.
 */
const doubtful = /[{}@?#]|[&*][\w.-]*[^\w.\s,\]-]|\/\/[^/]*:(?!\d)|token|auth/i

/** `key: value` with a known key that is no secret, a list's dash, or a section's start. */
function isHarmless(line: string): boolean {
  const parts = /^\s*(?:- +)?([\w-]+):(.*)$/.exec(line)
  if (!parts) return /^\s*-?\s*$/.test(line)
  const [, key = '', value = ''] = parts
  if (value.trim() === '') return true
  return harmlessKeys().has(key) && !doubtful.test(value)
}

function harmlessKeys(): Set<string> {
  const names = leaves().flatMap(({ path }) => path)
  return new Set(
    [...names, ...(keysAt(['backends', 0]) ?? [])].filter(
      (key) => key !== 'admin_token' && key !== 'headers' && key !== 'token',
    ),
  )
}

function withMasks(line: string, caret: number, hidden: readonly Range[]) {
  let shown = ''
  let position = 0
  let shownCaret: number | undefined
  for (const { start, end } of [...hidden].sort((a, b) => a.start - b.start)) {
    if (end <= position) continue
    if (start > position) {
      if (shownCaret === undefined && caret < start) shownCaret = shown.length + caret - position
      shown += line.slice(position, start)
    }
    if (shownCaret === undefined && caret < end) shownCaret = shown.length
    if (end > start && (start >= position || position === 0)) shown += masked
    position = end
  }
  shownCaret ??= shown.length + Math.min(caret, line.length) - position
  return { line: shown + line.slice(position), caret: Math.max(0, shownCaret) }
}
