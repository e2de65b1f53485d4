import type { Member } from './plan.ts'
import type { Left } from './sizes.ts'
import type { Weights } from './weight.ts'

/** So many items show a machine's speed. */
const pilotItems = 8

/** Items that are asked for together, `from` up to before `to`, and how that went so far. */
export interface Part {
  readonly from: number
  readonly to: number
  /** Backends that failed it. */
  readonly failedAt: Set<string>
  tries: number
  isHedged: boolean
}

export function partOf(from: number, to: number): Part {
  return { from, to, failedAt: new Set(), tries: 0, isHedged: false }
}

/**
 * What of a batch nobody is asked for at the moment: parts that came back without vectors, to be asked again as they
 * are, and behind all parts the items of which none was made yet.
 */
export class Backlog {
  readonly #weights: Weights
  readonly #returned: Part[] = []
  /** The items that were never part of anything: `#from` up to before `#to`. */
  #from = 0
  #to: number

  constructor(items: number, weights: Weights) {
    this.#to = items
    this.#weights = weights
  }

  get isEmpty(): boolean {
    return this.#returned.length === 0 && this.isCutUp
  }

  /** Every item is or was in some part. */
  get isCutUp(): boolean {
    return this.#from === this.#to
  }

  /** What is to be cut next; undefined when all is cut. */
  get left(): Left | undefined {
    if (this.isCutUp) return undefined
    const [from, to] = [this.#from, this.#to]
    return { from, to, weight: this.#weights.of(from, to) }
  }

  /** Where a part ends that is only to show a speed. */
  get pilotEnd(): number {
    return Math.min(this.#to, this.#from + pilotItems)
  }

  /** A part of the items up to before `end`, which is behind the first of them. */
  cut(end: number): Part {
    const part = partOf(this.#from, end)
    this.#from = end
    return part
  }

  giveBack(part: Part): void {
    this.#returned.push(part)
  }

  /** The oldest that came back and that this member has not failed; one that everybody has failed is for anybody. */
  takeReturned(member: Member, willing: readonly Member[]): Part | undefined {
    const place = this.#returned.findIndex(
      ({ failedAt }) =>
        !failedAt.has(member.machine.name) ||
        willing.every(({ machine }) => failedAt.has(machine.name)),
    )
    return place < 0 ? undefined : this.#returned.splice(place, 1)[0]
  }

  /** For nobody in particular. */
  takeAny(): Part | undefined {
    const returned = this.#returned.shift()
    if (returned || this.isCutUp) return returned
    return this.cut(this.pilotEnd)
  }

  /** The items from here on, which is where a part begins, are not wanted any more. */
  dropFrom(from: number): void {
    const kept = this.#returned.filter((part) => part.from < from)
    this.#returned.splice(0, this.#returned.length, ...kept)
    if (this.#from >= from) this.#to = this.#from
  }
}
