import { Ollama } from 'ollama'
import PQueue from 'p-queue'
import type { ResidentReport } from '../../src/core/load-report.ts'
import { canonicalName } from '../../src/core/model-name.ts'

/** A look that takes longer is given up: the report then says what the one before it said. */
const answerMsMax = 2_000
const showsAtOnce = 2
/** More models than any disk has; beyond it nothing is asked about. */
const modelsMax = 1_000
/** What is on the disk changes seldom. */
const listEveryMs = 60_000

/**
 * The agent's own looks at its Ollama, taken as every client takes them, by Ollama's own client library: what is in memory, and
 * what each model says that it can do. What passes through for others never comes by here.
 */
export class Looks {
  readonly #where: { readonly host: string; readonly headers: Readonly<Record<string, string>> }
  readonly #client: Ollama
  readonly #nowMs: () => number
  readonly #shows = new PQueue({ concurrency: showsAtOnce })
  /** By digest: the same weights say the same. */
  readonly #said = new Map<string, readonly string[] | undefined>()
  #digests: ReadonlyMap<string, string> = new Map()
  #listedMs = Number.NEGATIVE_INFINITY
  #resident: readonly ResidentReport[] = []

  /** `headers`: for a server behind a login. */
  constructor(host: string, headers: Readonly<Record<string, string>>, nowMs: () => number) {
    this.#where = { host, headers }
    this.#nowMs = nowMs
    this.#client = new Ollama({
      ...this.#where,
      fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(answerMsMax) }),
    })
  }

  /** What is in memory; as last seen when nobody answers, or nobody who knows. */
  async resident(): Promise<readonly ResidentReport[]> {
    try {
      const { models } = await this.#client.ps()
      this.#resident = models.slice(0, modelsMax).map((model) => ({
        model: canonicalName(model.model ?? model.name),
        bytes: model.size,
        vram_bytes: model.size_vram,
        context: (model as { context_length?: number }).context_length ?? null,
      }))
    } catch {
      // Nobody answers, or not as an Ollama does.
    }
    return this.#resident
  }

  /** What each model on disk says of itself, as far as it has been asked; asking goes on behind. */
  async capabilities(): Promise<Readonly<Record<string, readonly string[]>>> {
    if (this.#nowMs() - this.#listedMs >= listEveryMs) await this.#list()
    const rows = [...this.#digests].flatMap(([model, digest]) => {
      const words = this.#said.get(digest)
      return words ? [[model, words] as const] : []
    })
    return Object.fromEntries(rows)
  }

  /** Puts models into memory again that were there before a restart. What can not be loaded is not missed. */
  async preload(models: readonly string[]): Promise<void> {
    // A load takes as long as it takes.
    const client = new Ollama(this.#where)
    for (const model of models) {
      // Somebody's request has loaded it, perhaps with options of its own: another load would undo them.
      if ((await this.resident()).some((each) => each.model === model)) continue
      const embeds = this.#said.get(this.#digests.get(model) ?? '')?.includes('embedding') ?? false
      const load = embeds
        ? client.embed({ model, input: [] })
        : client.generate({ model, prompt: '', stream: false })
      await load.catch(() => undefined)
    }
  }

  async #list(): Promise<void> {
    try {
      const { models } = await this.#client.list()
      this.#digests = new Map(
        models
          .slice(0, modelsMax)
          .map((model) => [canonicalName(model.model ?? model.name), model.digest] as const),
      )
    } catch {
      return // asked again with the next report
    }
    this.#listedMs = this.#nowMs()
    const digests = new Set(this.#digests.values())
    for (const digest of this.#said.keys()) if (!digests.has(digest)) this.#said.delete(digest)
    for (const [model, digest] of this.#digests) {
      if (this.#said.has(digest)) continue
      this.#said.set(digest, undefined)
      void this.#shows.add(() => this.#show(model, digest))
    }
  }

  async #show(model: string, digest: string): Promise<void> {
    try {
      const { capabilities } = await this.#client.show({ model })
      this.#said.set(digest, capabilities ?? [])
    } catch {
      this.#said.delete(digest) // asked again with the next list
    }
  }
}
