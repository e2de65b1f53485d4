import type { Crowds, Waiting } from '../routing/plan.ts'
import type { Exchange } from './exchange.ts'

/** One who waits, as it is shown. */
export interface ShownWaiter {
  readonly id: string
  readonly model: string
  readonly band: string
  /** From 1; seats are offered in this order. */
  readonly position: number
  readonly waited_ms: number
  /** The backend whose seat was promised to it, where it waits for that on purpose. */
  readonly promised: string | null
  /** Until it is served, as far as the last answers tell. */
  readonly expected_ms: number
}

/** The same with what a decision about it is made of. */
export interface FoundWaiter {
  readonly shown: ShownWaiter
  readonly exchange: Exchange
  readonly waiting: Waiting
}

/** A line that can be looked at. */
export interface WaitingNow extends Crowds {
  waiting(most: number): ShownWaiter[]
  /** The first with this id, which is its client's word; undefined: nobody waits under it. */
  find(id: string): FoundWaiter | undefined
}
