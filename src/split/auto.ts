/** What `auto` weighs. */
export interface AutoFacts {
  readonly parts: number
  readonly inputTokens: number
  /** What the largest context holds beside the overhead and the answer. */
  readonly roomTokens: number
  readonly seats: number
  /** The whole input in one piece on the fastest backend. */
  readonly wholeMs: number
  /** The parts on all seats, what they carry counted. */
  readonly splitMs: number
}

export interface AutoDecision {
  readonly split: boolean
  readonly why: string
}

/** Below this a prompt is read faster than it is worth thinking about. */
const tokensWorthMin = 256
/** A prediction is only believed when it promises this much. */
const gainMin = 0.1

/** Splits when there is no other way, or when it is predicted to be done sooner. */
export function decideAuto(facts: AutoFacts): AutoDecision {
  const { parts, roomTokens, seats, wholeMs, splitMs } = facts
  const inputTokens = Math.ceil(facts.inputTokens)
  if (inputTokens > roomTokens)
    return {
      split: true,
      why: `about ${inputTokens} tokens do not fit the largest context, which has room for ${roomTokens}`,
    }
  if (parts < 2) return { split: false, why: 'the input is no larger than one part' }
  if (inputTokens < tokensWorthMin)
    return { split: false, why: `about ${inputTokens} tokens are too few to be worth it` }
  if (seats < 2)
    return { split: false, why: 'one seat serves this model, so parts would only wait' }
  const gain = 1 - splitMs / wholeMs
  if (gain < gainMin)
    return {
      split: false,
      why: `the ${parts} parts would take about ${seconds(splitMs)}, the whole ${seconds(wholeMs)}`,
    }
  return {
    split: true,
    why: `${parts} parts take about ${seconds(splitMs)} on ${seats} seats, the whole ${seconds(wholeMs)}`,
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(ms < 10_000 ? 1 : 0)} s`
}

/** Assumed of a backend that has not answered yet: a mid-size model on a small machine. */
const msPerTokenGuess = 10

export interface SeatsOfOne {
  readonly seats: number
  /** Undefined: nobody knows yet. */
  readonly msPerToken: number | undefined
}

/** How long the whole takes on the fastest seat, and the parts on all of them together. */
export function predict(
  tokens: { readonly whole: number; readonly parts: number; readonly largestPart: number },
  holders: readonly SeatsOfOne[],
): { wholeMs: number; splitMs: number } {
  const known = holders.flatMap(({ msPerToken }) => msPerToken ?? [])
  const guess = known.length === 0 ? msPerTokenGuess : Math.max(...known)
  let fastest = Number.POSITIVE_INFINITY
  let tokensPerMs = 0
  for (const { seats, msPerToken = guess } of holders) {
    fastest = Math.min(fastest, msPerToken)
    tokensPerMs += seats / Math.max(msPerToken, 1e-6)
  }
  return {
    wholeMs: tokens.whole * fastest,
    // No part is cut any finer, so the largest one is waited for in any case.
    splitMs: Math.max(tokens.parts / tokensPerMs, tokens.largestPart * fastest),
  }
}
