import { Agenda } from '../engine/agenda.ts'
import { Machine } from '../engine/machine.ts'
import type { MachineSpec, ModelSpec } from '../engine/specs.ts'
import type { Incident } from '../engine/world.ts'
import type { RealMachine } from './machines.ts'

const deaf = { first() {}, granted() {}, ended() {}, failed() {} }

/** A machine of the study that plays nothing: what befalls it is done to a process. */
class Fated extends Machine {
  readonly #real: RealMachine
  readonly #done: (act: Promise<void>) => void

  constructor(
    of: { index: number; spec: MachineSpec; models: readonly ModelSpec[] },
    real: RealMachine,
    done: (act: Promise<void>) => void,
  ) {
    super(of.index, of.spec, of.models, new Agenda(), deaf)
    this.#real = real
    this.#done = done
  }

  override kill(): void {
    this.#done(this.#real.kill())
  }
  // Its one model comes with it: the study revives and preloads in one breath.
  override revive(): void {
    this.#done(this.#real.begin([0]))
  }
  override preload(): void {}
  override freeze(): void {
    this.#done(this.#real.freeze())
  }
  override thaw(): void {
    this.#done(this.#real.thaw())
  }
  override failAll(isFailing: boolean): void {
    this.#done(this.#real.failAll(isFailing))
  }
  override slowDown(times: number): void {
    this.#done(this.#real.slowDown(times))
  }
  override setSlots(): void {
    throw new Error('a simulator keeps its slots for as long as it runs')
  }
}

/** Lets the study's incidents befall processes; what goes wrong with that is thrown at the end. */
export class Fates {
  readonly #machines: readonly Machine[]
  readonly #acts: Promise<void>[] = []

  constructor(machines: readonly RealMachine[], models: readonly ModelSpec[]) {
    const done = (act: Promise<void>) => {
      act.catch(() => {})
      this.#acts.push(act)
    }
    this.#machines = machines.map(
      (real, index) => new Fated({ index, spec: real.spec, models }, real, done),
    )
  }

  befall(incident: Incident): void {
    incident.befall(this.#machines)
  }

  async over(): Promise<void> {
    await Promise.all(this.#acts)
  }
}
