import type { Records } from './records.ts'

const delimiters = [',', '\t', ';', '|'] as const
const sampleRecordsMax = 20

interface Row {
  readonly end: number
  readonly fields: number
  readonly isBlank: boolean
}

/**
 * Rows of a table of values (RFC 4180, and with other delimiters): as many fields in each of the first rows, two at
 * least. A quoted field may have line breaks. `rowsMin` says how many rows there must be to believe it.
 */
export function csvRecords(text: string, rowsMin: number): Records | undefined {
  const delimiter = delimiters.find((each) => isTable(sampleOf(text, each), rowsMin))
  if (delimiter === undefined) return undefined
  // A quote that never ends is an inch mark or the like.
  const rows = rowsOf(text, delimiter, true) ?? rowsOf(text, delimiter, false)!
  const first = rows.find(({ isBlank }) => !isBlank)!
  const headerEnd = hasHeader(text.slice(0, first.end), delimiter) ? first.end : 0
  const ends: number[] = []
  for (const { end, isBlank } of rows) {
    // Blank lines go to the row before, the header to the row behind it.
    if (isBlank && ends.length > 0) ends[ends.length - 1] = end
    else if (!isBlank && end !== headerEnd) ends.push(end)
  }
  if (ends.length === 0) return { ends: [text.length] }
  ends[ends.length - 1] = text.length
  if (headerEnd === 0) return { ends }
  const header = text.slice(0, headerEnd).trimStart()
  return { ends, carry: (record) => (record === 0 ? '' : header) }
}

/** With quotes where they end, else without: a stray quote must not make one field of everything. */
function sampleOf(text: string, delimiter: string): Row[] {
  return (
    rowsOf(text, delimiter, true, sampleRecordsMax) ??
    rowsOf(text, delimiter, false, sampleRecordsMax)!
  )
}

function isTable(rows: readonly Row[], rowsMin: number): boolean {
  const filled = rows.filter(({ isBlank }) => !isBlank)
  const fields = filled[0]?.fields ?? 0
  return filled.length >= rowsMin && fields > 1 && filled.every((row) => row.fields === fields)
}

/** Undefined when a quoted field does not end. */
function rowsOf(
  text: string,
  delimiter: string,
  quoted: boolean,
  rowsMax = Number.POSITIVE_INFINITY,
): Row[] | undefined {
  const rows: Row[] = []
  const marks = new RegExp(quoted ? `["\\n\\${delimiter}]` : `[\\n\\${delimiter}]`, 'g')
  let start = 0
  let fields = 1
  let fieldStart = 0
  for (let mark = marks.exec(text); mark && rows.length < rowsMax; mark = marks.exec(text)) {
    const at = mark.index
    if (mark[0] === '"') {
      // Only at its beginning a quote makes a field a quoted one.
      if (at !== fieldStart) continue
      const end = quoteEnd(text, at)
      if (end < 0) return undefined
      marks.lastIndex = end
      continue
    }
    fieldStart = at + 1
    if (mark[0] === delimiter) fields++
    else {
      rows.push({ end: at + 1, fields, isBlank: text.slice(start, at).trim() === '' })
      start = at + 1
      fields = 1
    }
  }
  if (rows.length < rowsMax && start < text.length)
    rows.push({ end: text.length, fields, isBlank: text.slice(start).trim() === '' })
  return rows
}

/** Behind the quote that closes the field; a doubled one is a letter of it. */
function quoteEnd(text: string, open: number): number {
  let at = text.indexOf('"', open + 1)
  while (at >= 0 && text[at + 1] === '"') at = text.indexOf('"', at + 2)
  return at < 0 ? -1 : at + 1
}

/** Names, not values: no field of it is empty or a number. */
function hasHeader(row: string, delimiter: string): boolean {
  return row
    .split(delimiter)
    .map((field) => field.trim().replace(/^"|"$/g, '').trim())
    .every((field) => field !== '' && !/^[-+]?[\d.,:/ -]*\d[\d.,:/ %-]*$/.test(field))
}
