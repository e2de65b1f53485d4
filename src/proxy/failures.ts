import { Failure } from '../core/failure.ts'
import type { Ending } from '../core/observer.ts'
import type { Outcome } from '../core/outcome.ts'

/** What a client is told when the last attempt was this one, and nobody has said anything better. */
export function failureOf(last: Outcome): Failure {
  switch (last.kind) {
    case 'unreachable':
      return new Failure('all_away', `no backend could be reached (${last.text})`, {
        retryAfterS: 5,
      })
    case 'timedOut':
      return new Failure('upstream_timeout', last.text)
    case 'brokeOff':
      return new Failure('upstream_failed', 'the backend ended before its answer was complete')
    case 'refused':
      return failureOfRefusal(last)
    case 'answered':
    case 'moved':
    case 'gaveWay':
    case 'overtaken':
    case 'clientLeft':
      return new Failure('internal', 'the exchange ended without an answer')
  }
}

/** A backend's refusal in our own words. */
export function failureOfRefusal(last: Outcome & { kind: 'refused' }): Failure {
  // That sentence is ours already.
  if (last.why === 'badAnswer') return new Failure('upstream_failed', last.text)
  const said = errorTextIn(last.text)
  if (last.why === 'noModel') return new Failure('model_unknown', said)
  if (last.why === 'clientFault') return new Failure('request_invalid', said)
  if (last.why === 'busy') return new Failure('all_busy', said, { retryAfterS: 2 })
  return new Failure('upstream_failed', said)
}

/** The sentence in an error of Ollama's. */
export function errorTextIn(text: string): string {
  try {
    const said: unknown = (JSON.parse(text) as { error?: unknown }).error
    if (typeof said === 'string') return said
  } catch {
    // Not JSON, or cut off: the bare status says enough.
  }
  return 'the backend could not serve this request'
}

/** In which of the few words of log and metrics an exchange ended that failed so. */
export function endingOf(error: Failure): Ending {
  switch (error.code) {
    case 'queue_timeout':
      return 'queue_timeout'
    case 'queue_full':
    case 'queue_share_full':
    case 'deadline_hopeless':
    case 'all_busy':
    case 'body_budget_full':
    case 'stopping':
    case 'drained':
      return 'shed'
    case 'all_away':
    case 'model_away':
    case 'no_backend':
    case 'poison':
      return 'rejected'
    case 'upstream_timeout':
    case 'total_timeout':
      return 'upstream_timeout'
    case 'upstream_failed':
    case 'answer_cut':
    case 'part_failed':
    case 'cannot_combine':
    case 'internal':
      return 'upstream_error'
    default:
      return 'bad_request'
  }
}
