import { decodeSAt, prefillSAt } from './costs/rates.ts'
import { errorOfGuess } from './costs/slope.ts'
import type { Run } from './running.ts'
import { type Table, termCount } from './table.ts'

/** When the first word of an answer is expected, from the moment when its seat was taken. */
export interface FirstWord {
  readonly expectedS: number
  /** Standard error of that, in seconds too: of the reading, whose speed is known from how few samples. */
  readonly errorS: number
}

/** Samples from which on a speed is known. */
const samplesEnough = 3

/**
 * The wait, the prompt and one token of the answer, as the decision saw them. Undefined where nothing can be said: the
 * speed there is a guess or was guessed badly, the seat may not exist, or a load had to come first.
 */
export function firstWordOf(run: Run, table: Table, streams: number): FirstWord | undefined {
  const { rates, work } = run
  // Predictions for the model are bad at present.
  if (table.because !== undefined) return undefined
  if (run.asTry || run.loadEndsMs > 0 || run.loadMs > 0) return undefined
  if (rates.samples < samplesEnough) return undefined
  const writes = work.lengths !== undefined
  // What was measured has an error of its own.
  const isReadingGuessed = rates.prefillError === errorOfGuess
  if (isReadingGuessed && !writes) return undefined
  const tokenS = writes ? decodeSAt(rates, streams) : 0
  const believedS = prefillSAt(rates, streams)
  // Short prompts teach nothing of reading; but nobody reads more slowly than it writes.
  const readTokenS = isReadingGuessed ? Math.max(believedS, tokenS) : believedS
  const readS = Math.max(0, work.promptTokens - run.cachedTokens) * readTokenS
  const expectedS = waitSIn(table) + readS + tokenS
  const errorS = readS * rates.prefillError
  return Number.isFinite(expectedS + errorS) ? { expectedS, errorS } : undefined
}

/** The winner's first term, where the picker knows seconds. */
function waitSIn({ terms, endpoints, winner }: Table): number {
  return terms[endpoints.indexOf(winner) * termCount] ?? 0
}
