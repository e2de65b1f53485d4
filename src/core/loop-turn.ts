/** Somebody who has kept back what is to be written. */
export interface Holding {
  letOut(): void
}

/** Somebody with something to do when the turn is over. */
export interface AtTurnEnd {
  turnEnded(): void
}

/**
 * So many writes go out at once. They are counted from the last end on, since to ask for an end in each turn would cost
 * more than it tells: a request that comes alone, and its answer, are within them; of a stream that runs alone some pieces
 * wait for the end of a turn with nothing else in it, which is now.
 */
const atOnceMax = 2

/**
 * One turn of the event loop: all that has come on any connection is worked off, one after another. In a busy one what is
 * written waits for its end, and then leaves together: each write wakes whoever reads at the other end, and one who is
 * woken for every single piece goes back to sleep in between, to be woken again. What waits does so no longer than the
 * turn lasts. In a quiet one it waits until what came in one read has been worked off: the last words of an answer and its
 * end are two writes otherwise.
 */
export class LoopTurn {
  #writes = 0
  #writing: Holding[] = []
  #waiting: AtTurnEnd[] = []
  #isEndDue = false
  #inRead = false
  readonly #whenOver: (act: () => void) => void

  /** `whenOver`: calls back when everything that came in this turn has been heard, as `setImmediate` does. */
  constructor(whenOver: (act: () => void) => void) {
    this.#whenOver = whenOver
  }

  /** What has come in one read is worked off from here to `readEnds`. */
  readBegins(): void {
    this.#inRead = true
  }

  readEnds(): void {
    this.#inRead = false
    if (this.#writing.length === 0) return
    if (this.#writes > atOnceMax) this.#dueEnd()
    else this.#letOut()
  }

  /** To be asked before each write, which is counted. True: it should wait until it is told. */
  mustWait(): boolean {
    this.#writes++
    return this.#inRead || this.#writes > atOnceMax
  }

  /** It kept something back, and is told when to let it out. */
  toWrite(who: Holding): void {
    this.#writing.push(who)
    if (!this.#inRead) this.#dueEnd()
  }

  atEnd(who: AtTurnEnd): void {
    this.#waiting.push(who)
    this.#dueEnd()
  }

  #dueEnd(): void {
    if (this.#isEndDue) return
    this.#isEndDue = true
    this.#whenOver(this.#end)
  }

  readonly #end = (): void => {
    const waiting = this.#waiting
    this.#isEndDue = false
    this.#writes = 0
    this.#waiting = []
    this.#letOut()
    for (const each of waiting) each.turnEnded()
  }

  #letOut(): void {
    const writing = this.#writing
    this.#writing = []
    for (const each of writing) each.letOut()
  }
}

/** Of this process's own loop. */
export function realLoopTurn(): LoopTurn {
  return new LoopTurn((act) => void setImmediate(act))
}
