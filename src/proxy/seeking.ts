import { Failure } from '../core/failure.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Lease } from '../pool/lease.ts'
import type { Pool } from '../pool/pool.ts'
import type { Bar } from '../routing/filters.ts'
import type { Answer } from './answer.ts'
import type { Exchange } from './exchange.ts'
import type { Placing } from './placing.ts'
import { NobodyCan } from './queue.ts'
import { sayNobody } from './refusals.ts'
import type { WaitingRoom } from './waiting-room.ts'

export interface SeekingDoors {
  readonly pool: Pool
  readonly queue: WaitingRoom
  /** A fresh look at the lists of models, when a name is on none of them. */
  readonly refreshForUnknown: () => Promise<void>
  /** What the operator said of where requests go; undefined where there is one backend only. */
  readonly placing?: Placing | undefined
}

/** Finds who serves an exchange next, and what becomes of it where nobody does. */
export class Seeking {
  readonly #doors: SeekingDoors

  constructor(doors: SeekingDoors) {
    this.#doors = doors
  }

  /**
   * A lease for the next attempt; undefined when only those are left that have failed already, `again` when another
   * model stands in. Throws what the client is told: nobody has it, or nobody came free in time.
   */
  async lease(exchange: Exchange, answer: Answer): Promise<Lease | 'again' | undefined> {
    const { queue, pool } = this.#doors
    for (let looks = 0; ; looks++) {
      try {
        return await queue.lease(exchange)
      } catch (error) {
        if (!(error instanceof NobodyCan)) {
          // The first failure tells more than that nobody else came free in time.
          if (error instanceof Failure && exchange.attempts.length > 0 && answer.hasRefusal)
            return undefined
          throw error
        }
        if (exchange.attempts.length > 0)
          return this.#standIn(exchange, answer, error) ? 'again' : undefined
        const unknown = [...error.bars.values()].every((bar) => bar === 'noModel' || bar === 'away')
        if (looks > 0 || !unknown || pool.endpoints.length === 0) {
          if (this.#standIn(exchange, answer, error)) return 'again'
          throw sayNobody(exchange.asked.ask, error.bars, this.#doors)
        }
        await this.#doors.refreshForUnknown()
      }
    }
  }

  /** Where a model is away or unknown, and not where this request may not have it, the operator may know another. */
  #standIn(exchange: Exchange, answer: Answer, { bars }: NobodyCan): boolean {
    if (answer.started || !exchange.attempts.every(({ outcome }) => wasNobody(outcome)))
      return false
    if (!mayStandIn(bars)) return false
    return this.#doors.placing?.standIn(exchange) ?? false
  }
}

/** Whether another model may answer where these stand in the way of the one that was asked for. */
export function mayStandIn(bars: ReadonlyMap<string, Bar>): boolean {
  const all = [...bars.values()]
  const isAway = all.some((bar) => mayReturn.has(bar))
  return isAway || all.every((bar) => bar === 'noModel' || bar === 'notItsModel')
}

/** Nothing was done for it there. */
const wasNobody = (outcome: Outcome) =>
  outcome.kind === 'unreachable' || (outcome.kind === 'refused' && outcome.why === 'noModel')

/** Bars of backends that would serve the model if they were well. */
const mayReturn: ReadonlySet<Bar> = new Set(['away', 'resting', 'draining', 'tried', 'loadsHang'])
