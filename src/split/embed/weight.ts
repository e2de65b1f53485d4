import { type InputItems, itemBytes } from './read.ts'

/**
 * What an item costs beside its text, in bytes of text: its own way to the runner and back. Many short items take time
 * by their count, few long ones by their characters.
 */
export const itemBaseBytes = 64
/** A text is cut at the context, so beyond this many bytes for each token of it nothing more is computed. */
const bytesPerTokenMax = 6

/** Weights of ranges of items, in bytes, each answered in constant time. */
export class Weights {
  /** Of all items before i. */
  readonly #before: Float64Array

  constructor(items: InputItems, contextTokens: number) {
    const most = contextTokens * bytesPerTokenMax
    this.#before = new Float64Array(items.count + 1)
    for (let index = 0; index < items.count; index++)
      this.#before[index + 1] =
        this.#before[index]! + itemBaseBytes + Math.min(itemBytes(items, index), most)
  }

  of(from: number, to: number): number {
    return this.#before[to]! - this.#before[from]!
  }

  /** The end of the range from `from` that comes nearest to a weight; at least one item, at most up to `end`. */
  endNear(from: number, end: number, weight: number): number {
    const wanted = this.#before[from]! + weight
    let low = from + 1
    let high = end
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#before[middle]! < wanted) low = middle + 1
      else high = middle
    }
    const over = this.#before[low]! - wanted
    const under = wanted - this.#before[low - 1]!
    return low - 1 > from && under < over ? low - 1 : low
  }
}
