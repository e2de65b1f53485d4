import type { InnerAnswer } from '../core/inner-call.ts'
import type { Figures } from '../core/observer.ts'
import type { Part } from './cut/splitter.ts'

/** What the answers of a run add up to. */
export class Tally {
  readonly #backends = new Map<string, number>()
  readonly #failed: { part: number; label: string; error: string }[] = []
  readonly #endsMs: number[] = []
  readonly #figures = {
    totalNs: 0,
    loadNs: 0,
    promptTokens: 0,
    promptNs: 0,
    outputTokens: 0,
    outputNs: 0,
  }
  /** On seats, one after another. */
  workMs = 0
  /** `length` when any answer was cut by its length. */
  doneReason: 'stop' | 'length' = 'stop'

  answered({ backend, servedMs, figures }: InnerAnswer, reason: 'stop' | 'length', endMs: number) {
    this.#backends.set(backend, (this.#backends.get(backend) ?? 0) + 1)
    this.workMs += servedMs
    this.#endsMs.push(endMs)
    if (reason === 'length') this.doneReason = 'length'
    if (!figures) return
    for (const key of Object.keys(this.#figures) as (keyof Figures)[])
      this.#figures[key] += figures[key]
  }

  failed(part: Part, error: string): void {
    this.#failed.push({ part: part.index + 1, label: part.label, error })
  }

  get figures(): Figures {
    return this.#figures
  }

  /** Answers by the backend that gave them. */
  get backends(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#backends)
  }

  get failures(): readonly { part: number; label: string; error: string }[] {
    return this.#failed
  }

  /** From the end of the middle answer to that of the last. */
  get stragglerMs(): number {
    const ends = this.#endsMs.toSorted((a, b) => a - b)
    return ends.length === 0 ? 0 : ends.at(-1)! - ends[Math.floor((ends.length - 1) / 2)]!
  }
}
