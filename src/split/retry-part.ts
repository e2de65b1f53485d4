import type { InnerAnswer } from '../core/inner-call.ts'
import { sentenceIn } from './answers.ts'

/** What a part's failure means for it. */
export type AfterFailure =
  /** Nothing was wrong with it: there was no room. It comes again after a moment, as often as the deadline allows. */
  | { readonly kind: 'wait'; readonly delayMs: number }
  /** That backend failed it: another one may not. */
  | { readonly kind: 'elsewhere'; readonly delayMs: number }
  | { readonly kind: 'final'; readonly why: string }

/** Tries of one part at which a backend may fail it; each has its own retries inside. */
export const triesMax = 3
/** A fleet that has served this run and is away is waited for this long: a restart takes less. */
export const awayMsMax = 60_000

export interface PartHistory {
  /** Tries that a backend has failed, this one included. */
  readonly failedTries: number
  /** Times that it was sent away for want of room, this one included. */
  readonly sentAway: number
  /** Since when nobody is there to serve it; 0 when this is the first time. */
  readonly awayForMs: number
  /** Some part of this run has been answered, so the fleet was there once. */
  readonly runHasAnswers: boolean
}

/** `chance` from 0 to 1 spreads those that were sent away together. */
export function afterFailure(
  { status, code, body }: Pick<InnerAnswer, 'status' | 'code' | 'body'>,
  history: PartHistory,
  chance: number,
): AfterFailure {
  const why = sentenceIn(body, status)
  switch (code) {
    case 'queue_full':
    case 'queue_timeout':
    case 'all_busy':
    case 'body_budget_full': {
      const delayMs = Math.min(2_000, 50 * 2 ** Math.min(6, history.sentAway)) * (0.5 + chance / 2)
      return { kind: 'wait', delayMs }
    }
    case 'all_away':
    case 'model_away':
    case 'no_backend':
      return history.runHasAnswers && history.awayForMs < awayMsMax
        ? { kind: 'wait', delayMs: 250 + 250 * chance }
        : { kind: 'final', why }
    case 'total_timeout':
    case 'stopping':
    case 'poison':
      return { kind: 'final', why }
  }
  // What a backend refuses for the request's own sake every other one refuses as well.
  if (status >= 400 && status < 500 && status !== 408 && status !== 429)
    return { kind: 'final', why }
  if (history.failedTries >= triesMax) return { kind: 'final', why }
  return { kind: 'elsewhere', delayMs: 20 * history.failedTries * (0.5 + chance / 2) }
}
