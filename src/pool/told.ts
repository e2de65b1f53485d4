import type { LoadReport, SlotsReport } from '../core/load-report.ts'
import { canonicalName } from '../core/model-name.ts'

/** A report is of two heartbeats ago at most; an older one says nothing about now. */
const freshMsMax = 15_000

/** What the agent of a backend says of its machine, and what follows from it. */
export class Told {
  readonly report: LoadReport
  /** When it came, on our clock. */
  readonly atMs: number
  readonly slots: ReadonlyMap<string, SlotsReport>

  constructor(report: LoadReport, atMs: number, slots = slotsIn(report)) {
    this.report = report
    this.atMs = atMs
    this.slots = slots
  }

  /** The same machine a moment later. */
  withFigures(
    figures: Pick<LoadReport, 'free_slots' | 'queue' | 'active' | 'hidden'>,
    atMs: number,
  ): Told {
    return new Told({ ...this.report, ...figures }, atMs, this.slots)
  }

  isFresh(nowMs: number): boolean {
    return nowMs - this.atMs < freshMsMax
  }

  /** Memory for models: that of the graphics cards, else the machine's own; undefined where it is not known. */
  get memoryBytes(): number | undefined {
    const { gpus, memory } = this.report
    const sizes = gpus.flatMap(({ memory_total_bytes: bytes }) => bytes ?? [])
    if (sizes.length > 0) return sizes.reduce((sum, bytes) => sum + bytes, 0)
    // Cards of unknown size: it is not the machine's memory that a model must fit in.
    return gpus.length > 0 ? undefined : (memory.total_bytes ?? undefined)
  }
}

function slotsIn({ slots }: LoadReport): ReadonlyMap<string, SlotsReport> {
  return new Map(Object.entries(slots).map(([model, each]) => [canonicalName(model), each]))
}
