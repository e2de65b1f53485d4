import type { FailureCode } from '../../core/failure.ts'
import type { InnerAnswer } from '../../core/inner-call.ts'

/** What a part's answer means for the batch. */
export type PartVerdict =
  /** A list of embeddings, still to be read. */
  | 'answered'
  /** The items are at fault: every server would say so, and a single one would have said it of the whole batch. */
  | 'refused'
  /** This backend could not: another may. */
  | 'elsewhere'
  /** The proxy's own queue has no place now: later, when a part is done. */
  | 'later'
  /** Asking again is of no use: no time is left, or the proxy stops. */
  | 'over'

const hopeless: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'total_timeout',
  'queue_timeout',
  'stopping',
  'poison',
])
const crowded: ReadonlySet<FailureCode> = new Set<FailureCode>([
  'queue_full',
  'all_busy',
  'body_budget_full',
])

/** Statuses below 500 that say something of the server and nothing of the items. */
const ofTheServer: ReadonlySet<number> = new Set([401, 403, 404, 408, 429])

export function verdictOf({ status, code }: Pick<InnerAnswer, 'status' | 'code'>): PartVerdict {
  if (status === 200) return 'answered'
  if (status === 499 || (code !== undefined && hopeless.has(code))) return 'over'
  if (code !== undefined && crowded.has(code)) return 'later'
  return status >= 400 && status < 500 && !ofTheServer.has(status) ? 'refused' : 'elsewhere'
}
