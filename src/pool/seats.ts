import type { Figures } from '../core/observer.ts'

/**
 * The seats of one model at one backend. Ollama's own number (OLLAMA_NUM_PARALLEL) is not in its API, so unless it is
 * configured it is found out: one seat to begin with, and when somebody waits one more is tried. A request that was
 * really served beside the others shows no hidden wait in its durations; one that sat in Ollama's queue does.
 */
export class Seats {
  readonly #fixed: number | undefined
  #known: number
  #used = 0
  #try: Try | undefined
  #tryAfterMs = 0
  #pauseMs = pauseMsFirst

  constructor(fixed: number | undefined) {
    this.#fixed = fixed
    this.#known = fixed ?? 1
  }

  get used(): number {
    return this.#used
  }

  get limit(): number {
    return this.#known
  }

  get learned(): boolean {
    return this.#fixed === undefined
  }

  get free(): boolean {
    return this.#used < this.#known
  }

  /** One seat beyond the known ones may be tried. */
  mayTry(nowMs: number): boolean {
    return (
      this.#fixed === undefined &&
      this.#try === undefined &&
      this.#used === this.#known &&
      this.#known < seatsLearnedMax &&
      nowMs >= this.#tryAfterMs
    )
  }

  /** Takes a free seat, or the one beyond when that is to be tried; undefined when there is none. */
  take(nowMs: number, asTry: boolean): Seat | undefined {
    if (this.free) {
      this.#used++
      return new Seat(this, nowMs, false)
    }
    if (!asTry || !this.mayTry(nowMs)) return undefined
    this.#used++
    const seat = new Seat(this, nowMs, true)
    this.#try = { seat, startedMs: nowMs, neighbourEndedMs: undefined }
    return seat
  }

  /** Called once by a seat when it is given back. */
  back(seat: Seat, nowMs: number, served: Served | undefined): void {
    this.#used--
    const trial = this.#try
    if (!trial) return
    if (trial.seat !== seat) {
      trial.neighbourEndedMs ??= nowMs
      return
    }
    this.#try = undefined
    switch (judgeTry(trial.startedMs, trial.neighbourEndedMs ?? nowMs, served)) {
      case 'free':
        this.#known++
        this.#pauseMs = pauseMsFirst
        this.#tryAfterMs = nowMs
        return
      case 'hidden':
        this.#tryAfterMs = nowMs + this.#pauseMs
        this.#pauseMs = Math.min(this.#pauseMs * 2, pauseMsMax)
        return
      case 'unclear':
        this.#tryAfterMs = nowMs + pauseMsUnclear
    }
  }
}

/** One seat, held. Giving it back twice is giving it back once. */
export class Seat {
  readonly isTry: boolean
  readonly #row: Seats
  readonly #takenMs: number
  #held = true

  constructor(row: Seats, takenMs: number, isTry: boolean) {
    this.#row = row
    this.#takenMs = takenMs
    this.isTry = isTry
  }

  get takenMs(): number {
    return this.#takenMs
  }

  giveBack(nowMs: number, served?: Served): void {
    if (!this.#held) return
    this.#held = false
    this.#row.back(this, nowMs, served)
  }
}

/** What a served request tells about waiting: Ollama's own figures, else when its first byte came. */
export interface Served {
  readonly figures: Figures | undefined
  /** From taking the seat to the first byte of an answer that streams; undefined otherwise. */
  readonly firstByteMs: number | undefined
}

interface Try {
  readonly seat: Seat
  readonly startedMs: number
  neighbourEndedMs: number | undefined
}

/** More seats than any Ollama is run with; a liar that hides its waiting must not be given everything. */
const seatsLearnedMax = 64
/** After a try that showed a hidden wait the next comes later, and later still. */
const pauseMsFirst = 30_000
const pauseMsMax = 600_000
const pauseMsUnclear = 2_000
/** Below this a neighbour's rest is too short to tell waiting from overhead. */
const overlapMsMin = 20

/**
 * Did the extra request run beside the others? `total − load − prefill − decode` is the time that Ollama kept it
 * waiting for a slot. More than a fifth of the time that the first neighbour still ran means that it waited for it.
 */
export function judgeTry(
  startedMs: number,
  neighbourEndedMs: number,
  served: Served | undefined,
): 'free' | 'hidden' | 'unclear' {
  const overlapMs = neighbourEndedMs - startedMs
  if (!served || overlapMs < overlapMsMin) return 'unclear'
  if (served.figures && served.figures.totalNs > 0) {
    const { totalNs, loadNs, promptNs, outputNs } = served.figures
    const hiddenMs = (totalNs - loadNs - promptNs - outputNs) / 1e6
    return hiddenMs > Math.max(10, 0.2 * overlapMs) ? 'hidden' : 'free'
  }
  if (served.firstByteMs === undefined) return 'unclear'
  return served.firstByteMs < 0.8 * overlapMs ? 'free' : 'hidden'
}
