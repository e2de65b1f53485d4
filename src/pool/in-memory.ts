import type { ModelInMemory } from './catalogue.ts'
import type { OnDisk } from './on-disk.ts'

/** What a look found to be different. */
export interface Change {
  /** Something was loaded since the look before, perhaps only to leave again. */
  readonly hasCome: boolean
  readonly gone: readonly ModelInMemory[]
}

/**
 * The models in one backend's memory: what it lists, and loads of ours that it does not list yet. What fits there
 * beside one another is for `Memory` to say.
 */
export class InMemory {
  readonly #onDisk: Pick<OnDisk, 'get'>
  /** Made anew with each look: who still reads the one before may go on. */
  #models = new Map<string, ModelInMemory>()
  /** A model loaded under one name serves every other name of the same weights. */
  #digests = new Set<string>()
  /** When a load of ours ended: an answer to an older question does not know of it yet. */
  readonly #loadedAtMs = new Map<string, number>()
  /** Loaded by us, as far as we know, and on none of its lists yet. */
  readonly #unseen = new Set<string>()
  /** Since when each has been seen. */
  readonly #sinceMs = new Map<string, number>()

  constructor(onDisk: Pick<OnDisk, 'get'>) {
    this.#onDisk = onDisk
  }

  get models(): ReadonlyMap<string, ModelInMemory> {
    return this.#models
  }

  /** Under this name, or another one of the same weights. */
  holds(canonical: string): boolean {
    if (this.#models.has(canonical)) return true
    const digest = this.#onDisk.get(canonical)?.digest
    return digest !== undefined && this.#digests.has(digest)
  }

  /** What serves this name. */
  find(canonical: string): ModelInMemory | undefined {
    const direct = this.#models.get(canonical)
    if (direct) return direct
    const digest = this.#onDisk.get(canonical)?.digest
    if (digest === undefined) return undefined
    for (const model of this.#models.values()) if (model.digest === digest) return model
    return undefined
  }

  /** Since when it has been seen, on the clock's `now`. */
  sinceMs(canonical: string): number {
    return this.#sinceMs.get(canonical) ?? Number.NEGATIVE_INFINITY
  }

  /** What the server saw at some moment after `askedMs`. */
  looked(listed: readonly ModelInMemory[], askedMs: number, nowMs: number): Change {
    const before = this.#models
    this.#models = this.#withOwnLoads(before, listed, askedMs)
    this.#digests = new Set([...this.#models.values()].flatMap((model) => model.digest ?? []))
    const came = listed.filter(
      ({ canonical }) => this.#unseen.delete(canonical) || !before.has(canonical),
    )
    for (const { canonical } of came) this.#sinceMs.set(canonical, nowMs)
    const gone = [...before.values()].filter(({ canonical }) => !this.#models.has(canonical))
    // Loaded by us, and pushed out again before it was ever listed.
    const passedBy = gone.some(({ canonical }) => this.#unseen.has(canonical))
    for (const { canonical } of gone) {
      this.#sinceMs.delete(canonical)
      this.#unseen.delete(canonical)
    }
    return { hasCome: came.length > 0 || passedBy, gone }
  }

  /** A load of ours has ended well. */
  loaded(canonical: string, nowMs: number): void {
    if (this.holds(canonical)) return
    this.#sinceMs.set(canonical, nowMs)
    this.#unseen.add(canonical)
    this.#loadedAtMs.set(canonical, nowMs)
    const disk = this.#onDisk.get(canonical)
    this.#models.set(canonical, {
      canonical,
      digest: disk?.digest,
      sizeBytes: disk?.sizeBytes,
      sizeVramBytes: undefined,
      contextLoaded: undefined,
      expiresAt: undefined,
      entry: { ...disk?.entry },
    })
    if (disk?.digest) this.#digests.add(disk.digest)
  }

  /** What is listed, and of our own loads those that the list is too old to know. */
  #withOwnLoads(
    before: ReadonlyMap<string, ModelInMemory>,
    listed: readonly ModelInMemory[],
    askedMs: number,
  ): Map<string, ModelInMemory> {
    const models = new Map(listed.map((model) => [model.canonical, model]))
    for (const [canonical, loadedMs] of this.#loadedAtMs) {
      const own = before.get(canonical)
      if (loadedMs < askedMs || models.has(canonical)) this.#loadedAtMs.delete(canonical)
      else if (own) models.set(canonical, own)
    }
    return models
  }
}
