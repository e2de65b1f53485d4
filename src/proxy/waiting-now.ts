import type { Crowds } from '../routing/plan.ts'

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

/** A line that can be looked at. */
export interface WaitingNow extends Crowds {
  waiting(most: number): ShownWaiter[]
}
