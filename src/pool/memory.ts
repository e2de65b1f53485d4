/** Somebody else may have taken memory, or given it back: what was seen so long ago is seen again, or forgotten. */
const believedForMs = 3_600_000
/** Sets that did not fit, each smaller than the others in bytes or in number. */
const refusedMax = 8

/**
 * A model takes more in memory than on disk, for its context, and how much is only known when it is there: a set that is
 * so nearly as large as one that did not fit does not fit either.
 */
const alike = 0.75

/** What comes later than this behind a departure has nothing to do with it: no load takes so long. */
const loadMsLongest = 600_000

/** A model, as far as its room counts. */
export interface Occupant {
  readonly name: string
  readonly bytes: number
}

/** One that is not there any more. */
export interface Departed extends Occupant {
  /** It had time left, and nobody asked it to go. */
  readonly hadToLeave: boolean
}

interface Held {
  readonly bytes: number
  readonly models: number
  readonly atMs: number
}

/**
 * What fits into a server's memory, learned by looking: what was loaded together fits, and what pushed something out
 * did not. A server has two limits, bytes and a number of models, and which of them it was nobody says; so a set is held
 * to be too large when it is hardly smaller than one that was. What nobody has seen is tried.
 */
export class Memory {
  #bytesMax: number | undefined
  #held: Held | undefined
  #refused: Held[] = []
  /** Out of memory since something last came; a load takes longer than the time between two looks. */
  readonly #left = new Map<string, Departed>()
  #leftAtMs = 0
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** What an operator or an agent says of the bytes; undefined: nothing. */
  set bytesMax(bytes: number | undefined) {
    this.#bytesMax = bytes
  }

  fits(bytes: number, models: number): boolean {
    if (models <= 1) return true
    if (this.#bytesMax !== undefined && bytes > this.#bytesMax) return false
    this.#forgetOld()
    if (this.#held && bytes <= this.#held.bytes && models <= this.#held.models) return true
    return !this.#refused.some((set) => bytes >= alike * set.bytes && models >= set.models)
  }

  /** Something did not fit there lately. */
  get isTight(): boolean {
    this.#forgetOld()
    return this.#refused.length > 0
  }

  /** What is there together, whether something has come since the last look, and what is gone. */
  looked(listed: readonly Occupant[], hasCome: boolean, gone: readonly Departed[]): void {
    const bytes = bytesOf(listed)
    this.held(bytes, listed.length)
    if (this.#now() - this.#leftAtMs > loadMsLongest) this.#left.clear()
    if (gone.length > 0) this.#leftAtMs = this.#now()
    for (const each of gone) this.#left.set(each.name, each)
    for (const { name } of listed) this.#left.delete(name)
    if (!hasCome) return
    // All that has left is counted, if any of it had to go: what was asked to may have been there still.
    const left = [...this.#left.values()]
    if (left.some(({ hadToLeave }) => hadToLeave))
      this.refused(bytes + bytesOf(left), listed.length + left.length)
    this.#left.clear()
  }

  /** So much has been seen there together. */
  held(bytes: number, models: number): void {
    if (!this.#held || (bytes >= this.#held.bytes && models >= this.#held.models))
      this.#held = { bytes, models, atMs: this.#now() }
    // It does fit, whatever was thought.
    this.#refused = this.#refused.filter((set) => bytes < set.bytes || models < set.models)
  }

  /** With so much, something else had to leave. */
  refused(bytes: number, models: number): void {
    if (models <= 1) return
    const others = this.#refused.filter((set) => set.bytes < bytes || set.models < models)
    this.#refused = [...others, { bytes, models, atMs: this.#now() }].slice(-refusedMax)
    if (this.#held && this.#held.bytes >= bytes && this.#held.models >= models)
      this.#held = undefined
  }

  /** It may be another machine now. */
  forget(): void {
    this.#held = undefined
    this.#refused = []
    this.#left.clear()
  }

  #forgetOld(): void {
    if (this.#refused.length === 0) return
    const oldMs = this.#now() - believedForMs
    if (this.#refused[0]!.atMs < oldMs)
      this.#refused = this.#refused.filter(({ atMs }) => atMs >= oldMs)
  }
}

function bytesOf(models: readonly Occupant[]): number {
  return models.reduce((sum, { bytes }) => sum + bytes, 0)
}
