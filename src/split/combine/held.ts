import { CannotCombine } from './combiner.ts'

/**
 * All that a combiner keeps in memory until its end. A model that writes 100 tokens a second needs two days for as much,
 * so that an honest answer never meets it; many large ones at once would otherwise take the process down.
 */
const heldBytesMax = 64 * 1024 * 1024

/** Counts the text that is held until the end. */
export class Held {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number = heldBytesMax) {
    this.#bytesMax = bytesMax
  }

  /** Throws CannotCombine once it is too much. */
  add(text: string, index?: number): void {
    this.#bytes += Buffer.byteLength(text)
    if (this.#bytes <= this.#bytesMax) return
    const mebibytes = Math.floor(this.#bytesMax / 1024 / 1024)
    throw new CannotCombine(
      `the answers together have more than ${mebibytes} MiB, which is the most that is held to combine them`,
      index,
    )
  }
}
