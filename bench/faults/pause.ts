import type { TraceEntry } from '../../backends/simulator/trace.ts'
import { type Death, idOf } from './backend.ts'
import type { CpuLog } from './cpu-log.ts'
import type { Asked } from './fronts/front.ts'

/** What streams waited for behind the death of their backend. */
export interface GoneOn {
  /** From the kill until a plain client of the dead one heard of it: the kernel's part. */
  readonly heardMs: number
  /** For each, from there until the front had sent the request that goes on with it: detect, choose, send. */
  readonly ownMs: readonly number[]
  /** For each, from there until another backend had taken that request in: its part, and that of the machine. */
  readonly takenMs: readonly number[]
  /** What the front's CPU did for each until the last had been sent, the ordinary work for all streams included. */
  readonly cpuMsEach: number
}

/** Of the streams that were open at the dead one and went on elsewhere; all on one machine, so on one clock. */
export function goneOnBehind(
  death: Death,
  cpu: CpuLog,
  seen: readonly TraceEntry[],
  asked: Asked,
): GoneOn {
  const { killedWallMs, heardWallMs } = death
  const arrivals = new Map<string, number>()
  for (const entry of seen) {
    if (entry.arrivalWall < killedWallMs) continue
    const id = idOf(entry)
    arrivals.set(id, Math.min(arrivals.get(id) ?? Number.POSITIVE_INFINITY, entry.arrivalWall))
  }
  const broken = death.entries.filter(({ end }) => end === undefined).map(idOf)
  const takenMs = broken.flatMap((id) => arrivals.get(id) ?? [])
  const sentMs = broken.flatMap((id) => asked.get(id)?.find((at) => at >= killedWallMs) ?? [])
  // The bench's own process may be kept from its core: whoever has gone on by then had heard of it.
  const heard = Math.min(heardWallMs, ...sentMs)
  const behind = (dates: readonly number[]) => dates.map((at) => at - heard)
  return {
    heardMs: heard - killedWallMs,
    ownMs: behind(sentMs),
    takenMs: behind(takenMs),
    cpuMsEach: cpu.betweenMs(killedWallMs, Math.max(...sentMs)) / sentMs.length,
  }
}
