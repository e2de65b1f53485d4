import { Failure } from '../core/failure.ts'
import { Roster } from '../core/roster.ts'
import type { Exchange } from '../proxy/exchange.ts'

/** Commands to the fleet that run now: they are no exchanges of the server, so somebody must end them at the stop. */
export class Commands {
  readonly #running = new Roster<Exchange>()

  /** Runs it; where the stop of the proxy ended it, that is how it failed. */
  async run<Result>(exchange: Exchange, act: () => Promise<Result>): Promise<Result> {
    this.#running.add(exchange)
    try {
      return await endedByStop(exchange, act())
    } catch (error) {
      throw exchange.endedBy === 'stop' ? stopped() : error
    } finally {
      this.#running.delete(exchange)
    }
  }

  /** Ends those that still run with one error in the client's own format. */
  stopRunning(): void {
    for (const exchange of this.#running) exchange.stop()
  }
}

/** An upload that still comes in is read on, whatever has ended its exchange; what nobody waits for may fail. */
function endedByStop<Result>(exchange: Exchange, result: Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const ended = exchange.onEnd(() => {
      if (exchange.endedBy === 'stop') setImmediate(() => reject(stopped()))
    })
    result.then(resolve, reject).finally(() => ended[Symbol.dispose]())
  })
}

function stopped(): Failure {
  return new Failure('stopping', 'the proxy stops, and its time for running commands is over', {
    retryAfterS: 5,
  })
}
