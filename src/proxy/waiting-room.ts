import type { QueueSettings, RoutingSettings } from '../core/settings.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Lease } from '../pool/lease.ts'
import type { FirstWord } from '../routing/first-word.ts'
import type { Priority } from '../routing/line.ts'
import type { Exchange } from './exchange.ts'

/**
 * Where exchanges wait for a seat, as the rest of the house sees it. The proxy's is a walked line over a fleet
 * (`Queue`); an agent's stands before one server. Whoever is lent a lease settles it.
 */
export interface WaitingRoom {
  /** How many wait now. */
  readonly size: number
  byPriority(): Readonly<Record<Priority, number>>
  /** Those who wait, by the canonical name of the model that they ask for. */
  byModel(): Record<string, number>
  /** How long the one who has waited longest has done so; 0 when nobody waits. */
  oldestWaitMs(): number
  /** Seats there are in all, taken or free. */
  capacity(): number
  /** How long a newcomer would wait, as far as the last answers tell. */
  estimatedWaitMs(): number
  /** For the head `Retry-After` of a refusal, from 1 to 60. */
  retryAfterS(): number
  /** An exchange that was answered held its seat this long. */
  served(tookMs: number): void
  /** A seat that is free for this exchange at this moment; undefined: `lease` knows what there is to wait for. */
  leaseNow(exchange: Exchange): Lease | undefined
  /**
   * A seat for this exchange, now or when one comes free. Throws NobodyCan, NotWanted, or a Failure when too many wait
   * or the wait is too long.
   */
  lease(exchange: Exchange): Promise<Lease>
  /** When the first word of who holds this lease was expected; without the method: nobody knows. */
  firstWordOf?(lease: Lease): FirstWord | undefined
  /**
   * A second seat for one that is under way at `first`: free now at another endpoint that `mayTake`, with the model in
   * memory, its prompt read there within `readSMax` seconds, and wanted by nobody who waits; without the method: there
   * is none.
   */
  leaseBeside?(
    exchange: Exchange,
    first: Endpoint,
    readSMax: number,
    mayTake: (endpoint: Endpoint) => boolean,
  ): Lease | undefined
  /** After a reload. */
  reconfigure(settings: { queue: QueueSettings; routing: RoutingSettings }): void
}
