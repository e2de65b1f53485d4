import type { InnerCallRunning } from '../../core/inner-call.ts'
import type { Part } from './backlog.ts'
import type { Member } from './plan.ts'
import type { Lane } from './sizes.ts'

/** A part is asked for. */
export interface Call {
  readonly part: Part
  /** Whom it is for; undefined: any member. */
  readonly member: Member | undefined
  readonly running: InnerCallRunning
  /** On the clock's `now`. */
  readonly sinceMs: number
  /** What it should take on its seat. */
  readonly expectedMs: number
}

/** The calls of a batch that are under way, the oldest first: a few for each member, and no more than the queue takes. */
export class Calls {
  readonly #calls = new Set<Call>()
  /** Once the queue had no place for more. */
  #most = Number.POSITIVE_INFINITY

  get size(): number {
    return this.#calls.size
  }

  get isFull(): boolean {
    return this.#calls.size >= this.#most
  }

  [Symbol.iterator](): Iterator<Call> {
    return this.#calls.values()
  }

  has(call: Call): boolean {
    return this.#calls.has(call)
  }

  /** Somebody is asked for it. */
  hasPart(part: Part): boolean {
    for (const call of this.#calls) if (call.part === part) return true
    return false
  }

  add(call: Call): void {
    this.#calls.add(call)
  }

  remove(call: Call): void {
    this.#calls.delete(call)
  }

  cancel(call: Call): void {
    call.running.cancel()
    this.#calls.delete(call)
  }

  cancelAll(): void {
    for (const call of this.#calls) this.cancel(call)
  }

  /** The part has its answer: nobody else is waited for. */
  cancelPart(part: Part): void {
    for (const call of this.#calls) if (call.part === part) this.cancel(call)
  }

  /** The items from here on are not wanted any more. */
  cancelFrom(from: number): void {
    for (const call of this.#calls) if (call.part.from >= from) this.cancel(call)
  }

  /** The queue had no place for one more than there are. */
  narrow(): void {
    this.#most = this.#calls.size
  }

  /** One was answered: there may be a place again. */
  widen(): void {
    this.#most++
  }

  busyLanes(member: Member): number {
    let busy = 0
    for (const call of this.#calls) if (call.member === member) busy++
    return busy
  }

  /** All lanes of these members, with what they still have to do, but for a free one of `mine` that is to be filled. */
  lanesBeside(
    mine: Member,
    members: readonly Member[],
    speedOf: (member: Member) => number,
    nowMs: number,
  ): Lane[] {
    return members.flatMap((member) => {
      const weightPerMs = speedOf(member)
      const lanes: Lane[] = []
      for (const call of this.#calls)
        if (call.member === member) lanes.push({ weightPerMs, freeInMs: leftMs(call, nowMs) })
      const count = member === mine ? member.lanes - 1 : member.lanes
      while (lanes.length < count) lanes.push({ weightPerMs, freeInMs: 0 })
      return lanes
    })
  }
}

/** What it still needs; one that is late is believed to need half as long again as it took. */
function leftMs({ running, sinceMs, expectedMs }: Call, nowMs: number): number {
  const tookMs = nowMs - (running.onSeatSinceMs ?? sinceMs)
  return tookMs < expectedMs ? expectedMs - tookMs : tookMs / 2
}
