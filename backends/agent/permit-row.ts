import PQueue from 'p-queue'
import type { Lease } from '../../src/pool/lease.ts'
import type { Seats } from '../../src/pool/seats.ts'
import type { Exchange } from '../../src/proxy/exchange.ts'
import type { Priority } from '../../src/routing/line.ts'

/** Somebody who waits for a seat. */
export interface Waiting {
  readonly exchange: Exchange
  readonly model: string
  readonly priority: Priority
  readonly sinceMs: number
  readonly row: Row
  readonly serve: (lease: Lease, done: () => void) => void
  readonly giveUp: (why: Error) => void
}

/** A p-queue serves higher numbers first, and those with the same number in the order of their coming. */
const ranks: Readonly<Record<Priority, number>> = { interactive: 2, normal: 1, batch: 0 }

/**
 * One set of weights and its p-queue: as many tasks run in it as there are seats, and each is a seat that somebody
 * holds. A task that finds its seat not to be had after all keeps its turn, and waits for it first in line.
 */
export class Row {
  /** Any name of these weights: what holds for one of them holds for all. */
  readonly model: string
  readonly seats: Seats
  readonly #queue = new PQueue({ concurrency: 1 })
  /** In the order of their coming, those whose turn it is among them. */
  readonly waiting: Waiting[] = []
  #atTurn: { waiting: Waiting; done: () => void }[] = []

  constructor(model: string, seats: Seats) {
    this.model = model
    this.seats = seats
  }

  /** Nobody waits, and a task that is added begins at once. */
  get isOpen(): boolean {
    const queue = this.#queue
    return this.waiting.length === 0 && !queue.isPaused && queue.pending < queue.concurrency
  }

  get isIdle(): boolean {
    return this.waiting.length === 0 && this.#queue.pending === 0
  }

  oldestSinceMs(): number | undefined {
    return this.waiting[0]?.sinceMs
  }

  /** A seat that was free is held: it takes a place in the queue until `done` is called. */
  hold(): () => void {
    let done: () => void = noHold
    void this.#queue.add(
      () =>
        new Promise<void>((resolve) => {
          done = resolve
        }),
      { priority: Number.POSITIVE_INFINITY },
    )
    return done
  }

  /** `offer` is called when its turn has come, and says whether there was a seat. */
  join(waiting: Waiting, signal: AbortSignal, offer: (waiting: Waiting) => boolean): void {
    this.waiting.push(waiting)
    const turn = () =>
      new Promise<void>((done) => {
        this.#atTurn.push({ waiting, done })
        this.offerAgain(offer)
      })
    // Its wait was ended, and whoever waited has been told why.
    this.#queue.add(turn, { priority: ranks[waiting.priority], signal }).catch(noHold)
  }

  /** Who is at turn, first come first: each is served until one finds nothing. */
  offerAgain(offer: (waiting: Waiting) => boolean): void {
    while (this.#atTurn[0] && offer(this.#atTurn[0].waiting)) this.#atTurn.shift()
  }

  /** What gives a waiter's place in the queue back. */
  doneOf(waiting: Waiting): () => void {
    return this.#atTurn.find((each) => each.waiting === waiting)?.done ?? noHold
  }

  /** It has a seat, or has given up. */
  leave(waiting: Waiting): boolean {
    const at = this.waiting.indexOf(waiting)
    if (at < 0) return false
    this.waiting.splice(at, 1)
    return true
  }

  /** It gave up at its turn: the next one may have it. */
  forget(waiting: Waiting): void {
    const at = this.#atTurn.findIndex((each) => each.waiting === waiting)
    if (at >= 0) this.#atTurn.splice(at, 1)[0]?.done()
  }

  /** How many seats may be held from now on; 0: nobody is served for now. */
  open(seats: number): void {
    if (seats === 0) return this.#queue.pause()
    if (this.#queue.concurrency !== seats) this.#queue.concurrency = seats
    if (this.#queue.isPaused) this.#queue.start()
  }
}

function noHold(): void {}
