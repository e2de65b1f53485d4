import type { Outcome } from '../core/outcome.ts'
import type { Settings } from '../core/settings.ts'
import type { Lease } from '../pool/lease.ts'
import type { Answer } from './answer.ts'
import { Elsewhere, type ElsewhereDoors } from './elsewhere.ts'
import type { Exchange } from './exchange.ts'
import type { Loads } from './loads.ts'

export interface LoadingDoors extends ElsewhereDoors {
  readonly loads: Loads
  readonly settings: Settings
}

/** An exchange's wait for its model, which is loaded by a request of our own. */
export class Loading {
  readonly #doors: LoadingDoors

  constructor(doors: LoadingDoors) {
    this.#doors = doors
  }

  /** The model is not in memory there, and the exchange can not do without it. */
  isNeeded(exchange: Exchange, { endpoint }: Lease): boolean {
    const { loads, settings } = this.#doors
    return (
      wantsLoad(exchange) &&
      settings.routing.loadRescue &&
      loads.needed(endpoint, exchange.asked.ask)
    )
  }

  /**
   * Waits for the load that it needs; the outcome where that was the end of the attempt. `isBound`: there is no other
   * place for it, however long this takes.
   */
  async wait(
    exchange: Exchange,
    lease: Lease,
    answer: Answer,
    isBound: boolean,
  ): Promise<Outcome | undefined> {
    const { loads, clock } = this.#doors
    const { endpoint } = lease
    const load = loads.join(endpoint, exchange.asked.ask)
    const startedMs = clock.now()
    const elsewhere = isBound ? undefined : new Elsewhere(exchange, endpoint, this.#doors)
    const first = elsewhere ? Promise.race([load.result, elsewhere.result]) : load.result
    const result = await orEnded(exchange, lease, first).finally(() => {
      elsewhere?.[Symbol.dispose]()
      load.leave()
    })
    if (result === 'ended') return { kind: 'clientLeft' }
    if (result === 'away') return { kind: 'unreachable', text: 'it stopped answering' }
    answer.loadMs += clock.now() - startedMs
    if (result.kind !== 'failed' || isAboutTheModel(result.outcome)) {
      lease.loaded()
      return undefined
    }
    if (result.outcome.kind === 'refused' && result.answer)
      answer.keepLoadRefusal(result.answer, endpoint.name)
    return result.outcome
  }
}

/** Works with a model, so that it must be in memory. */
export function wantsLoad({ asked: { ask } }: Exchange): boolean {
  return ask.purpose !== 'unload' && ask.repeatable && ask.op !== 'show' && !ask.name.cloud
}

/** The client's own request will be told so too, and in the words that its route has for it. */
function isAboutTheModel(outcome: Outcome): boolean {
  return outcome.kind === 'refused' && (outcome.why === 'clientFault' || outcome.why === 'noModel')
}

/** Whichever comes first: the result, the end of the exchange, or the probes giving the endpoint up. */
function orEnded<T>(
  exchange: Exchange,
  lease: Lease,
  result: Promise<T>,
): Promise<T | 'ended' | 'away'> {
  return new Promise<T | 'ended' | 'away'>((resolve, reject) => {
    const ended = exchange.onEnd(() => resolve('ended'))
    const givenUp = () => {
      ended[Symbol.dispose]()
      resolve('away')
    }
    lease.onAway = givenUp
    result.then(resolve, reject).finally(() => ended[Symbol.dispose]())
  }).finally(() => {
    lease.onAway = undefined
  })
}
