/** What can keep back what is written to it: a socket. */
export interface Holding {
  readonly writableCorked: number
  cork(): void
  uncork(): void
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
 * turn lasts, and its sockets count it as unsent.
 */
export class LoopTurn {
  #writes = 0
  #held: Holding[] = []
  #waiting: AtTurnEnd[] = []
  #isEndDue = false
  readonly #whenOver: (act: () => void) => void

  /** `whenOver`: calls back when everything that came in this turn has been heard, as `setImmediate` does. */
  constructor(whenOver: (act: () => void) => void) {
    this.#whenOver = whenOver
  }

  /** To be called before something is written: it may have to wait for the end of the turn. */
  writes(to: Holding): void {
    this.#writes++
    if (this.#writes <= atOnceMax || to.writableCorked > 0) return
    to.cork()
    this.#held.push(to)
    this.#dueEnd()
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
    const held = this.#held
    const waiting = this.#waiting
    this.#isEndDue = false
    this.#writes = 0
    this.#held = []
    this.#waiting = []
    for (const each of held) each.uncork()
    for (const each of waiting) each.turnEnded()
  }
}

/** Of this process's own loop. */
export function realLoopTurn(): LoopTurn {
  return new LoopTurn((act) => void setImmediate(act))
}
