import { Recent } from '../core/recent.ts'

/** After an interactive request its model is expected to be asked for again within this. */
const rushMs = 60_000
const modelsMax = 1_000

/** For which models people wait at present. */
export class Rush {
  readonly #lastMs = new Recent<string, number>(modelsMax)

  /** An interactive request has come. */
  note(model: string, nowMs: number): void {
    this.#lastMs.set(model, nowMs)
  }

  isOn(model: string, nowMs: number): boolean {
    const lastMs = this.#lastMs.peek(model)
    return lastMs !== undefined && nowMs - lastMs < rushMs
  }
}
