import { Ewma } from '../core/ewma.ts'
import type { Figures } from '../core/observer.ts'

/**
 * The seats of one model at one backend. Ollama's own number (OLLAMA_NUM_PARALLEL) is not in its API, so unless it is
 * configured it is found out: one seat to begin with, and when somebody waits one more is tried. A request that was
 * really served beside the others shows no hidden wait in its durations; one that sat in Ollama's queue does.
 */
export class Seats {
  #fixed: number | undefined
  #known: number
  #used = 0
  #try: Try | undefined
  #tryAfterMs = 0
  #pauseMs = pauseMsFirst
  #pauseMsUnclear = pauseMsUnclearFirst
  /** What the agent there has learned; undefined: nobody there says. */
  #told: number | undefined
  #takenMs = Number.NEGATIVE_INFINITY
  /** How long seats are held by those who are served. */
  readonly #heldMs = new Ewma(0.2)
  /** When the try began that was last taken to show one seat more, while nobody has shown the opposite. */
  #believedFromMs: number | undefined
  /** Requests in a row that took the last seat and were kept waiting behind it. */
  #heldUp = 0

  constructor(fixed: number | undefined) {
    this.#fixed = fixed
    this.#known = fixed ?? 1
  }

  /** The operator's number changed, or went away: holds from now on; seats in use stay in use. */
  fix(fixed: number | undefined): void {
    if (fixed === this.#fixed) return
    this.#fixed = fixed
    this.#known = fixed ?? 1
    this.#try = undefined
    this.#believedFromMs = undefined
  }

  /**
   * The agent there learns the number, and says what it knows so far. From here nothing more can be learned, since a
   * request that waits at the agent shows no wait in its figures; one more than the number is still sent now and then,
   * or the agent would never have two at once to try.
   */
  tell(limit: number): void {
    if (this.#fixed !== undefined || limit === this.#told) return
    this.#told = limit
    this.#known = Math.min(limit, seatsLearnedMax)
    this.#tryAfterMs = 0
    this.#pauseMsUnclear = pauseMsUnclearFirst
  }

  /** The server may have been started anew, with another number: what was learned is learned again. */
  unlearn(): void {
    if (this.#fixed !== undefined) return
    this.#told = undefined
    this.#known = 1
    this.#try = undefined
    this.#believedFromMs = undefined
    this.#tryAfterMs = 0
    this.#pauseMs = pauseMsFirst
    this.#pauseMsUnclear = pauseMsUnclearFirst
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

  /**
   * One seat beyond the known ones may be tried. Not right behind another request: that one may be read later, and then it
   * would be the one that waits.
   */
  mayTry(nowMs: number): boolean {
    const apartMs = Math.min(apartMsMax, apartShareMax * (this.#heldMs.value ?? 0))
    return (
      this.#fixed === undefined &&
      this.#try === undefined &&
      this.#used === this.#known &&
      this.#known < seatsLearnedMax &&
      nowMs >= this.#tryAfterMs &&
      nowMs - this.#takenMs >= apartMs
    )
  }

  /** Takes a free seat, or the one beyond when that is to be tried; undefined when there is none. */
  take(nowMs: number, asTry: boolean): Seat | undefined {
    if (this.free) {
      this.#used++
      this.#takenMs = nowMs
      return new Seat(this, nowMs, false, !this.free)
    }
    if (!asTry || !this.mayTry(nowMs)) return undefined
    this.#used++
    const seat = new Seat(this, nowMs, true, false)
    this.#try = { seat, startedMs: nowMs, neighbourEndedMs: undefined, hasOvertaken: false }
    return seat
  }

  /** Called once by a seat when it is given back. */
  back(seat: Seat, nowMs: number, served: Served | undefined): void {
    this.#used--
    if (served) this.#heldMs.add(nowMs - seat.takenMs)
    const trial = this.#try
    if (trial?.seat !== seat) {
      if (this.#told === undefined) this.#disprove(seat, nowMs, served)
      if (trial) trial.neighbourEndedMs ??= nowMs
      else if (seat.isLast) this.#doubt(nowMs, served)
      return
    }
    this.#try = undefined
    const verdict =
      this.#told === undefined ? judgeTry({ ...trial, endedMs: nowMs }, served) : 'unclear'
    switch (verdict) {
      case 'free':
        this.#known++
        this.#believedFromMs = trial.startedMs
        this.#pauseMs = pauseMsFirst
        this.#pauseMsUnclear = pauseMsUnclearFirst
        this.#tryAfterMs = nowMs
        return
      case 'hidden':
        this.#pause(nowMs)
        return
      case 'unclear':
        this.#tryAfterMs = nowMs + this.#pauseMsUnclear
        this.#pauseMsUnclear = Math.min(this.#pauseMsUnclear * 2, pauseMsUnclearMax)
    }
  }

  /**
   * Of two requests that are sent in one moment the later one may be read first: a try gets the slot of the one before
   * it, looks free, and it is the other that waits. That one's figures tell it, during the try or after it.
   */
  #disprove(seat: Seat, nowMs: number, served: Served | undefined): void {
    const hiddenMs = served && hiddenMsOf(served)
    if (hiddenMs === undefined || hiddenMs <= heldUpMsMin) return
    const hadWaitedAt = (startedMs: number) =>
      seat.takenMs <= startedMs && startedMs < seat.takenMs + hiddenMs
    if (this.#try && hadWaitedAt(this.#try.startedMs)) this.#try.hasOvertaken = true
    if (this.#believedFromMs === undefined || !hadWaitedAt(this.#believedFromMs)) return
    this.#believedFromMs = undefined
    if (this.#known === 1) return
    this.#known--
    this.#pause(nowMs)
  }

  /** What was learned may have been wrong, or true only until the server was started anew. */
  #doubt(nowMs: number, served: Served | undefined): void {
    const hiddenMs = served && hiddenMsOf(served)
    if (!this.learned || this.#known === 1 || hiddenMs === undefined) return
    if (this.#told !== undefined) return
    const totalMs = (served?.figures?.totalNs ?? 0) / 1e6
    const isHeldUp = hiddenMs > Math.max(heldUpMsMin, heldUpShareMin * totalMs)
    this.#heldUp = isHeldUp ? this.#heldUp + 1 : 0
    if (this.#heldUp < heldUpMax) return
    this.#heldUp = 0
    this.#believedFromMs = undefined
    this.#known--
    this.#pause(nowMs)
  }

  #pause(nowMs: number): void {
    this.#tryAfterMs = nowMs + this.#pauseMs
    this.#pauseMs = Math.min(this.#pauseMs * 2, pauseMsMax)
  }
}

/** One seat, held. Giving it back twice is giving it back once. */
export class Seat {
  readonly isTry: boolean
  /** Nobody could have another beside it, as far as is known. */
  readonly isLast: boolean
  readonly #row: Seats
  readonly #takenMs: number
  #held = true

  constructor(row: Seats, takenMs: number, isTry: boolean, isLast: boolean) {
    this.#row = row
    this.#takenMs = takenMs
    this.isTry = isTry
    this.isLast = isLast
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
  /** When the first of the others gave its seat back. */
  neighbourEndedMs: number | undefined
  /** One that was sent before it waited when it began. */
  hasOvertaken: boolean
}

/** More seats than any Ollama is run with; a liar that hides its waiting must not be given everything. */
const seatsLearnedMax = 64
/** After a try that showed a hidden wait the next comes later, and later still. */
const pauseMsFirst = 30_000
const pauseMsMax = 600_000
/** A try that told nothing (its client left) is soon made again; many that told nothing are not worth the trouble. */
const pauseMsUnclearFirst = 2_000
const pauseMsUnclearMax = 60_000
/** A new connection to a distant server takes so long; where seats are held for moments, a share of that has to do. */
const apartMsMax = 100
const apartShareMax = 0.1
/** Below this, or this share of the try, a neighbour's rest is too short to tell waiting from overhead. */
const overlapMsMin = 20
const overlapShareMin = 0.1
/** Waits beyond this, and this share of the whole, in so many requests in a row: the last seat was one too many. */
const heldUpMsMin = 50
const heldUpShareMin = 0.1
const heldUpMax = 2

/**
 * Did the extra request run beside the others? `total − load − prefill − decode` is the time that Ollama kept it
 * waiting for a slot. More than a fifth of the time that the first neighbour still ran means that it waited for it.
 * Without those figures: one that was whole while all the others still ran needed none of their slots.
 */
export function judgeTry(
  {
    startedMs,
    endedMs,
    neighbourEndedMs,
    hasOvertaken = false,
  }: {
    startedMs: number
    endedMs: number
    neighbourEndedMs: number | undefined
    hasOvertaken?: boolean
  },
  served: Served | undefined,
): 'free' | 'hidden' | 'unclear' {
  if (hasOvertaken) return 'hidden'
  const overlapMs = (neighbourEndedMs ?? endedMs) - startedMs
  if (!served || overlapMs < Math.max(overlapMsMin, overlapShareMin * (endedMs - startedMs)))
    return 'unclear'
  const hiddenMs = hiddenMsOf(served)
  if (hiddenMs !== undefined) {
    return hiddenMs > Math.max(10, 0.2 * overlapMs) ? 'hidden' : 'free'
  }
  if (neighbourEndedMs === undefined) return 'free'
  if (served.firstByteMs === undefined) return 'unclear'
  return served.firstByteMs < 0.8 * overlapMs ? 'free' : 'hidden'
}

/** How long Ollama kept it waiting for a slot; undefined when its answer does not tell the parts. */
export function hiddenMsOf({ figures }: Served): number | undefined {
  if (!figures || figures.promptNs + figures.outputNs === 0) return undefined
  return (figures.totalNs - figures.loadNs - figures.promptNs - figures.outputNs) / 1e6
}
