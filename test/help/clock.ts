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
