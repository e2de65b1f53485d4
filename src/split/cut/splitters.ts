import { cutCode } from './code.ts'
import { csvRecords } from './csv-records.ts'
import { isJsonLines } from './json-records.ts'
import { guessGrammar } from './languages.ts'
import { cutLines, lineEnds } from './lines.ts'
import { stampedRecords } from './log-records.ts'
import { cutMarkdown } from './markdown.ts'
import { cutParagraphs, paragraphEnds } from './paragraphs.ts'
import { cutRecords } from './records.ts'
import { cutSentences } from './sentences.ts'
import {
  type CutWishes,
  notTooMany,
  type Part,
  type Splitter,
  type SplitterName,
} from './splitter.ts'
import { cutTokens } from './tokens.ts'
import { yamlRecords } from './yaml-records.ts'

/** Ways to cut a text; a list of items has its own (`cutItems`). */
export type TextSplitterName = Exclude<SplitterName, 'items'>

const splitters: Readonly<Record<TextSplitterName, Splitter>> = {
  lines: cutLines,
  paragraphs: cutParagraphs,
  sentences: cutSentences,
  tokens: cutTokens,
  markdown: cutMarkdown,
  code: cutCode,
  records: cutRecords,
}

/** Parts of a text, none for an empty one; rejects with PartTooLarge, or with CannotCut. */
export async function cutText(
  name: TextSplitterName,
  text: string,
  wishes: CutWishes,
): Promise<Part[]> {
  return text === '' ? [] : notTooMany(await splitters[name](text, wishes))
}

/** Whether a part ends where a line does, so that a line break is set between the answers to two of them. */
export function isLineLike(name: SplitterName): boolean {
  return name !== 'sentences' && name !== 'tokens'
}

/** What a text is shows within so many UTF-16 units. */
const sampleUnits = 65_536
/** Prose may well have two lines with as many commas. */
const rowsMin = 4
const listLinesMin = 8
const listLineUnitsMax = 60
/** Of the lines of wrapped prose, many more go on in lower case. */
const goingOnShareMax = 0.3
/** Entries of a list stand line by line; blank lines between groups of them are few. */
const linesPerParagraphMin = 4

/** Alone on its line, which a comment of several lines (`# `) is not. */
const heading = /(?:^\ufeff?|\n[ \t]*\r?\n)#{1,6} [^\n]*(?:\n(?!#\s)|$)/

/** The splitter that suits a text, for clients that leave the choice to us. */
export function sniff(text: string): TextSplitterName {
  const sample = sampleOf(text)
  if (looksLikeRecords(sample)) return 'records'
  if (/^ {0,3}(?:```|~~~)/m.test(sample)) return 'markdown'
  if (guessGrammar(sample) !== undefined) return 'code'
  if (csvRecords(sample, rowsMin)) return 'records'
  if (heading.test(sample)) return 'markdown'
  return looksLikeList(sample) ? 'lines' : 'paragraphs'
}

/** Whole lines, or the last one would look like nothing. */
function sampleOf(text: string): string {
  if (text.length <= sampleUnits) return text
  const lastLine = text.lastIndexOf('\n', sampleUnits) + 1
  return text.slice(0, lastLine > 0 ? lastLine : sampleUnits)
}

function looksLikeRecords(sample: string): boolean {
  const lines = lineEnds(sample)
  return (
    isJsonLines(sample, lines) ||
    /^\s*\[\s*(?:\{\s*["}]|\[|"(?:[^"\\\n]|\\.)*"\s*[,\]]|-?\d[\d.eE+-]*\s*[,\]]\s*[-\d\]])/.test(
      sample,
    ) ||
    yamlRecords(sample) !== undefined ||
    stampedRecords(sample, lines) !== undefined
  )
}

function looksLikeList(sample: string): boolean {
  const lines = sample.split('\n').filter((line) => line.trim() !== '')
  const units = lines.reduce((sum, line) => sum + line.length, 0)
  const goingOn = lines.filter((line) => /^\p{Ll}/u.test(line)).length
  return (
    lines.length >= listLinesMin &&
    units <= lines.length * listLineUnitsMax &&
    goingOn <= lines.length * goingOnShareMax &&
    paragraphEnds(sample).length * linesPerParagraphMin <= lines.length
  )
}
