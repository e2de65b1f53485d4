import type { Clock } from '../../src/core/clock.ts'

/** Time that is moved by hand. */
export interface HandClock extends Clock {
  /** Lets this much time pass; what falls due happens in order, at its own moment. */
  pass(ms: number): void
}

export function handClock(startMs = 1_000): HandClock {
  let nowMs = startMs
  let timers: { atMs: number; act: () => void }[] = []
  return {
    now: () => nowMs,
    wall: () => nowMs,
    after(delayMs, act) {
      const timer = { atMs: nowMs + delayMs, act }
      timers.push(timer)
      return {
        [Symbol.dispose]() {
          timers = timers.filter((each) => each !== timer)
        },
      }
    },
    pass(ms) {
      const untilMs = nowMs + ms
      for (;;) {
        const [next] = timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)
        if (!next) break
        timers = timers.filter((each) => each !== next)
        nowMs = Math.max(nowMs, next.atMs)
        next.act()
      }
      nowMs = untilMs
    },
  }
}

/**
 * Time of a machine that nobody keeps waiting: it goes on only to what is due next, and there at once. Whoever lives by
 * it takes as long as was planned, by its own figures, however long the machine below stands still.
 */
export function undisturbedClock(startMs = 1_000): Clock {
  let nowMs = startMs
  let timers: { atMs: number; act: () => void }[] = []
  const goOn = () => {
    const [next] = timers.toSorted((one, other) => one.atMs - other.atMs)
    if (!next) return
    timers = timers.filter((each) => each !== next)
    nowMs = Math.max(nowMs, next.atMs)
    next.act()
  }
  return {
    now: () => nowMs,
    wall: () => Date.now(),
    after(delayMs, act) {
      const timer = { atMs: nowMs + delayMs, act }
      // What is never due is no reason to go there.
      if (Number.isFinite(delayMs)) {
        timers.push(timer)
        setImmediate(goOn)
      }
      return {
        [Symbol.dispose]() {
          timers = timers.filter((each) => each !== timer)
        },
      }
    },
  }
}
