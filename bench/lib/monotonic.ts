/**
 * Microseconds of the system's monotonic clock, so that moments taken in different processes can be compared;
 * `performance.now` counts from the start of its own process.
 */
export function monotonicUs(): number {
  const [s, ns] = process.hrtime()
  return s * 1_000_000 + Math.floor(ns / 1000)
}

/** A fixed width, so that every line of a stream has the same length and the reader knows when a stamp is whole. */
export const stampDigits = 16
