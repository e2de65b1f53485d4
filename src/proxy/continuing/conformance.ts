import { type Clock, sleep } from '../../core/clock.ts'
import type { Place, Ways } from './manner.ts'
import { type AskProbe, type Measured, measure, type Probed } from './measure.ts'

/** What goes on in the same way as long as it stays: one model under one release of the server program. */
export interface Subject {
  /** Of the model's manifest. */
  readonly digest: string
  /** Of the server program, since it brings the templates' engine; undefined when it does not say. */
  readonly version: string | undefined
}

/** A model was seen to stream somewhere: the place where a probe finds it in memory, with these options. */
export interface Sighting extends Probed, Subject {
  readonly backend: string
  readonly canonical: string
  /** Batch work was among what it streamed. */
  readonly isBatch: boolean
}

export interface ConformanceDoors {
  readonly clock: Clock
  /**
   * May it be asked at this backend now: in memory there with the same options, a seat free, and a reason for it? That is
   * another ready backend that holds it, or batch work that gives its seat to people; else there is nobody to go on.
   */
  readonly isIdle: (sighting: Sighting) => boolean
  /** The same without the free seat: it would wait for one. */
  readonly isThere: (sighting: Sighting) => boolean
  /** Asks exactly this backend, at the priority `batch`, and fails rather than let it load. */
  readonly askAt: (sighting: Sighting) => AskProbe
  /** It was measured; or could not be, `error` says why, and is tried again later. */
  readonly ended: (sighting: Sighting, result: Measured | undefined, error: unknown) => void
}

/** A row is a few hundred bytes; nobody streams from more models than this. */
const measuredMax = 512
const waitingMax = 64
/** Between two looks for a free seat; doubled with each that finds none. */
const lookMsFirst = 250
const lookMsMax = 30_000
/** From then on that a model was seen the questions wait in line like any other, or a full fleet would never be known. */
const patienceMs = 30_000
/** After a probe that failed; doubled with each further one. */
const pauseMsFirst = 30_000
const pauseMsMax = 3_600_000

interface Waiting {
  sighting: Sighting
  readonly sinceMs: number
}

/**
 * How each model goes on with an answer that was begun. No list says it, so it is measured: once for each model and
 * release, in the background, one at a time, after it was first seen to stream and as soon as the backend that had the
 * stream has a seat free; where none is for half a minute the questions take their turn.
 */
export class Conformance {
  readonly #doors: ConformanceDoors
  readonly #measured = new Map<string, Measured>()
  readonly #waiting = new Map<string, Waiting>()
  readonly #failed = new Map<string, { untilMs: number; pauseMs: number }>()
  #underWay: string | undefined
  #timer: Disposable | undefined
  #lookMs = lookMsFirst
  #isStopped = false

  constructor(doors: ConformanceDoors) {
    this.#doors = doors
  }

  /** Best first; empty: no way works; undefined: not measured (yet), or nothing to measure by in this place. */
  waysOf(subject: Subject, place: Place): Ways {
    return this.#measured.get(keyOf(subject))?.[place]
  }

  /** For people. */
  get rows(): ReadonlyMap<string, Measured> {
    return this.#measured
  }

  /** True: `seen` would do nothing. Asked once for each stream. */
  isKnown(subject: Subject): boolean {
    return this.#measured.has(keyOf(subject))
  }

  /** A stream of this model has begun there. The last place where it was seen is the one that will be asked. */
  seen(sighting: Sighting): void {
    const key = keyOf(sighting)
    if (this.#measured.has(key) || this.#underWay === key) return
    const waiting = this.#waiting.get(key)
    if (waiting) {
      const isBatch = sighting.isBatch || waiting.sighting.isBatch
      waiting.sighting = { ...sighting, isBatch }
      return
    }
    if (this.#waiting.size >= waitingMax) return
    if ((this.#failed.get(key)?.untilMs ?? 0) > this.#doors.clock.now()) return
    this.#waiting.set(key, { sighting, sinceMs: this.#doors.clock.now() })
    this.#lookMs = lookMsFirst
    this.#lookIn(lookMsFirst)
  }

  /** Ends the timer; what is under way ends by itself. */
  stop(): void {
    this.#isStopped = true
    this.#timer?.[Symbol.dispose]()
    this.#waiting.clear()
  }

  #lookIn(delayMs: number): void {
    this.#timer?.[Symbol.dispose]()
    this.#timer = this.#doors.clock.after(delayMs, () => this.#look())
  }

  #look(): void {
    if (this.#underWay !== undefined || this.#waiting.size === 0) return
    for (const [key, waiting] of this.#waiting) {
      if (!this.#mayAsk(waiting)) continue
      this.#waiting.delete(key)
      this.#lookMs = lookMsFirst
      this.#underWay = key
      void this.#probe(key, waiting)
      return
    }
    this.#lookIn(this.#lookMs)
    this.#lookMs = Math.min(this.#lookMs * 2, lookMsMax)
  }

  #mayAsk({ sighting, sinceMs }: Waiting): boolean {
    const { isIdle, isThere, clock } = this.#doors
    return isIdle(sighting) || (clock.now() - sinceMs >= patienceMs && isThere(sighting))
  }

  /** Somebody needs the seat: it is their turn first. Where the model is gone, asking on would load it. */
  async #turn(waiting: Waiting): Promise<void> {
    while (!this.#mayAsk(waiting)) {
      if (this.#isStopped) throw new Error('the proxy stops')
      if (!this.#doors.isThere(waiting.sighting)) throw new Error('it is not in memory any more')
      await sleep(this.#doors.clock, lookMsFirst)
    }
  }

  async #probe(key: string, waiting: Waiting): Promise<void> {
    const { sighting } = waiting
    const ask = this.#doors.askAt(sighting)
    try {
      const result = await measure(sighting, async (path, body) => {
        await this.#turn(waiting)
        return await ask(path, body)
      })
      if (Object.values(result).every((ways) => ways === undefined))
        throw new Error('it said too little to be measured')
      this.#keep(key, result)
      this.#doors.ended(sighting, result, undefined)
    } catch (error) {
      this.#pause(key)
      this.#doors.ended(sighting, undefined, error)
    } finally {
      this.#underWay = undefined
      if (this.#waiting.size > 0) this.#lookIn(lookMsFirst)
    }
  }

  #keep(key: string, result: Measured): void {
    this.#failed.delete(key)
    this.#measured.set(key, result)
    if (this.#measured.size > measuredMax)
      this.#measured.delete(this.#measured.keys().next().value!)
  }

  #pause(key: string): void {
    const before = this.#failed.get(key)?.pauseMs
    const pauseMs = before === undefined ? pauseMsFirst : Math.min(before * 2, pauseMsMax)
    this.#failed.delete(key)
    this.#failed.set(key, { pauseMs, untilMs: this.#doors.clock.now() + pauseMs })
    if (this.#failed.size > measuredMax) this.#failed.delete(this.#failed.keys().next().value!)
  }
}

function keyOf({ digest, version }: Subject): string {
  return `${digest} ${version ?? ''}`
}
