import PQueue from 'p-queue'
import type { FailureCode } from '../core/failure.ts'
import type { InnerAnswer } from '../core/inner-call.ts'
import type { Said } from './answers.ts'
import type { Part } from './cut/splitter.ts'
import type { Errand, PartRunner } from './part-runner.ts'
import type { Shelf } from './shelf.ts'

/** What came of one part, for whoever combines: its answer's text, or why there is none. */
export type PartDone =
  | { readonly part: Part; readonly text: string }
  | { readonly part: Part; readonly failed: string }

export interface FanOutDoors {
  readonly runner: PartRunner
  /** Answers that are there before it is their turn. */
  readonly shelf: Shelf
  readonly errandOf: (part: Part) => Errand
  /** Called once for each part's answer, when it is in; gives its text. */
  readonly taken: (answer: InnerAnswer, said: Said, part: Part) => string
  /** Seats that the run may use, as of now. */
  readonly seats: () => number
  /** Parts in flight at once; 0: as many as there are seats. */
  readonly maxParallel: number
  /** True: a part without an answer leaves a hole. False: it ends the run. */
  readonly holes: boolean
}

/** A part that no backend answered has ended the run. */
export class PartFailed extends Error {
  readonly part: Part
  readonly why: string
  readonly status: number
  readonly code: FailureCode | undefined
  constructor(part: Part, why: string, { status, code }: Pick<InnerAnswer, 'status' | 'code'>) {
    super(why)
    this.part = part
    this.why = why
    this.status = status
    this.code = code
  }
}

/** So far may a run be ahead of the oldest part that is not done: more would only fill the shelf. */
const aheadMin = 64
const aheadPerSeat = 4

/**
 * Sends the parts out and gives their answers back in the order of the input, whatever order they are finished in.
 * Parts are not dealt out: each waits in the proxy's queue like any request, and a seat that comes free takes the next,
 * so that a fast machine serves more of them than a slow one. No faster than the answers are taken.
 */
export class FanOut {
  readonly #parts: readonly Part[]
  readonly #doors: FanOutDoors
  readonly #queue: PQueue
  /** By index; undefined while it is not done. */
  readonly #done: ({ failed: string | undefined } | undefined)[] = []
  #next = 0
  /** The part that is to be given next. */
  #oldest = 0
  #failure: Error | undefined
  #wake: (() => void) | undefined

  constructor(parts: readonly Part[], doors: FanOutDoors) {
    this.#parts = parts
    this.#doors = doors
    this.#queue = new PQueue({ concurrency: 1 })
    this.#queue.concurrency = this.#concurrency()
  }

  /** Parts that nobody has begun yet. */
  get unbegun(): number {
    return this.#parts.length - this.#next + this.#queue.size
  }

  async *inOrder(): AsyncGenerator<PartDone> {
    this.#feed()
    for (const part of this.#parts) {
      const done = await this.#whenDone(part.index)
      if (done.failed !== undefined) yield { part, failed: done.failed }
      else yield { part, text: await this.#doors.shelf.take(part.index) }
      this.#oldest = part.index + 1
      this.#feed()
    }
  }

  /** Nothing more is begun; what is under way is the runner's to end. */
  stop(why: Error): void {
    this.#failure ??= why
    this.#queue.clear()
    this.#wake?.()
  }

  async #whenDone(index: number): Promise<{ failed: string | undefined }> {
    for (;;) {
      if (this.#failure) throw this.#failure
      const done = this.#done[index]
      if (done) return done
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  #feed(): void {
    if (this.#failure) return
    const ahead = Math.max(aheadMin, aheadPerSeat * this.#doors.seats())
    const upTo = Math.min(this.#parts.length, this.#oldest + ahead)
    while (this.#next < upTo) {
      const part = this.#parts[this.#next++]!
      void this.#queue.add(() => this.#carry(part)).catch((error: Error) => this.stop(error))
    }
  }

  async #carry(part: Part): Promise<void> {
    if (this.#failure) return
    const result = await this.#doors.runner.run(this.#doors.errandOf(part))
    if (this.#failure) return
    if (result.ok) {
      await this.#doors.shelf.put(part.index, this.#doors.taken(result.answer, result.said, part))
      this.#done[part.index] = { failed: undefined }
    } else {
      // A proxy that stops answers no other part either: that is no hole, it is the end.
      const isOver = !this.#doors.holes || result.answer.code === 'stopping'
      if (isOver) return this.stop(new PartFailed(part, result.why, result.answer))
      this.#done[part.index] = { failed: result.why }
    }
    this.#queue.concurrency = this.#concurrency()
    if (part.index === this.#oldest) this.#wake?.()
  }

  /**
   * A little more than the seats, so that a seat that comes free finds a part already waiting, and so that the pool
   * learns of seats that it does not know yet. Towards the end no more than the seats: a part that is sent to try a
   * seat that is not there waits inside a backend while another stands idle.
   */
  #concurrency(): number {
    const seats = Math.max(1, this.#doors.seats())
    const left = this.unbegun + this.#queue.pending
    const spare = left > 2 * seats ? Math.max(2, Math.ceil(seats / 4)) : 0
    const wanted = seats + spare
    return this.#doors.maxParallel > 0 ? Math.min(this.#doors.maxParallel, wanted) : wanted
  }
}
