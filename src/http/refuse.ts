import type { Family, Op } from '../core/ask.ts'
import { Failure } from '../core/failure.ts'
import { errorAnswer } from '../dialects/errors.ts'
import { ClientGone } from '../proxy/body.ts'
import { endingOf } from '../proxy/failures.ts'
import { NotWanted } from '../proxy/queue.ts'
import type { HttpDoors } from './doors.ts'
import type { Visit } from './front.ts'

type Told = Pick<HttpDoors, 'observer' | 'clock'>
type Asked = { readonly family: Family; readonly op: Op }

/**
 * Anything thrown while a request was read or a command run → its answer, in the family's shape. What is no Failure is
 * a fault of ours: the client gets a sentence, the log the rest.
 */
export function refuse(
  visit: Visit,
  doors: Told,
  asked: Asked,
  error: unknown,
  more: readonly string[] = [],
): void {
  // A command that the stop has ended has said so in its last line.
  if (error instanceof Failure && error.code === 'stopping' && visit.client.started) return
  if (error instanceof ClientGone || error instanceof NotWanted || visit.client.started) {
    visit.client.cut()
    return
  }
  const failure = failureOf(error, visit, doors)
  const retryAfter =
    failure.retryAfterS === undefined ? [] : ['Retry-After', String(failure.retryAfterS)]
  answerError(visit, asked, failure.status, failure.message, [...retryAfter, ...more], failure)
}

/** An error that was known before there was an exchange: answered, and told as every request's end is. */
export function refuseUnread(
  visit: Visit,
  doors: Told,
  asked: Asked,
  error: unknown,
  more: readonly string[] = [],
): void {
  const gone = error instanceof ClientGone || error instanceof NotWanted
  const failure = gone ? undefined : failureOf(error, visit, doors)
  refuse(visit, doors, asked, failure ?? error, more)
  tell(visit, doors, asked, failure)
}

/** A request that Ollama itself would refuse in these words. */
export function refuseAsOllama(
  visit: Visit,
  doors: Told,
  asked: Asked,
  { status, message }: { status: number; message: string },
): void {
  answerError(visit, asked, status, message, [])
  tell(visit, doors, asked, { status, code: undefined, message, ending: 'bad_request' })
}

function answerError(
  visit: Visit,
  { family }: Asked,
  status: number,
  message: string,
  more: readonly string[],
  failure?: Failure,
): void {
  const answer = errorAnswer(family, status, message, {
    requestId: visit.id,
    ...(failure ? { code: failure.code } : {}),
  })
  const headers = [
    'Content-Type',
    answer.contentType,
    'Content-Length',
    String(answer.body.length),
    'X-Request-Id',
    visit.id,
    ...visit.headers,
    ...more,
  ]
  if (!visit.client.started && !visit.client.left)
    visit.client.answerEarly(status, headers, answer.body)
}

function failureOf(error: unknown, visit: Visit, { observer }: Told): Failure {
  if (error instanceof Failure) return error
  observer.noticed('a request failed inside the proxy', {
    id: visit.id,
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  })
  return new Failure('internal', 'something went wrong inside the proxy', { cause: error })
}

/** Every request ends in one sentence, also one that never became an exchange. */
function tell(
  visit: Visit,
  { observer, clock }: Told,
  { family, op }: Asked,
  failure:
    | Failure
    | { status: number; code: undefined; message: string; ending: 'bad_request' }
    | undefined,
): void {
  const ending =
    failure === undefined
      ? 'client_closed'
      : failure instanceof Failure
        ? endingOf(failure)
        : failure.ending
  observer.exchangeStarted(family, op)
  observer.exchangeEnded({
    id: visit.id,
    family,
    op,
    model: '',
    tenant: '',
    priority: 'normal',
    ending,
    status: failure?.status ?? 499,
    code: failure?.code,
    backend: '',
    attempts: 0,
    trail: [],
    continued: [],
    waitMs: 0,
    firstByteMs: undefined,
    totalMs: clock.now() - visit.arrivedMs,
    bytesIn: visit.request.body.declaredBytes ?? 0,
    bytesOut: 0,
    figures: undefined,
  })
}
