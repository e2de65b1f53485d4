export interface NotedEnds {
  readonly seconds: readonly number[]
  readonly passedS: number
}

/** Who knows when the seats come free; asked the first time that it matters, which mostly it does not. */
export interface EndsSource {
  /** Calls `fill`, or `again` where what was filled in last still holds. */
  fillEnds(ends: Ends): void
}

/** When taken seats come free, in seconds from now, soonest first; a plan may be made in it, and is over at `forget`. */
export class Ends {
  readonly #source: EndsSource | undefined
  /** As they were filled in, and as the plan has them. */
  #filled: number[] = []
  #seconds: number[] = []
  #isKnown = true
  /** They are no more as they were filled in. */
  #isPlanned = false
  /** Since then. */
  #passedS = 0
  /** Seats that the plan has taken while nobody had asked; mostly none, and then there is no list to look at. */
  #taken: number[] | undefined

  constructor(source?: EndsSource) {
    this.#source = source
  }

  /** Of the seat that comes free first; 0 where none is taken. */
  get firstS(): number {
    const seconds = this.#known()
    return seconds.length === 0 ? 0 : Math.max(0, seconds[0]! - this.#passedS)
  }

  /** As they are, and what has gone by since: to the last bit, for who makes the decision again. */
  noted(): NotedEnds {
    return { seconds: [...this.#known()], passedS: this.#passedS }
  }

  fillFrom({ seconds, passedS }: NotedEnds): void {
    this.fill([...seconds])
    this.#isKnown = true
    this.#passedS = passedS
  }

  /** A plan that was made in it is over, and time has gone by: its source is asked when it matters. */
  forget(): void {
    this.#isKnown = false
    this.#taken = undefined
  }

  /** Of its source: soonest first. */
  fill(seconds: number[]): void {
    this.#filled = seconds
    this.#seconds = this.#filled
    this.#isPlanned = false
    this.#passedS = 0
  }

  /** Of its source: what was filled in still holds, so many seconds later. */
  again(passedS: number): void {
    this.#seconds = this.#filled
    this.#isPlanned = false
    this.#passedS = passedS
  }

  add(inS: number): void {
    if (!this.#isKnown) {
      this.#taken ??= []
      this.#taken.push(inS)
      return
    }
    insert(this.#planned(), inS + this.#passedS)
  }

  /** The seat that comes free first is taken again at once, until then. */
  moveFirstTo(inS: number): void {
    if (this.#known().length === 0) return this.add(inS)
    const seconds = this.#planned()
    const endS = inS + this.#passedS
    let at = 0
    while (at + 1 < seconds.length && seconds[at + 1]! < endS) {
      seconds[at] = seconds[at + 1]!
      at++
    }
    seconds[at] = endS
  }

  #known(): readonly number[] {
    if (this.#isKnown) return this.#seconds
    this.#isKnown = true
    this.#source?.fillEnds(this)
    if (this.#taken) for (const inS of this.#taken) this.add(inS)
    return this.#seconds
  }

  /** What was filled in stays as it is for the next plan. */
  #planned(): number[] {
    if (!this.#isPlanned) this.#seconds = [...this.#filled]
    this.#isPlanned = true
    return this.#seconds
  }
}

/** Into its place among those that are in order: a few seats, of which most end in the order in which they began. */
export function insert(seconds: number[], endS: number): void {
  let at = seconds.push(endS) - 1
  while (at > 0 && seconds[at - 1]! > endS) {
    seconds[at] = seconds[at - 1]!
    at--
  }
  seconds[at] = endS
}
