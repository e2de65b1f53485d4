import type { ModelOnDisk } from './catalogue.ts'
import { type ModelHost, ServedModel } from './served-model.ts'

/** The models on one backend's disk: what it says of each, and how routing sees it. */
export class OnDisk {
  readonly #host: ModelHost
  /** Made anew with each list: who still reads the one before may go on. */
  #listed = new Map<string, ModelOnDisk>()
  readonly #served = new Map<string, ServedModel>()

  constructor(host: ModelHost) {
    this.#host = host
  }

  get listed(): ReadonlyMap<string, ModelOnDisk> {
    return this.#listed
  }

  /** By canonical name, for as long as they are listed. */
  get served(): ReadonlyMap<string, ServedModel> {
    return this.#served
  }

  get(canonical: string): ModelOnDisk | undefined {
    return this.#listed.get(canonical)
  }

  /** A fresh list. Who stays keeps its seats. */
  learn(models: readonly ModelOnDisk[]): void {
    this.#listed = new Map(models.map((model) => [model.canonical, model]))
    for (const model of models) {
      const served = this.#served.get(model.canonical)
      if (served) served.disk = model
      else this.#served.set(model.canonical, new ServedModel(this.#host, model))
    }
    for (const name of this.#served.keys()) if (!this.#listed.has(name)) this.#served.delete(name)
  }

  /** What /api/show told about these weights, where the list itself did not say. */
  learnDetails(
    digest: string,
    details: Pick<ModelOnDisk, 'capabilities' | 'contextTrained'>,
  ): void {
    for (const served of this.#served.values()) {
      const { disk } = served
      if (disk.digest !== digest || disk.capabilities !== undefined) continue
      served.disk = {
        ...disk,
        capabilities: details.capabilities,
        contextTrained: details.contextTrained ?? disk.contextTrained,
      }
      this.#listed.set(disk.canonical, served.disk)
    }
  }

  /** It is not there after all: believed until the next list says otherwise. */
  forget(canonical: string): void {
    this.#listed.delete(canonical)
    this.#served.delete(canonical)
  }
}
