import { readFileSync } from 'node:fs'
import { UsageError } from '../../plan.ts'

/** What a recorded trace says of a request. */
export interface Recorded {
  readonly atMs: number
  readonly promptTokens: number
  readonly outputTokens: number
}

/**
 * A file as the Azure Public Dataset has them: TIMESTAMP,ContextTokens,GeneratedTokens, a request a line, times as a
 * date or in seconds. Gives them from time zero on, in the order of their times.
 */
export function readRecorded(file: string): Recorded[] {
  const lines = readFileSync(file, 'utf8').split(/\r?\n/)
  const rows: Recorded[] = []
  for (const [index, line] of lines.slice(1).entries()) {
    if (line.trim() === '') continue
    const [time = '', prompt, output] = line.split(',')
    const row = {
      atMs: momentOf(time),
      promptTokens: Number(prompt),
      outputTokens: Number(output),
    }
    if (!Object.values(row).every(Number.isFinite) || row.promptTokens < 1)
      throw new UsageError(
        `${file}, line ${index + 2}: not "time,prompt tokens,generated tokens": ${line.slice(0, 80)}`,
      )
    rows.push(row)
  }
  if (rows.length < 2) throw new UsageError(`${file} has fewer than two requests`)
  rows.sort((one, other) => one.atMs - other.atMs)
  const firstMs = rows[0]!.atMs
  return rows.map((row) => ({ ...row, atMs: row.atMs - firstMs }))
}

/** So many in a row, from another place for each seed, and from time zero on. */
export function partOf(recorded: readonly Recorded[], requests: number, seed: number): Recorded[] {
  const places = Math.max(1, Math.floor(recorded.length / requests))
  const from = (seed % places) * requests
  const part = recorded.slice(from, from + requests)
  const firstMs = part[0]!.atMs
  return part.map((row) => ({ ...row, atMs: row.atMs - firstMs }))
}

function momentOf(text: string): number {
  const seconds = Number(text)
  if (text !== '' && Number.isFinite(seconds)) return seconds * 1_000
  // Dates carry up to seven digits of a second; a Date keeps three.
  return Date.parse(`${text.trim().replace(' ', 'T').slice(0, 23)}Z`)
}
