import type { Clock } from '../core/clock.ts'
import type { Dice } from '../core/dice.ts'
import type { Observer } from '../core/observer.ts'
import type { BreakerSettings } from '../core/settings.ts'

/** What an endpoint is given by the pool that it is part of. */
export interface EndpointDoors {
  readonly clock: Clock
  readonly dice: Dice
  readonly observer: Observer
  /** Of now: a reload exchanges them. */
  readonly breaker: BreakerSettings
  /** A seat came free, or something else changed that a waiter may have waited for. */
  readonly changed: () => void
}
