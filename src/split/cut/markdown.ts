import { lineCounter, lineRange } from './line-labels.ts'
import { lineEnds } from './lines.ts'
import { type Block, markdownBlocks } from './markdown-blocks.ts'
import { pack } from './pack.ts'
import { proseEnds } from './prose.ts'
import { sentenceEnds } from './sentences.ts'
import type { CutWishes, Part } from './splitter.ts'
import { ownTokens, tokenLimits } from './tokens.ts'
import type { IsTooLarge } from './words.ts'

interface Heading {
  readonly depth: number
  readonly title: string
}

/** A piece that is not cut: headings with what follows, a block, a piece of a large one. */
interface Piece {
  readonly start: number
  readonly end: number
  readonly kind: string
  readonly beginsWithHeading: boolean
  /** The headings that it stands under, its own first ones included, outermost first. */
  readonly path: readonly Heading[]
}

/** A title that is longer is carried with every part of its section, so only its beginning is. */
const titleUnitsMax = 200

/**
 * Blocks of Markdown, as many as fit. Fences and tables are never cut; paragraphs and lists only when they are larger
 * than `size`. A part that does not begin with a heading carries those that it stands under, as many of the innermost
 * as there is room for.
 */
export async function cutMarkdown(text: string, wishes: CutWishes): Promise<Part[]> {
  const limits = tokenLimits(wishes)
  const isLarge: IsTooLarge = (start, end) =>
    wishes.tokensOf(text.slice(start, end)) > Math.min(limits.size, wishes.tokensMax)
  const isTooLarge: IsTooLarge = (start, end) =>
    Math.ceil(wishes.tokensOf(text.slice(start, end))) > wishes.tokensMax
  const pieces = withHeadings(piecesOf(text, await markdownBlocks(text), isLarge), isTooLarge)

  const ends = pieces.map(({ end }) => end)
  const carry = (unit: number, roomTokens: number) =>
    carried(pieces[unit]!, roomTokens, wishes.tokensOf)
  const lineAt = lineCounter(text)
  const labelOf = (first: number, end: number) => labelFor(pieces, lineAt, first, end)
  return pack(text, ends, { sizeOf: ownTokens, carry, labelOf }, limits)
}

function piecesOf(text: string, blocks: readonly Block[], isLarge: IsTooLarge): Piece[] {
  const pieces: Piece[] = []
  let path: readonly Heading[] = []
  for (const { kind, start, end, heading, inner } of blocks) {
    if (heading) path = [...path.filter(({ depth }) => depth < heading.depth), heading]
    let from = start
    for (const to of blockEnds(text, { kind, start, end, inner }, isLarge)) {
      const beginsWithHeading = heading !== undefined && from === start
      pieces.push({ start: from, end: to, kind, beginsWithHeading, path })
      from = to
    }
  }
  return pieces
}

/** Where the pieces of a block end: one, unless it is large and made of something that can be cut. */
function blockEnds(text: string, block: Block, isLarge: IsTooLarge): number[] {
  const { kind, start, end, inner } = block
  if (kind === 'code' || kind === 'table' || !isLarge(start, end)) return [end]
  if (inner.length > 0) return inner.flatMap((each) => blockEnds(text, each, isLarge))
  const ways = kind === 'html' || kind === 'frontMatter' ? [lineEnds] : [sentenceEnds]
  return proseEnds(text, start, end, ways, isLarge)
}

/** Puts headings to the piece that follows, where both together fit. */
function withHeadings(pieces: readonly Piece[], isTooLarge: IsTooLarge): Piece[] {
  const joined: Piece[] = []
  let headings: Piece | undefined
  for (const piece of pieces) {
    if (headings && isTooLarge(headings.start, piece.end)) {
      joined.push(headings)
      headings = undefined
    }
    const start = headings?.start ?? piece.start
    const beginsWithHeading = headings !== undefined || piece.beginsWithHeading
    const whole = { ...piece, start, beginsWithHeading }
    if (piece.kind === 'heading') headings = whole
    else {
      joined.push(whole)
      headings = undefined
    }
  }
  if (headings) joined.push(headings)
  return joined
}

function carried(
  { beginsWithHeading, path }: Piece,
  roomTokens: number,
  tokensOf: CutWishes['tokensOf'],
): string {
  if (beginsWithHeading) return ''
  for (let outermost = 0; outermost < path.length; outermost++) {
    const lines = path
      .slice(outermost)
      .map(({ depth, title }) => `${'#'.repeat(depth)} ${beginningOf(title)}\n`)
    const text = `${lines.join('')}\n`
    if (tokensOf(text) <= roomTokens) return text
  }
  return ''
}

function beginningOf(title: string): string {
  return title.length <= titleUnitsMax
    ? title
    : `${title
        .slice(0, titleUnitsMax)
        .toWellFormed()
        .replace(/\ufffd$/, '')}…`
}

/** The path of the first piece, and the last one's title where that is another section; without headings, lines. */
function labelFor(
  pieces: readonly Piece[],
  lineAt: (offset: number) => number,
  first: number,
  end: number,
): string {
  const [one, last] = [pieces[first]!, pieces[end - 1]!]
  const path = one.path.map(({ title }) => beginningOf(title)).join(' › ')
  const isOneBlock = end - first === 1 && (one.kind === 'code' || one.kind === 'table')
  if (isOneBlock && !one.beginsWithHeading) {
    const noun = one.kind === 'code' ? 'code block' : 'table'
    return `${path === '' ? '' : `${path}, `}${noun} at line ${lineAt(one.start)}`
  }
  if (path === '') return lineRange(lineAt, one.start, last.end)
  const lastTitle = last.path.at(-1)!
  return lastTitle === one.path.at(-1) ? path : `${path} … ${beginningOf(lastTitle.title)}`
}
