import type { Framing } from '../../core/ask.ts'
import type { Failure } from '../../core/failure.ts'
import type { ErrorAnswer } from '../../dialects/errors.ts'
import type { Exchange } from '../exchange.ts'
import { headerOf, responseHeaders } from '../headers.ts'
import type { HeldAnswer } from '../loads.ts'
import { proxyStatus } from '../proxy-status.ts'

/** The head of an answer as its backend sent it. */
export interface BackendHead {
  readonly status: number
  /** Name, value, name, value …. */
  readonly rawHeaders: readonly string[]
  /** What it says of the body; one that is packed is one frame. */
  readonly framing: Framing
  /** The content coding that hides what is in the body, in small letters; undefined: none does. */
  readonly coding: string | undefined
}

/** A backend's own words of refusal. */
export interface KeptRefusal extends HeldAnswer {
  readonly backend: string
}

/** So soon is a busy backend asked again that did not say when it may be. */
const retryBusyAfterS = 2

/**
 * The heads that a client gets: what the backend said, and then what is ours to say: who answered, after how many
 * attempts, and what was waited for.
 */
export class Heads {
  /** Time that model loads took before the current attempt. */
  loadMs = 0
  readonly #exchange: Exchange
  /** Name, value …: what the surface adds to every answer. */
  readonly #surface: readonly string[]

  constructor(exchange: Exchange, surface: readonly string[]) {
    this.#exchange = exchange
    this.#surface = surface
  }

  /** Of an answer that is passed on while it comes. */
  ofAnswer({ status, rawHeaders, framing }: BackendHead): string[] {
    const headers = responseHeaders(rawHeaders, framing === 'json')
    // A front nginx would otherwise collect a stream and hand it on in one piece.
    if (framing !== 'json') headers.push('X-Accel-Buffering', 'no')
    const { backend, attempts } = this.#exchange
    const details = detailsOf(this.#exchange)
    const said = proxyStatus({ backend, received: status, details })
    // The one that is answering is not on the list yet.
    headers.push(...this.#ours(said, attempts.length + 1))
    return headers
  }

  /** Of a backend's own refusal. */
  ofRefusal({ status, rawHeaders, body, backend }: KeptRefusal): string[] {
    const headers = responseHeaders(rawHeaders, false)
    headers.push(
      'Content-Length',
      String(body.length),
      ...this.#ours(proxyStatus({ backend, received: status })),
    )
    const isBusy = status === 503 || status === 429
    if (isBusy && headerOf(headers, 'retry-after') === undefined)
      headers.push('Retry-After', String(retryBusyAfterS))
    return headers
  }

  /** Of a failure that is told in words of ours. */
  ofFailure({ code, retryAfterS }: Failure, { contentType, body }: ErrorAnswer): string[] {
    const { backend } = this.#exchange
    const headers = [
      'Content-Type',
      contentType,
      'Content-Length',
      String(body.length),
      ...this.#ours(proxyStatus({ error: code, backend })),
    ]
    if (retryAfterS !== undefined) headers.push('Retry-After', String(retryAfterS))
    return headers
  }

  #ours(status: string, attemptsMade = this.#exchange.attempts.length): string[] {
    const { asked, backend, waitMs, substitute } = this.#exchange
    const headers = [
      'X-Request-Id',
      asked.id,
      'Proxy-Status',
      status,
      'Server-Timing',
      waitMs === 0 && this.loadMs === 0
        ? 'queue;dur=0.0, load;dur=0.0'
        : `queue;dur=${waitMs.toFixed(1)}, load;dur=${this.loadMs.toFixed(1)}`,
      ...this.#surface,
    ]
    if (substitute) headers.push('X-Chasqui-Model', asked.ask.modelText)
    if (backend !== '')
      headers.push(
        'X-Chasqui-Backend',
        backend,
        'X-Chasqui-Attempts',
        String(Math.max(1, attemptsMade)),
      )
    return headers
  }
}

/** Which model stands for which, and why; undefined: the one that was named answers. */
function detailsOf({ substitute, asked }: Exchange): string | undefined {
  if (!substitute) return undefined
  const { canonical } = asked.ask.name
  switch (substitute.why) {
    case 'alias':
      return `${substitute.asked} is ${canonical}`
    case 'rule':
      return `by a rule ${canonical} answers for ${substitute.asked}`
    case 'fallback':
      return `nobody can serve ${substitute.asked}, ${canonical} stands in`
  }
}
