import type { Dice } from '../core/dice.ts'
import { jittered } from '../core/dice.ts'
import type { BreakerSettings } from '../core/settings.ts'

/**
 * What outcomes say of a backend, or of one model there: `admitting` lets everybody in, `resting` nobody,
 * `probation` one request at a time until one succeeds. Plain data; the functions below return the next one.
 * The words avoid open and closed, which every reader inverts.
 */
export interface Breaker {
  readonly state: 'admitting' | 'resting' | 'probation'
  readonly failuresInRow: number
  /** The last outcomes, newest last, true for a failure; at most `windowSize`. */
  readonly recent: readonly boolean[]
  /** When a rest ends, on the clock's `now`. */
  readonly restUntilMs: number
  /** How long the last rest was; the next is twice as long. */
  readonly restMs: number
  /** On probation: somebody is in there right now. */
  readonly probing: boolean
}

export const freshBreaker: Breaker = {
  state: 'admitting',
  failuresInRow: 0,
  recent: [],
  restUntilMs: 0,
  restMs: 0,
  probing: false,
}

export function admits(breaker: Breaker, nowMs: number): boolean {
  if (breaker.state === 'admitting') return true
  if (breaker.state === 'resting') return nowMs >= breaker.restUntilMs
  return !breaker.probing
}

/** Somebody was let in. After a rest this one is the probe. */
export function breakerEntered(breaker: Breaker): Breaker {
  if (breaker.state === 'admitting') return breaker
  return { ...breaker, state: 'probation', probing: true }
}

/**
 * An attempt ended. `nothing` means that it says nothing about the backend (the client left): on probation the place
 * is free for the next one. An ejection lasts `restMs`, doubled each time up to the bound, as outlier ejection does
 * in Envoy (base time times count, capped).
 */
export function breakerAfter(
  breaker: Breaker,
  verdict: 'good' | 'bad' | 'nothing',
  nowMs: number,
  settings: BreakerSettings,
  dice: Dice,
): Breaker {
  if (verdict === 'nothing') return breaker.probing ? { ...breaker, probing: false } : breaker
  if (verdict === 'good') return afterGood(breaker, settings)
  if (breaker.state === 'resting') return breaker // a straggler from before the rest tells nothing new
  const recent = remember(breaker.recent, true, settings.windowSize)
  const failuresInRow = breaker.failuresInRow + 1
  const failed = recent.filter(Boolean).length
  const tooMany =
    breaker.state === 'probation' ||
    failuresInRow >= settings.failuresInRow ||
    (recent.length >= settings.windowSize && failed / recent.length >= settings.failureShare)
  if (!tooMany) return { ...breaker, recent, failuresInRow }
  const restMs = Math.min(
    breaker.restMs === 0 ? settings.restMs : breaker.restMs * 2,
    settings.restMsMax,
  )
  return {
    state: 'resting',
    failuresInRow,
    recent: [],
    restMs,
    // A fleet of proxies must not send its probes in step.
    restUntilMs: nowMs + jittered(dice, restMs, 0.1),
    probing: false,
  }
}

function afterGood(breaker: Breaker, settings: BreakerSettings): Breaker {
  if (breaker.state === 'resting') return breaker
  if (breaker.state === 'probation') return { ...freshBreaker, restMs: breaker.restMs }
  // The usual case on the hot path: nothing to forget, nothing to allocate.
  if (breaker.failuresInRow === 0 && breaker.recent.length === 0 && breaker.restMs === 0)
    return breaker
  const recent = remember(breaker.recent, false, settings.windowSize)
  // A window without a failure is as good as a fresh start, and the next rest is short again.
  if (recent.length >= settings.windowSize && !recent.includes(true)) return freshBreaker
  return { ...breaker, failuresInRow: 0, recent }
}

function remember(recent: readonly boolean[], failed: boolean, size: number): boolean[] {
  return [...(recent.length >= size ? recent.slice(1) : recent), failed]
}
