import type { Combiner, PartAnswer } from './combiner.ts'
import { withoutRepeat } from './overlap.ts'
import { missingPart } from './part-name.ts'

export interface ConcatOptions {
  /** How many parts there are in all. */
  readonly parts: number
  /** What stands between two answers; undefined: what the splitter makes right. */
  readonly with: string | undefined
  /** True when the input was cut at line ends, so that answers stand on lines of their own. */
  readonly lineLike: boolean
  /** True when parts share lines with the part before, so that answers may say the same twice. */
  readonly overlapping: boolean
}

/** The answers in the order of the input, each let out as soon as it is there. A missing one leaves a marked hole. */
export function concat(options: ConcatOptions): Combiner {
  const between = options.with ?? ''
  // Of all that was let out, only how it ends matters.
  let started = false
  let lastEnd: 'line end' | 'open' = 'line end'
  let afterHole = false
  let before: string | undefined
  let linesDropped = 0
  let answersTrimmed = 0

  const letOut = (text: string): string => {
    if (text !== '') lastEnd = text.endsWith('\n') ? 'line end' : 'open'
    return text
  }
  const lineBreak = () => (lastEnd === 'open' ? letOut('\n') : '')
  const separator = () => (started ? letOut(between) : '')

  function hole(answer: PartAnswer & { readonly failed: string }): string {
    // Between two holes, and between a hole and an answer, stands what stands between two answers.
    let out = afterHole && !between.startsWith('\n') ? lineBreak() : ''
    out += separator()
    out += lineBreak() + letOut(`[${missingPart(answer, options.parts)}]`)
    afterHole = true
    before = undefined
    return out
  }

  function said(text: string): string {
    const { rest, lines } =
      options.overlapping && before !== undefined
        ? withoutRepeat(before, text)
        : { rest: text, lines: 0 }
    if (lines > 0) answersTrimmed++
    linesDropped += lines
    // A line that was dropped ended here, whatever the splitter cuts at.
    const breaks = options.with === undefined && (options.lineLike || lines > 0)
    let out = afterHole && !between.startsWith('\n') ? lineBreak() : ''
    out += separator()
    if (breaks && rest !== '') out += lineBreak()
    out += letOut(rest)
    afterHole = false
    before = text
    return out
  }

  return {
    add(answer) {
      const out = 'failed' in answer ? hole(answer) : said(answer.text)
      started = true
      return out
    },
    end: () => '',
    get notes() {
      if (!options.overlapping) return {}
      return { repeated_lines_dropped: linesDropped, answers_trimmed: answersTrimmed }
    },
  }
}
