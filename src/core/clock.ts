/**
 * Time comes in by the door. `now` is monotonic and for intervals, `wall` is the date and for people; nothing else
 * in the house reads a clock or sets a timer, so a test moves time by hand and a simulator runs faster than life.
 */
export interface Clock {
  /** Milliseconds since some moment; never goes back. */
  now(): number
  /** Milliseconds since 1970. */
  wall(): number
  /** Calls `act` once after `delayMs`; disposing the handle before then cancels it. */
  after(delayMs: number, act: () => void): Disposable
}

/** Waits; ends early, without an error, when the signal fires. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve()
    const end = () => {
      timer[Symbol.dispose]()
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = clock.after(delayMs, end)
    signal?.addEventListener('abort', end, { once: true })
  })
}

/** The machine's own clock. Its timers do not keep the process alive. */
export function realClock(): Clock {
  return scaledClock(1)
}

/** A clock that runs `speed` times as fast as life, for simulators and for tests of long limits. */
export function scaledClock(speed: number): Clock {
  // Looked up once: as a global it is behind a getter, and it is read a dozen times for each request.
  const timer = performance
  return {
    now: () => timer.now() * speed,
    wall: () => Date.now(),
    after(delayMs, act) {
      // Node turns a delay beyond 2^31-1 into 1 ms; a timer that far away may as well wait for 24 days.
      const timer = setTimeout(act, Math.min(delayMs / speed, 2_147_483_647))
      timer.unref()
      return { [Symbol.dispose]: () => clearTimeout(timer) }
    },
  }
}
