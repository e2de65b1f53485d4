import { fromMarkdown } from 'mdast-util-from-markdown'
import { gfmTableFromMarkdown } from 'mdast-util-gfm-table'
import { gfmTable } from 'micromark-extension-gfm-table'
import { isBlank, lineEnds } from './lines.ts'

/** A block of Markdown from the beginning of its line up to the next block; offsets in UTF-16 units of the text. */
export interface Block {
  readonly kind: string
  readonly start: number
  readonly end: number
  /** Blocks within it, from their own lines; empty for a paragraph, a fence, a table. */
  readonly inner: readonly Block[]
  readonly heading?: { readonly depth: number; readonly title: string }
}

interface Point {
  readonly offset?: number | undefined
}

/** What is needed of a node of mdast. */
interface Node {
  readonly type: string
  readonly depth?: number
  readonly children?: readonly Node[]
  readonly position?: { readonly start: Point; readonly end: Point } | undefined
}

/**
 * The parser takes milliseconds for some thousand characters, and on the same thread answers are being relayed, so it
 * gets a window at a time, and the others a turn in between.
 */
const windowUnitsMin = 8_192
/**
 * It takes time with the square of a list, or of headings that are underlined, one after another: 16 KB of them a
 * second. Such a window ends as soon as it may.
 */
const windowUnitsMinOfMany = 1_024

/** Deeper nesting is no document, and costs the parser time with the square of its depth. */
const nestingMax = 24
const tooDeep = new RegExp(
  `^(?:[ \\t]{0,3}(?:>[ \\t]?|(?:[-*+]|\\d{1,9}[.)])[ \\t])){${nestingMax}}`,
  'm',
)

/** Only blocks are asked for. What happens within a line would cost more time than all else. */
const blocksOnly = {
  disable: {
    null: [
      'attention',
      'autolink',
      'characterEscape',
      'characterReference',
      'codeText',
      'hardBreakEscape',
      'htmlText',
      'labelEnd',
      'labelStartImage',
      'labelStartLink',
    ],
  },
}

/** The blocks of a text at the top level: they lie end to end, blank lines belong to the block before. */
export async function markdownBlocks(text: string): Promise<Block[]> {
  const blocks: Block[] = []
  let start = frontMatterEnd(text)
  if (start > 0) blocks.push({ kind: 'frontMatter', start: 0, end: start, inner: [] })
  for (const end of windowEnds(text, start)) {
    for (const block of blocksOf(text, start, end)) blocks.push(block)
    start = end
    if (end < text.length) await new Promise(setImmediate)
  }
  return blocks
}

/** YAML before the document, as site generators want it; to the parser it would be a rule and a heading. */
function frontMatterEnd(text: string): number {
  const opening = /^\ufeff?---[ \t]*\r?\n(?=[\w-]+[ \t]*:)/.exec(text)
  if (!opening) return 0
  const closing = /^---[ \t]*\r?$\n?/gm
  closing.lastIndex = opening[0].length
  return closing.exec(text) ? closing.lastIndex : 0
}

/**
 * Windows end only before a line that surely begins a block at the top level: after a blank line, outside fences, not
 * indented, no quotation. Where many blocks stand without blank lines they end before an item of a list, which then
 * is two lists, a heading, and behind a rule.
 */
function windowEnds(text: string, start: number): number[] {
  const ends: number[] = []
  let windowStart = start
  let lineStart = start
  let fence: Fence | undefined
  let before: LineBefore = 'text'
  let isInList = false
  for (const lineEnd of lineEnds(text, start)) {
    const line = text.slice(lineStart, Math.min(lineEnd, lineStart + lineUnitsLooked))
    const isItem = bullet.test(line) || (numbered.test(line) && (isInList || before !== 'text'))
    // What stands in an item of a list ends with it, closed or not.
    if (isItem && isInList && fence?.isIndented) fence = undefined
    if (fence === undefined && mayEndBefore(line, before, isItem, lineStart - windowStart)) {
      ends.push(lineStart)
      windowStart = lineStart
    }
    if (isItem) isInList = true
    else if (/^\S/.test(line)) isInList = false
    before = isBlank(text, lineStart, lineEnd) ? 'blank' : rule.test(line) ? 'rule' : 'text'
    fence = fenceAfter(fence, line)
    lineStart = lineEnd
  }
  if (text.length > start) ends.push(text.length)
  return ends
}

/** More of a line says nothing of its block. */
const lineUnitsLooked = 80
/** With something in it: a mark alone may underline a heading. */
const bullet = /^[-*+][ \t]+\S/
/** An item only behind another or a blank line: prose may well have a year at the beginning of a line. */
const numbered = /^\d{1,9}[.)][ \t]+\S/
const heading = /^#{1,6}[ \t]/
/** A rule, or what underlines a heading; either is the end of its block. */
const rule = /^ {0,3}(?:-{3,}|={3,})[ \t]*\r?\n?$/

type LineBefore = 'blank' | 'rule' | 'text'

function mayEndBefore(line: string, before: LineBefore, isItem: boolean, units: number): boolean {
  if (units < windowUnitsMinOfMany) return false
  if (isItem || heading.test(line)) return true
  if (before === 'rule') return /^\S/.test(line)
  return units >= windowUnitsMin && before === 'blank' && /^(?:#|\p{L})/u.test(line)
}

interface Fence {
  readonly mark: string
  readonly isIndented: boolean
}

/** The fence that is open behind a line, if any. */
function fenceAfter(open: Fence | undefined, line: string): Fence | undefined {
  const [, indent, mark] = /^( {0,3})(`{3,}|~{3,})/.exec(line) ?? []
  if (mark === undefined) return open
  if (open === undefined) return { mark, isIndented: indent !== '' }
  return mark.startsWith(open.mark) ? undefined : open
}

function blocksOf(text: string, start: number, end: number): Block[] {
  const window = text.slice(start, end)
  if (tooDeep.test(window)) return [{ kind: 'paragraph', start, end, inner: [] }]
  // The parser drops a byte order mark and counts without it.
  const shift = start + (window.startsWith('\ufeff') ? 1 : 0)
  const root: Node = fromMarkdown(window, {
    extensions: [gfmTable(), blocksOnly],
    mdastExtensions: [gfmTableFromMarkdown()],
  })
  return laidEndToEnd(text, root.children ?? [], start, end, shift)
}

/** Blocks from nodes; white space between them goes to the one before, what comes first to the first. */
function laidEndToEnd(
  text: string,
  nodes: readonly Node[],
  start: number,
  end: number,
  shift: number,
): Block[] {
  const beginnings: { readonly node: Node; readonly at: number }[] = []
  for (const node of nodes) {
    const at = lineStartOf(text, (node.position?.start.offset ?? 0) + shift, start)
    if (beginnings.length === 0) beginnings.push({ node, at: start })
    else if (at > beginnings.at(-1)!.at) beginnings.push({ node, at })
  }
  if (beginnings.length === 0) return [{ kind: 'blank', start, end, inner: [] }]
  return beginnings.map(({ node, at }, index) => {
    const blockEnd = beginnings[index + 1]?.at ?? end
    return {
      kind: node.type,
      start: at,
      end: blockEnd,
      inner: isContainer(node) ? laidEndToEnd(text, node.children ?? [], at, blockEnd, shift) : [],
      ...(node.type === 'heading' && { heading: headingOf(text, node, shift) }),
    }
  })
}

function isContainer({ type }: Node): boolean {
  return type === 'list' || type === 'listItem' || type === 'blockquote'
}

function lineStartOf(text: string, offset: number, floor: number): number {
  let at = offset
  while (at > floor && text[at - 1] !== '\n' && text[at - 1] !== '\r') at--
  return at
}

function headingOf(text: string, node: Node, shift: number) {
  const first = node.children?.at(0)?.position?.start.offset
  const last = node.children?.at(-1)?.position?.end.offset
  const title = first === undefined ? '' : text.slice(first + shift, last! + shift)
  return { depth: node.depth ?? 1, title: title.replace(/\s+/g, ' ') }
}
