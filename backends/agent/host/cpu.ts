/** Milliseconds since the machine's start, over all cores. */
export interface CpuTimes {
  readonly busyMs: number
  readonly totalMs: number
}

interface Core {
  readonly times: Readonly<Record<'user' | 'nice' | 'sys' | 'idle' | 'irq', number>>
}

export function cpuTimes(cores: readonly Core[]): CpuTimes {
  let busyMs = 0
  let idleMs = 0
  for (const { times } of cores) {
    busyMs += times.user + times.nice + times.sys + times.irq
    idleMs += times.idle
  }
  return { busyMs, totalMs: busyMs + idleMs }
}

/** Share from 0 to 1 that was busy in between; null where no time has passed. */
export function cpuUse(before: CpuTimes, after: CpuTimes): number | null {
  const totalMs = after.totalMs - before.totalMs
  if (totalMs <= 0) return null
  return Math.min(1, Math.max(0, (after.busyMs - before.busyMs) / totalMs))
}
