import type { Emitted, LegSums, NextRequest } from './continuing.ts'
import { type Fields, numberAt } from './reading.ts'

/** The figures of one leg, or of all. Zero where nothing was told. */
export interface Figures {
  readonly promptTokens: number
  readonly outputTokens: number
  readonly totalNs: number
  readonly loadNs: number
  readonly promptNs: number
  readonly outputNs: number
}

export const noFigures: Figures = {
  promptTokens: 0,
  outputTokens: 0,
  totalNs: 0,
  loadNs: 0,
  promptNs: 0,
  outputNs: 0,
}

/** As in the last line of Ollama's own routes. */
export function nativeFigures(fields: Fields): Figures {
  return {
    promptTokens: numberAt(fields, 'prompt_eval_count') ?? 0,
    outputTokens: numberAt(fields, 'eval_count') ?? 0,
    totalNs: numberAt(fields, 'total_duration') ?? 0,
    loadNs: numberAt(fields, 'load_duration') ?? 0,
    promptNs: numberAt(fields, 'prompt_eval_duration') ?? 0,
    outputNs: numberAt(fields, 'eval_duration') ?? 0,
  }
}

/** As the compatible routes tell them: counts only. */
export function usageFigures(usage: Fields | undefined): Figures {
  return {
    ...noFigures,
    promptTokens: numberAt(usage, 'prompt_tokens') ?? numberAt(usage, 'input_tokens') ?? 0,
    outputTokens: numberAt(usage, 'completion_tokens') ?? numberAt(usage, 'output_tokens') ?? 0,
  }
}

/**
 * The figures of the whole answer. A restarted leg has said all of it, so its counts are the answer's. Any other leg
 * read the pieces of the earlier ones as part of its prompt, which they were not for the client. Times add up, since
 * they were spent.
 */
export function mergedFigures(
  emitted: Emitted,
  request: NextRequest,
  before: LegSums,
  last: Figures,
): Figures {
  const whole = request.method === 'restart'
  const read = whole ? last.promptTokens : Math.max(0, last.promptTokens - emitted.pieces)
  const said = request.asked.complete === undefined ? last.outputTokens : 0
  return {
    promptTokens: before.promptTokens ?? read,
    outputTokens: whole ? last.outputTokens : Math.max(before.outputTokens, emitted.pieces) + said,
    totalNs: before.totalNs + last.totalNs,
    loadNs: before.loadNs + last.loadNs,
    promptNs: before.promptNs + last.promptNs,
    outputNs: before.outputNs + last.outputNs,
  }
}
