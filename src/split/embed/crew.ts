import type { Speeds } from '../speeds.ts'
import type { Member } from './plan.ts'
import { timeMs } from './sizes.ts'
import type { Weights } from './weight.ts'

/** A machine that failed a part may have had a bad moment, or be gone, which its breaker then tells. */
const shunMs = 1_000

interface Range {
  readonly from: number
  readonly to: number
}

/** The members of a batch, and what it has seen of each: who has shown its speed, who has failed a part. */
export class Crew {
  readonly members: readonly Member[]
  readonly #weights: Weights
  readonly #digest: string
  readonly #speeds: Speeds
  /** Members whose speed no part has shown yet. */
  readonly #guessed: Set<Member>
  /** Members where the model has to be loaded first: their first part tells nothing of their speed. */
  readonly #cold: Set<Member>
  /** Members that failed a part, and until when they are asked only if nobody else is left. */
  readonly #shunned = new Map<Member, number>()

  constructor(members: readonly Member[], weights: Weights, digest: string, speeds: Speeds) {
    this.members = members
    this.#weights = weights
    this.#digest = digest
    this.#speeds = speeds
    this.#guessed = new Set(members.filter(({ isGuess }) => isGuess))
    this.#cold = new Set(members.filter(({ machine }) => !machine.resident))
  }

  /** Undefined: this backend is none of them. */
  named(backend: string): Member | undefined {
    return this.members.find(({ machine }) => machine.name === backend)
  }

  /** In bytes of weight a millisecond: as it has shown, here or before, else as it was planned with. */
  speedOf(member: Member): number {
    return this.#speeds.unitsPerMs(member.machine.name, this.#digest) ?? member.weightPerMs
  }

  /** What these items should take there. */
  timeMs(member: Member, { from, to }: Range): number {
    return timeMs({ weightPerMs: this.speedOf(member) }, this.#weights.of(from, to))
  }

  /** No part of this batch has shown its speed, so that its first should be a small one. */
  isGuess(member: Member): boolean {
    return this.#guessed.has(member)
  }

  /** Those of the usable to whom parts are given, the fastest first. */
  willing(usable: readonly Member[], nowMs: number): Member[] {
    const trusted = usable.filter((member) => (this.#shunned.get(member) ?? nowMs) <= nowMs)
    const willing = trusted.length > 0 ? trusted : usable
    return willing.toSorted((one, other) => this.speedOf(other) - this.speedOf(one))
  }

  /** It answered for these items, having had them on a seat so long. */
  answered(member: Member, { from, to }: Range, servedMs: number): void {
    const weight = this.#weights.of(from, to)
    if (!this.#cold.delete(member))
      this.#speeds.learn(member.machine.name, this.#digest, weight, servedMs)
    this.#guessed.delete(member)
    this.#shunned.delete(member)
  }

  failed(backend: string, nowMs: number): void {
    const culprit = this.named(backend)
    if (culprit) this.#shunned.set(culprit, nowMs + shunMs)
  }
}
