import { type CodePiece, codePieces } from './code-pieces.ts'
import { type GrammarOf, parserOf } from './grammars.ts'
import { grammarNamed, guessGrammar } from './languages.ts'
import { lineCounter, lineRange } from './line-labels.ts'
import { isBlank, lineEnds } from './lines.ts'
import { pack } from './pack.ts'
import { paragraphEnds } from './paragraphs.ts'
import type { CutWishes, Part } from './splitter.ts'
import { ownTokens, tokenLimits } from './tokens.ts'
import type { IsTooLarge } from './words.ts'

/**
 * Parsing holds up the thread, some seconds for so much, and the tree takes a multiple of it in memory. No hand wrote
 * a longer program; the indentation is good enough for it.
 */
const parsedUnitsMax = 2_000_000

/**
 * Definitions at the top level with their comments, as many as fit; one larger than `size` is cut at its members.
 * Without a grammar for the language, or where the parser can make no sense of the text, the indentation decides.
 */
export async function cutCode(
  text: string,
  wishes: CutWishes,
  grammarOf: GrammarOf = parserOf,
): Promise<Part[]> {
  const limits = tokenLimits(wishes)
  const isLarge: IsTooLarge = (start, end) =>
    wishes.tokensOf(text.slice(start, end)) > Math.min(limits.size, wishes.tokensMax)
  const pieces =
    (await parsedPieces(text, wishes.language, isLarge, grammarOf)) ?? indentedPieces(text, isLarge)

  const ends = pieces.map(({ end }) => end)
  const lineAt = lineCounter(text)
  const labelOf = (first: number, end: number) => {
    const lines = lineRange(lineAt, first === 0 ? 0 : ends[first - 1]!, ends[end - 1]!)
    const name = firstName(pieces, first, end)
    return name === undefined ? lines : `${name}, ${lines}`
  }
  return pack(text, ends, { sizeOf: ownTokens, labelOf }, limits)
}

async function parsedPieces(
  text: string,
  language: string | undefined,
  isLarge: IsTooLarge,
  grammarOf: GrammarOf,
): Promise<CodePiece[] | undefined> {
  if (text === '' || text.length > parsedUnitsMax) return undefined
  const grammar = language === undefined ? guessGrammar(text) : grammarNamed(language)
  const parser = grammar && (await grammarOf(grammar))
  const tree = parser?.parse(text)
  if (!tree) return undefined
  try {
    const errors = tree.rootNode.namedChildren.filter((node) => node?.isError)
    const inError = errors.reduce((sum, node) => sum + node!.endIndex - node!.startIndex, 0)
    if (tree.rootNode.isError || inError > text.length / 2) return undefined
    return codePieces(text, tree.rootNode, isLarge)
  } finally {
    tree.delete()
  }
}

/** A unit begins at a line that is not indented, after a blank one; large ones are cut at blank lines, then at lines. */
function indentedPieces(text: string, isLarge: IsTooLarge): CodePiece[] {
  let from = 0
  return unindentedEnds(text).flatMap((end) => {
    const start = from
    from = end
    return finerEnds(text, start, end, isLarge).map((each) => ({ end: each, name: undefined }))
  })
}

function unindentedEnds(text: string): number[] {
  const ends: number[] = []
  let lineStart = 0
  let hasText = false
  let blankBefore = false
  for (const lineEnd of lineEnds(text)) {
    const blank = isBlank(text, lineStart, lineEnd)
    // A closing bracket ends what is before it.
    const opens = !blank && !/^[\s)\]}]/.test(text[lineStart]!)
    if (opens && blankBefore && hasText) ends.push(lineStart)
    hasText ||= !blank
    blankBefore = blank
    lineStart = lineEnd
  }
  if (text.length > 0) ends.push(text.length)
  return ends
}

function finerEnds(text: string, start: number, end: number, isLarge: IsTooLarge): number[] {
  if (!isLarge(start, end)) return [end]
  let from = start
  return paragraphEnds(text, start, end).flatMap((to) => {
    const paragraphStart = from
    from = to
    return isLarge(paragraphStart, to) ? lineEnds(text, paragraphStart, to) : [to]
  })
}

function firstName(pieces: readonly CodePiece[], first: number, end: number): string | undefined {
  for (let piece = first; piece < end; piece++)
    if (pieces[piece]!.name !== undefined) return pieces[piece]!.name
  return undefined
}
