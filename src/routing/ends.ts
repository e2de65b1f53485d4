export interface NotedEnds {
  readonly seconds: readonly number[]
  readonly passedS: number
}

/**
 * When taken seats come free, in seconds from now, soonest first. Filled anew for most decisions, so nothing is let go;
 * otherwise `pass` tells it how much time has gone by since.
 */
export class Ends {
  readonly #seconds: number[] = []
  #count = 0
  /** As they were before a plan was made in them. */
  readonly #kept: number[] = []
  #keptCount = 0
  /** They are no more as they were kept. */
  #isPlanned = false
  /** Since it was filled. */
  #passedS = 0

  get count(): number {
    return this.#count
  }

  /** Of the seat that comes free first; 0 where none is taken. */
  get firstS(): number {
    return this.#count === 0 ? 0 : Math.max(0, this.#seconds[0]! - this.#passedS)
  }

  /** As it was filled, and what has gone by since: to the last bit, for who makes the decision again. */
  noted(): NotedEnds {
    return { seconds: this.#seconds.slice(0, this.#count), passedS: this.#passedS }
  }

  fillFrom({ seconds, passedS }: NotedEnds): void {
    this.clear()
    for (const endS of seconds) this.add(endS)
    this.#passedS = passedS
  }

  clear(): void {
    this.#count = 0
    this.#passedS = 0
  }

  /** What is there now is what `restore` goes back to. */
  keep(): void {
    this.#isPlanned = false
    this.#keptCount = this.#count
    for (let at = 0; at < this.#count; at++) this.#kept[at] = this.#seconds[at]!
  }

  /** A plan that was made in it is over. */
  restore(): void {
    if (!this.#isPlanned) return
    this.#isPlanned = false
    this.#count = this.#keptCount
    for (let at = 0; at < this.#count; at++) this.#seconds[at] = this.#kept[at]!
  }

  /** So many seconds have gone by since it was filled. */
  pass(seconds: number): void {
    this.#passedS = seconds
  }

  add(inS: number): void {
    this.#isPlanned = true
    const endS = inS + this.#passedS
    const seconds = this.#seconds
    let at = this.#count++
    if (at === seconds.length) seconds.push(endS)
    while (at > 0 && seconds[at - 1]! > endS) {
      seconds[at] = seconds[at - 1]!
      at--
    }
    seconds[at] = endS
  }

  /** The seat that comes free first is taken again at once, until then. */
  moveFirstTo(inS: number): void {
    if (this.#count === 0) return this.add(inS)
    this.#isPlanned = true
    const endS = inS + this.#passedS
    const seconds = this.#seconds
    let at = 0
    while (at + 1 < this.#count && seconds[at + 1]! < endS) {
      seconds[at] = seconds[at + 1]!
      at++
    }
    seconds[at] = endS
  }
}
