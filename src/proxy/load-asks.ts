import type { Clock } from '../core/clock.ts'
import type { Outcome } from '../core/outcome.ts'
import type { HeldAnswer } from './loads.ts'

export interface Asked {
  readonly outcome: Outcome
  readonly answer: HeldAnswer | undefined
}

export interface LoadAsksDoors {
  readonly clock: Clock
  /** Sends the request; `onEnd` calls back what ends it early. */
  readonly ask: (onEnd: (end: () => void) => Disposable) => Promise<Asked>
  /** So many milliseconds without an answer before it is asked again, each time twice as many; undefined: never. */
  readonly againMs: number | undefined
  /** The server answers other questions, so that asking again could tell something. */
  readonly isThere: () => boolean
}

/** More requests for one load than this tell nothing new, and each takes a place in the server's own queue. */
const againMax = 3

/**
 * One load, asked for again when no answer comes: a request that was lost on its way, or that its server has forgotten,
 * would be waited for until the load is held to hang. No timer ends a load by this: a server that still loads lets the
 * later request wait for the same runner, and one that has loaded answers it at once. The first request decides; a later
 * one only when it is answered well.
 */
export class LoadAsks {
  readonly result: Promise<Asked>
  readonly #doors: LoadAsksDoors
  readonly #ends: (() => void)[] = []
  #over: (asked: Asked) => void = () => {}
  #failed: (error: unknown) => void = () => {}
  #isOver = false
  #again = 0
  #timer: Disposable | undefined

  constructor(doors: LoadAsksDoors) {
    this.#doors = doors
    this.result = new Promise<Asked>((resolve, reject) => {
      this.#over = resolve
      this.#failed = reject
    })
    this.#ask(true)
    this.#wait()
  }

  /** No answer came in the time in which one was expected. */
  get isOverdue(): boolean {
    return this.#again > 0
  }

  /** Ends all of it, with this outcome. */
  end(asked: Asked): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#timer?.[Symbol.dispose]()
    for (const end of this.#ends) end()
    this.#over(asked)
  }

  #ask(isFirst: boolean): void {
    let asking: Promise<Asked>
    try {
      asking = this.#doors.ask((end) => this.#noteEnd(end))
    } catch (error) {
      asking = Promise.reject(error)
    }
    asking.then(
      (asked) => {
        if (isFirst || asked.outcome.kind === 'answered') this.end(asked)
      },
      (error: unknown) => {
        if (!isFirst || this.#isOver) return
        this.#failed(error)
        this.end({ outcome: { kind: 'clientLeft' }, answer: undefined })
      },
    )
  }

  #wait(): void {
    const { againMs, clock, isThere } = this.#doors
    if (againMs === undefined || this.#isOver || this.#again === againMax) return
    this.#timer = clock.after(againMs * 2 ** this.#again, () => {
      // Who does not answer at all, frozen or away, has not forgotten it.
      if (isThere()) {
        this.#again++
        this.#ask(false)
      }
      this.#wait()
    })
  }

  #noteEnd(end: () => void): Disposable {
    this.#ends.push(end)
    return { [Symbol.dispose]: untouched }
  }
}

const untouched = () => {}
