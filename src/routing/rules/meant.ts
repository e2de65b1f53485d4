import type { Substitute } from '../../core/observer.ts'
import type { Placement } from './placement.ts'

/** What the operator's words made of a request, as it carries it. */
export interface OperatorWords {
  /** Another model answers than the one that was named; undefined: that one does. */
  readonly substitute: Substitute | undefined
  /** What rules say of it; undefined: nothing. */
  readonly rules: Placement | undefined
  /** The rule that had another model answer, in words; undefined: none did. */
  readonly modelRule: string | undefined
}

/** The same for those who ask why. */
export interface Meant {
  readonly substitute: Substitute | null
  /** With their numbers in the file: `rule 2: only den`. */
  readonly rules: readonly string[]
}

export function meantIn({ substitute, rules, modelRule }: OperatorWords): Meant {
  const said = rules?.said ?? []
  return {
    substitute: substitute ?? null,
    rules: modelRule === undefined ? said : [modelRule, ...said],
  }
}
