import type { Clock } from '../../src/core/clock.ts'

/**
 * What really happened to one request. Moments are milliseconds of the simulator's clock since it started, so they
 * can be compared with each other exactly; `…Wall` are dates, for comparing with other processes.
 */
export interface TraceEntry {
  readonly id: number
  readonly method: string
  readonly route: string
  model: string | undefined
  readonly arrival: number
  readonly arrivalWall: number
  /** When it was put into the queue of requests that need a load. */
  queuedAt?: number
  loadStart?: number
  loadEnd?: number
  /** When it began to wait for a slot; it got one at `slotAt`. */
  slotWaitAt?: number
  slotAt?: number
  slot?: number
  firstToken?: number
  end?: number
  endWall?: number
  cancelReason?: string
  cachedTokens?: number
  promptTokens?: number
  outputTokens?: number
  status?: number
  /** The most requests of this model in slots, and waiting for one, while this request was here. */
  runningMax: number
  waitingMax: number
  /** The injected faults that it met. */
  faults: string[]
  readonly headers: readonly (readonly [string, string])[]
  bodyBytes: number
  bodySha256: string | undefined
  bodyText: string | undefined
}

/** The last requests, oldest first. */
export class Trace {
  readonly #clock: Clock
  readonly #max: number
  readonly #startedAt: number
  #entries: TraceEntry[] = []
  #count = 0

  constructor(clock: Clock, max: number) {
    this.#clock = clock
    this.#max = max
    this.#startedAt = clock.now()
  }

  now(): number {
    return this.#clock.now() - this.#startedAt
  }

  begin(method: string, route: string, rawHeaders: readonly string[]): TraceEntry {
    const headers: [string, string][] = []
    for (let at = 0; at + 1 < rawHeaders.length; at += 2)
      headers.push([rawHeaders[at] ?? '', rawHeaders[at + 1] ?? ''])
    const entry: TraceEntry = {
      id: ++this.#count,
      method,
      route,
      model: undefined,
      arrival: this.now(),
      arrivalWall: this.#clock.wall(),
      runningMax: 0,
      waitingMax: 0,
      faults: [],
      headers,
      bodyBytes: 0,
      bodySha256: undefined,
      bodyText: undefined,
    }
    this.#entries.push(entry)
    // Half as many again before cutting, or every request beyond the bound would move the whole list.
    if (this.#entries.length > this.#max * 1.5) this.#entries = this.#entries.slice(-this.#max)
    return entry
  }

  finish(entry: TraceEntry): void {
    entry.end ??= this.now()
    entry.endWall ??= this.#clock.wall()
  }

  entries(): TraceEntry[] {
    return this.#entries.slice(-this.#max)
  }
  clear(): void {
    this.#entries = []
  }
}
