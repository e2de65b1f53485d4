import { setImmediate } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { CannotCombine, type Combiner, type PartAnswer } from './combiner.ts'
import { Few } from './few.ts'
import { Held } from './held.ts'
import { missingPart, oneLine, partName } from './part-name.ts'
import {
  BadYaml,
  meaningOf,
  parseYaml,
  readPiece,
  type YamlLibrary,
  type YamlPiece,
} from './yaml-piece.ts'

/**
 * Less than others may hold, and still some 50,000 lines: YAML is read at about 1 MiB a second, every answer twice, and the
 * second time all in one, in which this process does nothing else.
 */
const heldBytesMax = 2 * 1024 * 1024

/** What one part adds: a piece, or a comment where an answer is missing. */
type Row = YamlPiece | { readonly kind: 'hole'; readonly text: string }

/**
 * One YAML text of all, with the words and comments of each: lists become one list, anything else follows one another as
 * documents. What comes out is read again and must mean what the answers meant, one after the other.
 */
export function yaml({ parts }: { readonly parts: number }): Combiner {
  const held = new Held(heldBytesMax)
  const missing = new Few<string>()
  const answers: PartAnswer[] = []

  return {
    add(answer) {
      if ('failed' in answer) missing.add(partName(answer, parts))
      else held.add(answer.text, answer.index)
      answers.push(answer)
      return ''
    },
    async end() {
      if (answers.every((answer) => 'failed' in answer))
        throw new CannotCombine('no part has an answer')
      const library = await import('yaml')
      const rows: Row[] = []
      for (const answer of answers) {
        rows.push(rowOf(library, answer, parts))
        // Others have their turn between two answers.
        await setImmediate()
      }
      const pieces = rows.filter(isPiece)
      if (pieces.every(({ kind }) => kind === 'list')) return joinedList(library, rows, pieces)
      refuseProse(rows, answers, parts)
      return joinedDocuments(library, rows, pieces)
    },
    get notes() {
      return missing.noted('missing')
    },
  }
}

function isPiece(row: Row): row is YamlPiece {
  return row.kind === 'list' || row.kind === 'documents'
}

function rowOf(library: YamlLibrary, answer: PartAnswer, parts: number): Row {
  if ('failed' in answer) return { kind: 'hole', text: `# ${missingPart(answer, parts)}\n` }
  try {
    return readPiece(library, answer.text)
  } catch (error) {
    if (!(error instanceof BadYaml)) throw error
    const where = error.line === undefined ? '' : ` in line ${error.line}`
    throw new CannotCombine(
      `the answer to ${partName(answer, parts)} is not valid YAML${where}: ${oneLine(error.message, 200)}`,
      answer.index,
    )
  }
}

/** Words among lists and maps are a model that talks instead of doing as asked; a document of them helps nobody. */
function refuseProse(rows: readonly Row[], answers: readonly PartAnswer[], parts: number): void {
  const prose = rows.findIndex((row) => row.kind === 'documents' && row.prose)
  const structured = rows.filter(isPiece).some((row) => row.kind === 'list' || !row.prose)
  if (prose === -1 || !structured) return
  throw new CannotCombine(
    `the answer to ${partName(answers[prose]!, parts)} is plain text, while others are YAML lists or maps`,
    prose,
  )
}

function joinedList(
  library: YamlLibrary,
  rows: readonly Row[],
  pieces: readonly YamlPiece[],
): string {
  const items = pieces.flatMap(({ values }) => values)
  const empty = pieces.length > 0 && items.length === 0 ? '[]\n' : ''
  const text = rows.map((row) => row.text).join('') + empty
  return sameMeaning(library, text, pieces.length === 0 ? [] : [items])
}

function joinedDocuments(
  library: YamlLibrary,
  rows: readonly Row[],
  pieces: readonly YamlPiece[],
): string {
  let text = ''
  let open = false
  let first = true
  for (const row of rows) {
    if (row.text === '') continue
    // Only behind an ended document a comment is surely none of its text, and a directive can stand.
    const apart = !isPiece(row) || firstLine(row.text).startsWith('%')
    if (open && apart) {
      text += '...\n'
      open = false
    }
    if (isPiece(row)) {
      if (!first && !/^(?:---(?:\s|$)|%)/.test(firstLine(row.text))) text += '---\n'
      first = false
      open = true
    }
    text += row.text
  }
  const documents = pieces.flatMap(({ kind, values }) => (kind === 'list' ? [values] : values))
  return sameMeaning(library, text, documents)
}

/** The first that is neither blank nor a comment. */
function firstLine(text: string): string {
  return text.split('\n').find((line) => line.trim() !== '' && !/^\s*#/.test(line)) ?? ''
}

/** Texts were put together, not values: whether that went well is not taken on trust. */
function sameMeaning(library: YamlLibrary, text: string, meant: readonly unknown[]): string {
  try {
    if (isDeepStrictEqual(parseYaml(library, text).map(meaningOf), meant)) return text
  } catch (error) {
    if (!(error instanceof BadYaml)) throw error
    throw new CannotCombine(
      `the answers, put together, are no longer valid YAML: ${oneLine(error.message, 200)}`,
    )
  }
  throw new CannotCombine('the answers, put together, would no longer mean what each of them means')
}
