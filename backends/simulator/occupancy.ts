import type { TraceEntry } from './trace.ts'

export interface ModelStats {
  readonly running: number
  readonly waiting: number
  readonly runningPeak: number
  readonly waitingPeak: number
  /** The most that were in slots and waiting for one at the same moment: what a proxy should keep small. */
  readonly totalPeak: number
}

interface Count {
  running: number
  waiting: number
  runningPeak: number
  waitingPeak: number
  totalPeak: number
  present: Set<TraceEntry>
}

/** Who is in a slot and who waits for one, by model, with the peaks for tests. */
export class Occupancy {
  readonly #byModel = new Map<string, Count>()
  readonly #present = new Map<TraceEntry, Count>()

  /** A request begins to wait for a slot of this model, or, with a negative number, stops waiting. */
  waiting(model: string, entry: TraceEntry, by: 1 | -1): void {
    const count = this.#count(model, entry)
    count.waiting += by
    this.#note(count)
  }
  running(model: string, entry: TraceEntry, by: 1 | -1): void {
    const count = this.#count(model, entry)
    count.running += by
    this.#note(count)
  }
  /** From waiting to running in one step, so that nobody is counted twice. */
  seated(model: string, entry: TraceEntry): void {
    const count = this.#count(model, entry)
    count.waiting--
    count.running++
    this.#note(count)
  }

  leave(entry: TraceEntry): void {
    this.#present.get(entry)?.present.delete(entry)
    this.#present.delete(entry)
  }

  clearPeaks(): void {
    for (const count of this.#byModel.values()) {
      count.runningPeak = count.running
      count.waitingPeak = count.waiting
      count.totalPeak = count.running + count.waiting
    }
  }

  all(): Record<string, ModelStats> {
    const all: Record<string, ModelStats> = {}
    for (const [model, { present: _, ...stats }] of this.#byModel) all[model] = { ...stats }
    return all
  }

  #count(model: string, entry: TraceEntry): Count {
    let count = this.#byModel.get(model)
    if (!count) {
      count = {
        running: 0,
        waiting: 0,
        runningPeak: 0,
        waitingPeak: 0,
        totalPeak: 0,
        present: new Set(),
      }
      this.#byModel.set(model, count)
    }
    if (entry.end === undefined) {
      count.present.add(entry)
      this.#present.set(entry, count)
    }
    return count
  }

  #note(count: Count): void {
    count.runningPeak = Math.max(count.runningPeak, count.running)
    count.waitingPeak = Math.max(count.waitingPeak, count.waiting)
    count.totalPeak = Math.max(count.totalPeak, count.running + count.waiting)
    for (const entry of count.present) {
      entry.runningMax = Math.max(entry.runningMax, count.running)
      entry.waitingMax = Math.max(entry.waitingMax, count.waiting)
    }
  }
}
