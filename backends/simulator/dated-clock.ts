import { type Clock, scaledClock } from '../../src/core/clock.ts'

/**
 * A clock that runs `speed` times as fast as life and whose dates do so too, from a moment on: all processes that are
 * told the same moment have the same date, and what one of them says will end at a date does so for the others.
 */
export function datedClock(speed: number, fromMs: number): Clock {
  return { ...scaledClock(speed), wall: () => fromMs + speed * (Date.now() - fromMs) }
}
