import type { Agenda } from './agenda.ts'
import type { MachineSpec, ModelSpec } from './specs.ts'
import type { Visit } from './visit.ts'

/** Prompts are read in batches of so many tokens, as llama.cpp does it; while one is read, a stream gets one token. */
const batchTokens = 512

/**
 * The one engine of a machine that all who have a slot share: readers share the prefill rate evenly, speakers slow one
 * another down by kappa, and while anybody reads a speaker's step takes a batch longer.
 */
export class Engine {
  readonly #spec: MachineSpec
  readonly #models: readonly ModelSpec[]
  readonly #agenda: Agenda
  readonly #phaseOver: (visit: Visit) => void
  readonly #active: Visit[] = []
  #lookedMs = 0
  #version = 0
  /** How many times slower than it was; Infinity: frozen. */
  #slowness = 1
  #busyMs = 0

  constructor(
    spec: MachineSpec,
    models: readonly ModelSpec[],
    agenda: Agenda,
    phaseOver: (visit: Visit) => void,
  ) {
    this.#spec = spec
    this.#models = models
    this.#agenda = agenda
    this.#phaseOver = phaseOver
  }

  /** Milliseconds in which it did anything. */
  get busyMs(): number {
    return this.#busyMs
  }

  begin(visit: Visit): void {
    this.look()
    this.#active.push(visit)
    this.#foresee()
  }

  leave(visit: Visit): void {
    const at = this.#active.indexOf(visit)
    if (at < 0) return
    this.look()
    this.#active.splice(at, 1)
    this.#foresee()
  }

  slowDown(slowness: number): void {
    this.look()
    this.#slowness = slowness
    this.#foresee()
  }

  /** Brings everybody's tokens up to now. */
  look(): void {
    const passedMs = this.#agenda.nowMs - this.#lookedMs
    this.#lookedMs = this.#agenda.nowMs
    if (passedMs === 0 || this.#active.length === 0) return
    this.#busyMs += passedMs
    const readers = this.#readers()
    for (const visit of this.#active)
      visit.left = Math.max(0, visit.left - passedMs * this.#ratePerMs(visit, readers))
  }

  /** Tokens a millisecond with the present company. */
  #ratePerMs(visit: Visit, readers: number): number {
    const { prefillPerSecond, decodePerSecond, kappa } = this.#spec
    const speed = this.#models[visit.request.model]!.speed
    const readPerMs = (prefillPerSecond * speed) / 1_000 / this.#slowness
    if (visit.state === 'reading') return readPerMs / readers
    const aloneMs = (1_000 * this.#slowness) / (decodePerSecond * speed)
    const stepMs = aloneMs * (1 + kappa * (this.#active.length - readers - 1))
    return 1 / (readers === 0 ? stepMs : stepMs + batchTokens / readPerMs)
  }

  #readers(): number {
    let readers = 0
    for (const { state } of this.#active) if (state === 'reading') readers++
    return readers
  }

  #foresee(): void {
    const version = ++this.#version
    if (this.#active.length === 0 || this.#slowness === Number.POSITIVE_INFINITY) return
    const readers = this.#readers()
    let next: Visit | undefined
    let nextMs = Number.POSITIVE_INFINITY
    for (const visit of this.#active) {
      const ms = visit.left / this.#ratePerMs(visit, readers)
      if (ms >= nextMs) continue
      next = visit
      nextMs = ms
    }
    if (!next) return
    const due = next
    this.#agenda.at(this.#agenda.nowMs + nextMs, () => {
      if (version !== this.#version) return
      this.look()
      due.left = 0
      this.#phaseOver(due)
    })
  }

  /** The one that has read begins to speak. */
  turn(visit: Visit, tokens: number): void {
    visit.state = 'speaking'
    visit.left = tokens
    this.#foresee()
  }
}
