import { canonicalName } from '../../core/model-name.ts'
import type { PlacementSettings } from '../../core/settings.ts'

/** What operators call models besides, and which of them stand in for others; by canonical name. */
export class Names {
  readonly #aliases: ReadonlyMap<string, string>
  readonly #standIns: ReadonlyMap<string, readonly string[]>

  constructor({ aliases, fallbacks }: Pick<PlacementSettings, 'aliases' | 'fallbacks'>) {
    this.#aliases = new Map(
      Object.entries(aliases).map(([alias, model]) => [canonicalName(alias), model]),
    )
    this.#standIns = new Map(
      Object.entries(fallbacks).map(([model, others]) => [canonicalName(model), others]),
    )
  }

  /** The model that an alias means; undefined: it is none. An alias goes before a model of the same name. */
  meantBy(canonical: string): string | undefined {
    return this.#aliases.size === 0 ? undefined : this.#aliases.get(canonical)
  }

  /** The model that a name in the operator's words means, be it an alias or its own. */
  modelOf(text: string): string {
    return this.meantBy(canonicalName(text)) ?? text
  }

  /** Who may stand in for it where nobody can serve it, best first. */
  standInsFor(canonical: string): readonly string[] {
    return this.#standIns.get(canonical) ?? nobody
  }
}

const nobody: readonly string[] = Object.freeze([])
