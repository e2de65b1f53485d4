import type { InnerAnswer } from '../../core/inner-call.ts'
import { type EmbedPath, joinParts, type PartAnswer, type Sums } from './join.ts'

/** What stands for the batch where it has no vectors for every item. */
export type NoVectors =
  /** One answer stands for the whole: a refusal, a failure, or the batch served by one backend after all. */
  | { readonly kind: 'single'; readonly answer: InnerAnswer }
  /** A backend's answer was none, and no other had a better one. */
  | { readonly kind: 'broken'; readonly why: string; readonly backend: string }

export type BatchResult =
  | { readonly kind: 'joined'; readonly body: readonly Buffer[]; readonly sums: Sums }
  | NoVectors
  | { readonly kind: 'left' }

/**
 * What came of the parts so far: vectors, or why there are none. A part that will never have any decides for the batch,
 * and the lowest one speaks for all, as in a server that goes through the items in order.
 */
export class Harvest {
  /** By where the part begins. */
  readonly #answers = new Map<number, PartAnswer>()
  #bad: { readonly from: number; readonly result: NoVectors } | undefined

  /** Nothing that may still come changes the result. */
  get isDecided(): boolean {
    return this.#bad?.from === 0
  }

  answered(from: number, answer: PartAnswer): void {
    this.#answers.set(from, answer)
  }

  /** False: one before it speaks already. */
  givenUp(from: number, result: NoVectors): boolean {
    if (this.#bad && this.#bad.from <= from) return false
    this.#bad = { from, result }
    return true
  }

  /** To be asked for when every part is here, or is not wanted any more. `wallNs`: how long the client waited. */
  result(path: EmbedPath, wallNs: number): BatchResult {
    if (this.#bad) return this.#bad.result
    const byPlace = [...this.#answers].sort(([one], [other]) => one - other)
    const parts = byPlace.map(([, answer]) => answer)
    return { kind: 'joined', ...joinParts(path, parts, wallNs) }
  }
}
