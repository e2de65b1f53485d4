import type * as Yaml from 'yaml'
import { fenced } from './fenced.ts'

/** The package, given by who has loaded it: most processes never combine YAML. */
export type YamlLibrary = typeof Yaml

/** What one answer adds to the whole. */
export interface YamlPiece {
  readonly kind: 'nothing' | 'list' | 'documents'
  /** Ready to be joined: ends with a line end; a list starts in the first column and has no `---`; may be ''. */
  readonly text: string
  /** What the text means: the items of a list, or the documents. */
  readonly values: readonly unknown[]
  /** True when it is prose: one document that is a bare text. */
  readonly prose: boolean
}

/** A text is not YAML. */
export class BadYaml extends Error {
  /** From 1; undefined when the fault has no place. */
  readonly line: number | undefined
  constructor(sentence: string, line?: number) {
    super(sentence)
    this.line = line
  }
}

/** More aliases of one node than this make a small text a very large value ("billion laughs"). */
const maxAliasCount = 1_000

/** Reads one answer. Throws BadYaml. */
export function readPiece(library: YamlLibrary, answer: string): YamlPiece {
  const text = contentOf(library, asLines(answer))
  const documents = parseYaml(library, text)
  const [only] = documents
  if (only === undefined)
    return { kind: 'nothing', text: commentsIn(text), values: [], prose: false }
  const values = documents.map(meaningOf)
  if (documents.length === 1 && library.isSeq(only.contents))
    return {
      kind: 'list',
      text: listText(library, text, only.contents, only),
      values: values[0] as unknown[],
      prose: false,
    }
  const prose = documents.length === 1 && typeof values[0] === 'string' && isPlain(library, only)
  return { kind: 'documents', text: withoutLastMarkers(text), values, prose }
}

/** Documents that say something: a marker with nothing behind it is none. Throws BadYaml. */
export function parseYaml(library: YamlLibrary, text: string): Yaml.Document.Parsed[] {
  const lines = new library.LineCounter()
  let documents: Yaml.Document.Parsed[]
  try {
    documents = [
      ...library.parseAllDocuments(text, {
        keepSourceTokens: true,
        lineCounter: lines,
        prettyErrors: false,
      }),
    ]
  } catch (error) {
    // Thousands of brackets inside one another.
    if (error instanceof RangeError) throw new BadYaml('it is nested too deeply')
    throw error
  }
  for (const { errors } of documents)
    for (const error of errors) throw new BadYaml(error.message, lines.linePos(error.pos[0]).line)
  return documents.filter(({ contents }) => !isEmpty(library, contents))
}

/**
 * What a document means. Maps stay maps: a key 1 and a key "1" are two. Throws BadYaml for aliases of nothing, or of too
 * much.
 */
export function meaningOf(document: Yaml.Document.Parsed): unknown {
  try {
    return document.toJS({ mapAsMap: true, maxAliasCount })
  } catch (error) {
    throw new BadYaml(error instanceof Error ? error.message : String(error))
  }
}

/** With its last line ended, and without the mark of byte order that only a file may begin with. */
function asLines(text: string): string {
  const bare = text.startsWith('\uFEFF') ? text.slice(1) : text
  return bare === '' || bare.endsWith('\n') ? bare : `${bare}\n`
}

/**
 * The fenced block, unless the whole is a list or a map already: then the fence is part of a text in it, say of a file
 * that a task writes.
 */
function contentOf(library: YamlLibrary, text: string): string {
  const content = fenced(text)
  if (content === text) return text
  try {
    const documents = parseYaml(library, text)
    if (documents.length > 0 && documents.every(({ contents }) => library.isCollection(contents)))
      return text
  } catch (error) {
    if (!(error instanceof BadYaml)) throw error
  }
  return asLines(content)
}

function isEmpty(library: YamlLibrary, contents: Yaml.ParsedNode | null): boolean {
  if (contents === null) return true
  const bare = contents.tag === undefined && !('anchor' in contents && contents.anchor)
  return library.isScalar(contents) && contents.value === null && contents.source === '' && bare
}

function isPlain(library: YamlLibrary, { contents }: Yaml.Document.Parsed): boolean {
  return library.isScalar(contents) && contents.type === 'PLAIN' && contents.tag === undefined
}

/** `---` and `...` stand in the first column wherever they mean something, also inside of texts. */
const marker = /^(?:---|\.\.\.)(?=\s|$)/

function listText(
  library: YamlLibrary,
  text: string,
  list: Yaml.YAMLSeq,
  document: Yaml.Document.Parsed,
): string {
  if (list.items.length === 0) return commentsIn(text)
  const token = list.srcToken
  if (list.flow || token === undefined) {
    // Written in brackets: the library writes it out as lines, and keeps comments as far as it knows them.
    list.flow = false
    const written = asLines(document.toString({ lineWidth: 0 }))
    const [again] = parseYaml(library, written)
    if (again === undefined || !library.isSeq(again.contents) || again.contents.flow)
      throw new BadYaml('its list in brackets can not be written as lines')
    return listText(library, written, again.contents, again)
  }
  const start = text.lastIndexOf('\n', token.offset - 1) + 1
  const lines = text.slice(start).split('\n')
  const end = lines.findIndex((line) => marker.test(line))
  const body = end === -1 ? lines : [...lines.slice(0, end), '']
  const behind = end === -1 ? '' : commentsIn(lines.slice(end).join('\n'))
  const column = token.offset - start
  return (
    commentsIn(text.slice(0, start)) + body.map((line) => moved(line, column)).join('\n') + behind
  )
}

/** A line so many columns further left. What stands further left already is a comment or blank, and goes to the edge. */
function moved(line: string, columns: number): string {
  let drop = 0
  while (drop < columns && line[drop] === ' ') drop++
  return line.slice(drop)
}

/** The comments of a text that has nothing else in it but markers and directives. */
function commentsIn(text: string): string {
  return text
    .split('\n')
    .map((line) => line.replace(marker, '').trim())
    .filter((line) => line.startsWith('#'))
    .map((line) => `${line}\n`)
    .join('')
}

/** Markers at the end would begin one more document, with nothing in it. */
function withoutLastMarkers(text: string): string {
  const lines = text.split('\n')
  lines.pop()
  let end = lines.length
  while (end > 0 && /^(?:---|\.\.\.)?\s*$/.test(lines[end - 1]!)) end--
  const cut = lines.slice(end).some((line) => marker.test(line)) ? end : lines.length
  return lines
    .slice(0, cut)
    .map((line) => `${line}\n`)
    .join('')
}
