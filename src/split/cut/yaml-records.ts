import { lineEnds } from './lines.ts'
import type { Records } from './records.ts'

const sampleUnits = 32_768
/** Of the lines that are read, so many must look like YAML; text in blocks of its own does not. */
const shareMin = 0.7

/**
 * Documents of a YAML stream. By its grammar `---` at the beginning of a line always begins one, wherever it is, and
 * `...` ends one, so that nothing has to be parsed. Undefined for less than two.
 */
export function yamlRecords(text: string): Records | undefined {
  if (!/^(?:---|\.\.\.)(?:\s|$)/m.test(text) || !looksLikeYaml(text)) return undefined
  const ends: number[] = []
  let start = 0
  let hasContent = false
  let ended = false
  for (const end of lineEnds(text)) {
    const line = text.slice(start, Math.min(end, start + 4))
    const begins = /^---(?:\s|$)/.test(line)
    if (hasContent && (begins || (ended && line.trim() !== ''))) {
      ends.push(start)
      hasContent = false
    }
    ended = /^\.\.\.(?:\s|$)/.test(line) || (ended && line.trim() === '')
    // Directives and comments before the first mark belong to the document behind it.
    hasContent ||= begins || !/^(?:\s*$|[%#])/.test(line)
    start = end
  }
  ends.push(text.length)
  return ends.length > 1 ? { ends } : undefined
}

function looksLikeYaml(text: string): boolean {
  const lines = text
    .slice(0, sampleUnits)
    .split('\n')
    .filter((line) => line.trim() !== '')
  const like = lines.filter((line) =>
    /^(?:---|\.\.\.|%|#|\s+\S|- |-$|["']?[\w./-][^:]{0,80}:(?:\s|$))/.test(line),
  )
  const keys = lines.filter((line) => /^(?:- )?["']?[\w./-][^:]{0,80}:(?:\s|$)/.test(line))
  return keys.length > 0 && like.length >= lines.length * shareMin
}
