import { CannotCombine, type PartAnswer } from './combiner.ts'
import { missingPart, oneLine, partName } from './part-name.ts'

/** An answer on its way up: of one part, or what was made of several in a row. */
export interface Piece {
  /** The first and the last part it stands for. */
  readonly from: number
  readonly to: number
  readonly name: string
  readonly text: string
  /** True when nothing but missing answers is in it. */
  readonly hole: boolean
  /** As it stands in a prompt, between its delimiters. */
  readonly framed: string
  readonly tokens: number
}

/** What a prompt begins with, and what it may weigh. */
export interface Scale {
  readonly head: string
  readonly parts: number
  readonly tokensOf: (text: string) => number
  readonly tokensMax: number
}

export function pieceOf(answer: PartAnswer, scale: Scale): Piece {
  const text = 'failed' in answer ? `[${missingPart(answer, scale.parts)}]` : answer.text
  const { index } = answer
  return piece(index, index, partName(answer, scale.parts), text, 'failed' in answer, scale)
}

export function pieceOfMany(group: readonly Piece[], text: string, scale: Scale): Piece {
  const [from, to] = [group[0]!.from, group.at(-1)!.to]
  const hole = group.every((one) => one.hole)
  return piece(from, to, `parts ${from + 1}-${to + 1} of ${scale.parts}`, text, hole, scale)
}

function piece(
  from: number,
  to: number,
  name: string,
  text: string,
  hole: boolean,
  scale: Scale,
): Piece {
  const framed = `\n<<<<< ${name}\n${text}${text.endsWith('\n') ? '' : '\n'}>>>>> end of ${name}\n`
  return { from, to, name, text, hole, framed, tokens: scale.tokensOf(framed) }
}

export function promptOf(group: readonly Piece[], scale: Scale): string {
  return scale.head + group.map(({ framed }) => framed).join('')
}

/**
 * Neighbours put together, as many as a prompt can hold; one that finds no room beside a neighbour stays alone and goes
 * up as it is. Throws CannotCombine when a piece fits beside nothing, or when no two neighbours fit at all: then the next
 * level would be as large as this one.
 */
export function grouped(pieces: readonly Piece[], scale: Scale): Piece[][] {
  const headTokens = scale.tokensOf(scale.head)
  // Others may become shorter on their way up; one that has no room even beside an empty one never will find a place.
  const large = pieces.find((one) => !fits([one, pieceOfMany([one], '', scale)], scale))
  if (large !== undefined) throw tooLarge(large, headTokens, scale)
  const groups: Piece[][] = []
  let at = 0
  while (at < pieces.length) {
    const size = groupSize(pieces, at, headTokens, scale)
    groups.push(pieces.slice(at, at + size))
    at += size
  }
  if (pieces.length > 1 && groups.length === pieces.length)
    throw tooLarge(largest(pieces), headTokens, scale)
  return withoutStragglers(groups, scale)
}

/** How many pieces from here on fit into one prompt; at least one. */
function groupSize(
  pieces: readonly Piece[],
  from: number,
  headTokens: number,
  scale: Scale,
): number {
  let size = 0
  let tokens = headTokens
  while (from + size < pieces.length) {
    tokens += pieces[from + size]!.tokens
    if (size > 0 && tokens > scale.tokensMax) break
    size++
  }
  // The sum is an estimate of the whole; the whole is what counts.
  while (size > 1 && !fits(pieces.slice(from, from + size), scale)) size--
  return size
}

/** One left alone takes a neighbour from a group that can spare one: what goes up alone is the harder to place there. */
function withoutStragglers(groups: readonly Piece[][], scale: Scale): Piece[][] {
  const evened: Piece[][] = []
  for (const group of groups) {
    const before = evened.at(-1)
    const pair = [...(before?.slice(-1) ?? []), ...group]
    if (group.length === 1 && before !== undefined && before.length > 2 && fits(pair, scale)) {
      evened[evened.length - 1] = before.slice(0, -1)
      evened.push(pair)
    } else evened.push(group)
  }
  return evened
}

function fits(group: readonly Piece[], scale: Scale): boolean {
  return scale.tokensOf(promptOf(group, scale)) <= scale.tokensMax
}

function largest(pieces: readonly Piece[]): Piece {
  return pieces.reduce((one, other) => (other.tokens > one.tokens ? other : one))
}

function tooLarge(piece: Piece, headTokens: number, scale: Scale): CannotCombine {
  return new CannotCombine(
    `the answer to ${oneLine(piece.name, 200)} has about ${piece.tokens} tokens and can not be reduced with another: ` +
      `a prompt can have ${scale.tokensMax}, of which the instruction takes ${headTokens}`,
    piece.from === piece.to ? piece.from : undefined,
  )
}
