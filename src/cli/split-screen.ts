import type { Clock } from '../core/clock.ts'

/** Ten times a second is as often as an eye follows. */
const drawEveryMs = 100

export interface ScreenDoors {
  readonly clock: Clock
  /** To the terminal, at once. */
  readonly write: (text: string) => void
  /** What stands there now; asked at most ten times a second. */
  readonly lines: () => readonly string[]
}

/**
 * Lines that are drawn again in place, at the end of a terminal. What is to stay is handed to `above`, so that the two
 * never run into one another. Disposing takes the lines away.
 */
export class Screen implements Disposable {
  readonly #doors: ScreenDoors
  #drawn: readonly string[] = []
  #above: (() => void)[] = []
  #timer: Disposable | undefined

  constructor(doors: ScreenDoors) {
    this.#doors = doors
    this.#draw()
  }

  /** Called when the lines are away and the cursor is at the start of a line; it must leave it at one. */
  above(write: () => void): void {
    this.#above.push(write)
  }

  #draw(): void {
    this.#timer = this.#doors.clock.after(drawEveryMs, () => this.#draw())
    const lines = this.#doors.lines()
    if (this.#above.length === 0 && same(lines, this.#drawn)) return
    if (this.#above.length > 0) this.#clear()
    this.#writeAbove()
    const up = this.#drawn.length > 0 ? `\x1b[${this.#drawn.length}A` : ''
    // Without wrapping, a line with wide characters in it is still one row, and the next move up finds its place.
    const rows = lines.map((line) => `\x1b[2K${line}\n`).join('')
    this.#doors.write(`${up}\r\x1b[?7l${rows}\x1b[0J\x1b[?7h`)
    this.#drawn = [...lines]
  }

  #clear(): void {
    if (this.#drawn.length > 0) this.#doors.write(`\x1b[${this.#drawn.length}A\r\x1b[0J`)
    this.#drawn = []
  }

  #writeAbove(): void {
    for (const write of this.#above.splice(0)) write()
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
    this.#clear()
    this.#writeAbove()
  }
}

function same(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((line, at) => line === others[at])
}
