import { forTerminal } from './split-words.ts'

export interface AnswerOptions {
  /** Where it goes, at once. */
  readonly write: (text: string) => void
  /** Set before the first text; '' for nothing. */
  readonly heading: string
  /** Where it is read on a terminal: nothing in it may move the cursor. */
  readonly terminal: boolean
  /** Writes when nothing else would be run into. */
  readonly aside: (write: () => void) => void
  /** Other lines are written between the pieces of it, so each is let out only up to the end of a line. */
  readonly wholeLines: () => boolean
}

/** The answer as it comes, as text. */
export class TextAnswer {
  readonly #options: AnswerOptions
  #begun = false
  #atLineStart = true
  /** Pieces of a line that is not complete. */
  #held: string[] = []

  constructor(options: AnswerOptions) {
    this.#options = options
  }

  piece(text: string): void {
    const { wholeLines, terminal } = this.#options
    const shown = terminal ? forTerminal(text) : text
    if (!wholeLines()) return this.#let(shown)
    const end = shown.lastIndexOf('\n') + 1
    if (end > 0) this.#let(this.#held.splice(0).join('') + shown.slice(0, end))
    if (end < shown.length) this.#held.push(shown.slice(end))
  }

  /** What is left, and the end of its line: what is written next begins on a line of its own. */
  end(): void {
    this.#let(this.#held.splice(0).join(''))
    if (!this.#atLineStart) this.#let('\n')
  }

  #let(text: string): void {
    if (text === '') return
    const { heading, write, aside } = this.#options
    const all = this.#begun ? text : heading + text
    this.#begun = true
    this.#atLineStart = text.endsWith('\n')
    aside(() => write(all))
  }
}
