import type { Op } from '../core/ask.ts'
import { Failure } from '../core/failure.ts'
import type { Ending } from '../core/observer.ts'
import { ClientGone } from '../proxy/body.ts'
import type { Exchange } from '../proxy/exchange.ts'
import { endingOf } from '../proxy/failures.ts'
import { NotWanted } from '../proxy/queue.ts'
import type { HttpDoors } from './doors.ts'

/**
 * A command to the fleet ends in one sentence as every exchange does: who had what deleted must stand in the log.
 * `run` resolves with the status that says how it went, also where a stream had begun with another; with a Failure
 * where that was told to the client inside the stream.
 */
export async function recorded(
  exchange: Exchange,
  { observer, clock }: Pick<HttpDoors, 'observer' | 'clock'>,
  run: () => Promise<number | Failure>,
): Promise<void> {
  const { asked, client } = exchange
  const { ask } = asked
  let status = 499
  let ending: Ending = 'client_closed'
  let failure: Failure | undefined
  observer.exchangeStarted(ask.family, ask.op)
  try {
    const went = await run()
    if (went instanceof Failure) failure = went
    status = went instanceof Failure ? went.status : went
    ending = failure ? endingOf(failure) : endingOfStatus(status)
  } catch (error) {
    if (!(error instanceof ClientGone || error instanceof NotWanted)) {
      failure = error instanceof Failure ? error : new Failure('internal', 'it failed')
      status = failure.status
      ending = endingOf(failure)
    }
    throw error
  } finally {
    observer.exchangeEnded({
      id: asked.id,
      family: ask.family,
      op: ask.op,
      model: ask.name.canonical,
      tenant: asked.tenant,
      priority: asked.priority,
      ending,
      status,
      code: failure?.code,
      // It goes to as many as it concerns; what each of them did stands in the answer.
      backend: '',
      attempts: 1,
      // A part's failure has words of the backend in it, or of the client's own document: they are for the client.
      trail: failure && !asksModels.has(ask.op) ? [failure.message] : [],
      continued: [],
      waitMs: 0,
      firstByteMs: undefined,
      totalMs: clock.now() - asked.arrivedMs,
      bytesIn: asked.body.size,
      bytesOut: client.bytesOut,
      figures: undefined,
    })
  }
}

const asksModels: ReadonlySet<Op> = new Set(['generate', 'chat', 'embed'])

function endingOfStatus(status: number): Ending {
  return status < 400 ? 'ok' : status < 500 ? 'bad_request' : 'upstream_error'
}
