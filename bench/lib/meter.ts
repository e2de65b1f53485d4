import { cpus } from 'node:os'
import { proxyCpu, taskset } from './machine.ts'
import { cpuSeconds } from './proc.ts'

export interface Usage {
  readonly cpuSeconds: number
  /**
   * How much of the core of the one under test went to others, in percent. What runs there besides makes every latency
   * a story about itself, so the tables show it. Not a number when nothing is pinned.
   */
  readonly othersPercent: number
}

/** Starts counting; the function that it returns ends the window. */
export function meter(pid: number, onProxyCpu: boolean): () => Usage {
  const startedAt = performance.now()
  const cpuBefore = cpuSeconds(pid)
  const busyBefore = busySeconds()
  return () => {
    const cpu = cpuSeconds(pid) - cpuBefore
    const foreign = busySeconds() - busyBefore - (onProxyCpu ? cpu : 0)
    const elapsed = (performance.now() - startedAt) / 1000
    return { cpuSeconds: cpu, othersPercent: Math.max(0, (foreign / elapsed) * 100) }
  }
}

function busySeconds(): number {
  const times = taskset === undefined ? undefined : cpus()[proxyCpu]?.times
  if (!times) return Number.NaN
  return (times.user + times.nice + times.sys + times.irq) / 1000
}
