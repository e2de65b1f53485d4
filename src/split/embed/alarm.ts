import type { Clock } from '../../core/clock.ts'

/** Behind the moment itself, which by rounding might not be there yet. */
const lateMs = 0.1

/** When to look again: soon, once for everything that happens in the same breath, and after a while. */
export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #isDue = false
  #timer: Disposable | undefined

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  soon(): void {
    if (this.#isDue) return
    this.#isDue = true
    queueMicrotask(() => {
      this.#isDue = false
      this.#ring()
    })
  }

  /** In place of what was set before; infinite: not at all. */
  after(delayMs: number): void {
    this.off()
    if (delayMs === Number.POSITIVE_INFINITY) return
    this.#timer = this.#clock.after(delayMs + lateMs, this.#ring)
  }

  /** What is due soon still comes. */
  off(): void {
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
  }
}
