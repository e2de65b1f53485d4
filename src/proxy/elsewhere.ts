import type { Clock } from '../core/clock.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Pool } from '../pool/pool.ts'
import { candidatesFor } from '../routing/able.ts'
import type { Exchange } from './exchange.ts'
import type { LoadResult, Loads } from './loads.ts'

/** What is overdue has been waited for for seconds already. */
const lookEveryMs = 1_000
/** No text makes more tokens: nobody is chosen whose context might be too small for it. */
const bytesPerTokenLeast = 1

export interface ElsewhereDoors {
  readonly pool: Pool
  readonly loads: Pick<Loads, 'isOverdue' | 'needed'>
  readonly clock: Clock
}

/** Nobody is blamed for it, and the load goes on for others. */
const overdue: LoadResult = {
  kind: 'failed',
  outcome: { kind: 'refused', status: 503, why: 'loadsHang', text: 'its load is overdue' },
  answer: undefined,
}

/**
 * For an exchange that waits for a load at an endpoint: `result` comes as soon as that load is overdue and a seat is
 * free elsewhere with the model in memory, if both are ever the case.
 */
export class Elsewhere implements Disposable {
  readonly result: Promise<LoadResult>
  #timer: Disposable | undefined

  constructor(exchange: Exchange, endpoint: Endpoint, doors: ElsewhereDoors) {
    this.result = new Promise((resolve) => {
      const look = () => {
        if (doors.loads.isOverdue(endpoint) && hasWarmSeat(exchange, endpoint, doors))
          resolve(overdue)
        else this.#timer = doors.clock.after(lookEveryMs, look)
      }
      this.#timer = doors.clock.after(lookEveryMs, look)
    })
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
  }
}

/** Somebody else could begin with it at this moment, and has nothing to load for it. */
function hasWarmSeat(exchange: Exchange, not: Endpoint, { pool, loads }: ElsewhereDoors): boolean {
  const { ask } = exchange.asked
  const model = ask.name.canonical
  const need = exchange.need(pool.servingDigest(model), bytesPerTokenLeast)
  if (!need.seat) return false
  return candidatesFor(pool.endpoints, need, []).some(({ endpoint: { name } }) => {
    const other = pool.endpoint(name)
    const served = other?.model(model)
    if (!other || !served || other === not) return false
    return served.seatFree && !served.heldBack && !loads.needed(other, ask)
  })
}
