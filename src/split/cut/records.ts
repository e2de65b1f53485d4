import { csvRecords } from './csv-records.ts'
import { isJsonLines, jsonArray, jsonObjects } from './json-records.ts'
import { isBlank, lineEnds } from './lines.ts'
import { stampedRecords, unindentedRecords } from './log-records.ts'
import { numbered, pack, type UnitsOfText } from './pack.ts'
import type { CutWishes, Part } from './splitter.ts'
import { yamlRecords } from './yaml-records.ts'

/** Where records end, what is carried, and what is sent where that is not the slice. */
export interface Records extends Pick<UnitsOfText, 'carry' | 'textOf'> {
  readonly ends: readonly number[]
}

const sizeDefault = 20
/** Two rows alike are enough when somebody says that these are records. */
const rowsMin = 2

/**
 * Records are never cut. Their kind is found out: JSON lines, an array or objects of JSON, YAML documents, a log by its
 * times, a table of values (its header is sent with every part but the first), a log by its indentation, else lines.
 */
export function cutRecords(text: string, wishes: CutWishes): Part[] {
  if (text === '') return []
  const { ends, carry, textOf } = recordsOf(text)
  const units: UnitsOfText = {
    labelOf: numbered('record'),
    carry,
    ...(textOf && { textOf }),
  }
  return pack(text, ends, units, { ...wishes, size: wishes.size ?? sizeDefault })
}

function recordsOf(text: string): Records {
  const lines = lineEnds(text)
  if (isJsonLines(text, lines)) return { ends: withoutBlank(text, lines) }
  return (
    jsonArray(text) ??
    jsonObjects(text) ??
    yamlRecords(text) ??
    stampedRecords(text, lines) ??
    csvRecords(text, rowsMin) ??
    unindentedRecords(text, lines) ?? { ends: withoutBlank(text, lines) }
  )
}

/** Blank lines belong to the record before. */
function withoutBlank(text: string, lines: readonly number[]): number[] {
  const ends: number[] = []
  let start = 0
  for (const end of lines) {
    if (ends.length > 0 && isBlank(text, start, end)) ends[ends.length - 1] = end
    else ends.push(end)
    start = end
  }
  return ends
}
