import { Failure, type FailureCode } from '../../core/failure.ts'
import type { Ending } from '../../core/observer.ts'
import type { Outcome } from '../../core/outcome.ts'
import type { Exchange } from '../exchange.ts'

/** Codes of an answer that ended in its middle. */
export type EndCode = FailureCode & ('answer_cut' | 'repeat_guard')

/** An end in the middle of an answer, for the log and for the client's one line of error. */
export interface EarlyEnd {
  readonly ending: Ending
  readonly code: EndCode
  readonly message: string
}

/** What is known of an answer that broke off, beside how its last attempt ended. */
export interface BreakFacts {
  /** Why nobody goes on with it; undefined: nobody was asked. */
  readonly because: { readonly why: string; readonly code: EndCode } | undefined
  /** The client has more of it than is kept, so nobody could be asked. */
  readonly isTooLong: boolean
  /** The last attempt ended cleanly, as HTTP goes, and still without its last line. */
  readonly isSilent: boolean
}

/** How an answer ends that broke off in its middle, and that nobody has gone on with to its end. */
export function earlyEndOf(last: Outcome, { because, isTooLong, isSilent }: BreakFacts): EarlyEnd {
  const isGuard = because ? because.code === 'repeat_guard' : isSilent
  const why = because?.why ?? (isTooLong ? 'more of it was sent than is kept' : undefined)
  return {
    ending: last.kind === 'timedOut' ? 'upstream_timeout' : 'stream_broken',
    code: isGuard ? 'repeat_guard' : 'answer_cut',
    message: isGuard
      ? 'the backend ended the answer without its last line; a model that repeats itself is stopped like that'
      : last.kind === 'timedOut'
        ? last.text
        : why === undefined
          ? 'the backend ended in the middle of the answer'
          : `the backend ended in the middle of the answer, and ${why}`,
  }
}

/** What a client is told whose answer is waited for no longer; undefined: it has left, and hears nothing. */
export function failureOfEnd(endedBy: Exchange['endedBy']): Failure | undefined {
  if (endedBy === 'deadline')
    return new Failure('total_timeout', 'the answer was not complete in time')
  if (endedBy === 'stop')
    return new Failure('stopping', 'the proxy stops, and its time for running answers is over', {
      retryAfterS: 5,
    })
  return undefined
}
