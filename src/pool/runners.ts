import { compareRunner, type RunnerKey } from '../core/runner-options.ts'
import type { InMemory } from './in-memory.ts'
import type { OnDisk } from './on-disk.ts'

/** How the models in one backend's memory run: with how much context, and with which options of ours. */
export class Runners {
  readonly #onDisk: Pick<OnDisk, 'get'>
  readonly #inMemory: InMemory
  /** Of our own loads of what is in memory. */
  readonly #loadedWith = new Map<string, RunnerKey>()
  /** In tokens, of models that are on its disk, where its counts told what it does not say. */
  readonly #contextLearned = new Map<string, number>()

  constructor(onDisk: Pick<OnDisk, 'get'>, inMemory: InMemory) {
    this.#onDisk = onDisk
    this.#inMemory = inMemory
  }

  /** Tokens of context, as the server says. */
  contextTold(canonical: string): number | undefined {
    return this.#inMemory.find(canonical)?.contextLoaded
  }

  /** The same, as it says or as was learned; undefined: neither. */
  contextOf(canonical: string): number | undefined {
    return this.contextTold(canonical) ?? this.#contextLearned.get(canonical)
  }

  /** Whether a request with these options takes the loaded runner as it is. */
  compare(
    canonical: string,
    wanted: RunnerKey,
    contextDefault: number | undefined,
  ): 'same' | 'other' | 'unknown' {
    const loadedWith = this.#loadedWith.get(canonical)
    // What `compareRunner` would say as well, without asking for contexts that it would not look at.
    if (loadedWith === wanted) return 'same'
    if (wanted === '' && loadedWith === undefined && contextDefault === undefined) return 'unknown'
    return compareRunner(wanted, {
      loadedWith,
      contextLoaded: this.contextOf(canonical),
      contextTrained: this.#onDisk.get(canonical)?.contextTrained,
      contextDefault,
    })
  }

  learnContext(canonical: string, tokens: number): void {
    if (this.#onDisk.get(canonical)) this.#contextLearned.set(canonical, tokens)
  }

  /** A load of ours has ended well; without a key nobody knows what it asked for. */
  loaded(canonical: string, runner: RunnerKey | undefined): void {
    if (runner !== undefined) this.#loadedWith.set(canonical, runner)
  }

  /** It is in memory no more. */
  left(canonical: string): void {
    this.#loadedWith.delete(canonical)
  }

  /** Of models that are gone from its disk nothing is known. */
  keepOnly(models: ReadonlyMap<string, unknown>): void {
    for (const name of this.#contextLearned.keys())
      if (!models.has(name)) this.#contextLearned.delete(name)
  }

  /** It may have been started anew, with other settings. */
  forget(): void {
    this.#contextLearned.clear()
    this.#loadedWith.clear()
  }
}
