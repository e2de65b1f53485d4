import type { TraceEntry } from '../../backends/simulator/trace.ts'
import { type Death, idOf } from './backend.ts'
import type { CpuLog } from './cpu-log.ts'

/** What streams waited for behind the death of their backend. */
export interface GoneOn {
  /** From the kill until a plain client of the dead one heard of it: the kernel's part. */
  readonly heardMs: number
  /** For each, from there until another backend had the request that goes on with it: detect, choose, send. */
  readonly ownMs: readonly number[]
  /** What the front's CPU did for each until the last had gone on, the ordinary work for all streams included. */
  readonly cpuMsEach: number
}

/** Of the streams that were open at the dead one and went on elsewhere; all on one machine, so on one clock. */
export function goneOnBehind(death: Death, cpu: CpuLog, seen: readonly TraceEntry[]): GoneOn {
  const { killedWallMs, heardWallMs } = death
  const arrivals = new Map<string, number>()
  for (const entry of seen) {
    if (entry.arrivalWall < killedWallMs) continue
    const id = idOf(entry)
    arrivals.set(id, Math.min(arrivals.get(id) ?? Number.POSITIVE_INFINITY, entry.arrivalWall))
  }
  const arrivedMs = death.entries
    .filter(({ end }) => end === undefined)
    .flatMap((entry) => arrivals.get(idOf(entry)) ?? [])
  return {
    heardMs: heardWallMs - killedWallMs,
    ownMs: arrivedMs.map((each) => Math.max(0, each - heardWallMs)),
    cpuMsEach: cpu.betweenMs(killedWallMs, Math.max(...arrivedMs)) / arrivedMs.length,
  }
}
