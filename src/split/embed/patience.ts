import type { Call, Calls } from './calls.ts'
import type { Crew } from './crew.ts'
import type { Member } from './plan.ts'

/** A part that takes longer than this many times what was expected is asked for a second time. */
const overdueFactor = 2
/** Nothing is overdue before: a machine may hiccup. */
const overdueMsMin = 50
/** A part that waits this long for its seat may be given to another machine. */
const stealMsMin = 20

/** How long whoever was asked for a part is waited for, before it is another member's as well. */
export class Patience {
  readonly #calls: Calls
  readonly #crew: Crew
  readonly #isUsable: (member: Member) => boolean

  constructor(calls: Calls, crew: Crew, isUsable: (member: Member) => boolean) {
    this.#calls = calls
    this.#crew = crew
    this.#isUsable = isUsable
  }

  /** Those that this member may take over: they wait for a seat, and it has one. */
  *stealableBy(member: Member, nowMs: number): Generator<Call> {
    for (const call of this.#calls)
      if (mayTake(member, call) && this.#stealAtMs(call, member) <= nowMs) yield call
  }

  /** The oldest that is so late that this member may be asked as well. */
  overdueFor(member: Member, nowMs: number): Call | undefined {
    for (const call of this.#calls)
      if (!call.part.isHedged && mayTake(member, call) && overdueAtMs(call) <= nowMs) return call
    return undefined
  }

  /** When the next one falls overdue or may be taken over; infinite: none of them ever, as things are. */
  nextMs(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY
    const consider = (atMs: number) => {
      if (atMs > nowMs) nextMs = Math.min(nextMs, atMs)
    }
    for (const call of this.#calls) {
      if (!call.part.isHedged) consider(overdueAtMs(call))
      for (const member of this.#crew.members)
        if (member !== call.member) consider(this.#stealAtMs(call, member))
    }
    return nextMs
  }

  /** When this member may take it over: the slower it is, the later. Infinite: it has its seat. */
  #stealAtMs({ running, member: holder, part, sinceMs }: Call, member: Member): number {
    if (running.onSeatSinceMs !== undefined || running.backend !== '')
      return Number.POSITIVE_INFINITY
    if (holder && !this.#isUsable(holder)) return sinceMs
    return sinceMs + Math.max(stealMsMin, this.#crew.timeMs(member, part) / 2)
  }
}

function mayTake(member: Member, call: Call): boolean {
  return call.member !== member && !call.part.failedAt.has(member.machine.name)
}

/** A part that waits for its seat is overdue only by being taken over. */
function overdueAtMs({ running, expectedMs }: Call): number {
  if (running.onSeatSinceMs === undefined) return Number.POSITIVE_INFINITY
  return running.onSeatSinceMs + Math.max(overdueMsMin, expectedMs * overdueFactor)
}
