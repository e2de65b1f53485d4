import type { Node } from '@vscode/tree-sitter-wasm'
import { lineEnds } from './lines.ts'
import type { IsTooLarge } from './words.ts'

/** A stretch of a program that is not cut: a definition with its comments, or a piece of a large one. */
export interface CodePiece {
  readonly end: number
  /** `function foo`, or what a piece of a large definition is in; undefined for what defines nothing. */
  readonly name: string | undefined
}

/** What stands before a definition and belongs to it, by the words in the names of node types. */
const isLeading = /comment|attribute|decorator|annotation|access_specifier/

/** Nested deeper than this it is a table of data, and lines do as well. */
const depthMax = 64

/** A name is for people; some grammars take a whole expression for one. */
const nameUnitsMax = 80

/** Pieces of a program from its tree: definitions at the top level, each that is large cut at its members, then lines. */
export function codePieces(text: string, root: Node, isLarge: IsTooLarge): CodePiece[] {
  return piecesWithin(text, root, 0, text.length, { isLarge, depth: 0, name: undefined })
}

interface Around {
  readonly isLarge: IsTooLarge
  readonly depth: number
  /** The definition that the pieces are in. */
  readonly name: string | undefined
}

/** The children of a node as pieces from `start` to before `end`; what is between them goes to the one before. */
function piecesWithin(
  text: string,
  parent: Node,
  start: number,
  end: number,
  around: Around,
): CodePiece[] {
  const units = unitsOf(text, parent, start)
  return units.flatMap((unit, index) =>
    piecesOfUnit(text, unit, units[index + 1]?.start ?? end, around),
  )
}

/** From its beginning up to the next; `node` is what can be cut finer, undefined for comments at the end. */
interface Unit {
  readonly start: number
  readonly node: Node | undefined
}

function piecesOfUnit(
  text: string,
  { start, node }: Unit,
  end: number,
  around: Around,
): CodePiece[] {
  const { isLarge, depth } = around
  const name = (node && nameOf(node, depth)) ?? around.name
  if (!isLarge(start, end)) return [{ end, name }]
  const body = node && depth < depthMax ? branching(text, node) : undefined
  if (body) {
    const inner = { isLarge, depth: depth + 1, name }
    const [first, ...others] = piecesWithin(text, body, start, end, inner)
    return [{ end: first!.end, name: name ?? first!.name }, ...others]
  }
  return lineEnds(text, start, end).map((lineEnd) => ({ end: lineEnd, name }))
}

/**
 * A unit begins at the line of its definition, or of the first comment before it. The first one takes everything
 * before it, such as the opening line of a class, and what begins within a line stays with the unit before.
 */
function unitsOf(text: string, parent: Node, start: number): Unit[] {
  const units: Unit[] = []
  let leadingFrom: number | undefined
  for (const [index, node] of childrenOf(parent).entries()) {
    const at = index === 0 ? start : lineStart(text, node.startIndex)
    if (at === undefined || at < start) continue
    if (isLeading.test(node.type)) {
      leadingFrom ??= at
      continue
    }
    units.push({ start: leadingFrom ?? at, node })
    leadingFrom = undefined
  }
  if (leadingFrom !== undefined || units.length === 0)
    units.push({ start: leadingFrom ?? start, node: undefined })
  return units
}

function childrenOf(node: Node): Node[] {
  return node.namedChildren.filter((child): child is Node => child !== null && lengthOf(child) > 0)
}

function lengthOf({ startIndex, endIndex }: Node): number {
  return endIndex - startIndex
}

/** The beginning of the line of an offset; undefined where something else is before it in the line. */
function lineStart(text: string, offset: number): number | undefined {
  let at = offset
  while (at > 0 && (text[at - 1] === ' ' || text[at - 1] === '\t')) at--
  return at === 0 || text[at - 1] === '\n' ? at : undefined
}

/** The node below which a definition spreads over lines: `export class Foo` leads to the members of the class. */
function branching(text: string, node: Node): Node | undefined {
  let at = node
  for (let depth = 0; depth < depthMax; depth++) {
    const children = childrenOf(at)
    const onLines = children.filter(({ startIndex }) => lineStart(text, startIndex) !== undefined)
    if (onLines.length > 1) return at
    const [first, ...others] = children
    if (!first) return undefined
    at = others.reduce((best, child) => (lengthOf(child) > lengthOf(best) ? child : best), first)
  }
  return undefined
}

/** What brings something in or computes; within a definition a variable is only a step of it. */
const namesNothing = /import|include|use_declaration|using|package|expression/
const namesNothingWithin =
  /variable|lexical|assignment|^declaration$|(?<!_)(?:let|const|var|short_var)_/

/** `export async function foo` → `function foo`; undefined for what is no definition. */
function nameOf(node: Node, depth: number): string | undefined {
  if (namesNothing.test(node.type)) return undefined
  if (depth > 0 && namesNothingWithin.test(node.type)) return undefined
  const declared = node.childForFieldName('declaration') ?? node.childForFieldName('definition')
  if (declared) return nameOf(declared, depth)
  const named =
    node.childForFieldName('name') ??
    node.childForFieldName('declarator') ??
    (node.type === 'impl_item' ? node.childForFieldName('type') : null)
  if (named?.type.endsWith('declarator')) return nameOf(named, depth)
  if (named?.type.endsWith('pattern')) return undefined
  if (named) return `${kindOf(node)} ${named.text.split('\n', 1)[0]!.slice(0, nameUnitsMax)}`
  const inner = childrenOf(node).find(({ type }) => /declarat|_spec$|definition/.test(type))
  return inner && nameOf(inner, depth)
}

/** What a grammar calls a definition, in the words of a reader: `class_declaration` → `class`. */
function kindOf({ type }: Node): string {
  const kind = type.replace(
    /_(?:declaration|definition|item|statement|specifier|spec|signature|declarator)$/,
    '',
  )
  return kind === 'init' ? 'variable' : kind.replaceAll('_', ' ')
}
