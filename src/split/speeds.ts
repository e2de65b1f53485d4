import { Ewma } from '../core/ewma.ts'

/** How much one answer moves the average: a machine that others begin to use is noticed within a few parts. */
const share = 0.3
/** More pairs than this are nobody's fleet; the one unused longest is forgotten. */
const pairsMax = 10_000

/**
 * What a unit of work takes at a seat of (backend, model): one moving average each, learned from answers. Whatever
 * predicts better may stand in its place, as long as it answers the same question.
 */
export class Speeds {
  readonly #msPerUnit = new Map<string, Ewma>()

  /** `servedMs` on a seat, without the loading of the model, for `units` of work (tokens of the parts' prompts). */
  learn(backend: string, model: string, units: number, servedMs: number): void {
    if (!(units > 0) || !(servedMs >= 0)) return
    const key = keyOf(backend, model)
    const average = this.#msPerUnit.get(key) ?? new Ewma(share)
    average.add(servedMs / units)
    this.#msPerUnit.delete(key)
    this.#msPerUnit.set(key, average)
    if (this.#msPerUnit.size > pairsMax)
      this.#msPerUnit.delete(this.#msPerUnit.keys().next().value as string)
  }

  /** Undefined: it has not answered yet. */
  expectedMs(backend: string, model: string, units: number): number | undefined {
    const ms = this.#msPerUnit.get(keyOf(backend, model))?.value
    return ms === undefined ? undefined : ms * units
  }
}

function keyOf(backend: string, model: string): string {
  return `${backend}\n${model}`
}
