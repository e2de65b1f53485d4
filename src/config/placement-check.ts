import { didYouMean } from '../core/did-you-mean.ts'
import { canonicalName } from '../core/model-name.ts'
import type { Places } from './places.ts'
import type { Problem } from './problem.ts'
import type { CheckedConfig } from './schema.ts'
import type { Path } from './schema-tree.ts'

/** Says that a word is of a label that no backend here needs to have. */
const labelMark = 'label:'

/** Rules that name nobody: a rule that never counts because of one letter would be found out too late. */
export function unknownPlaces(
  { rules }: Pick<CheckedConfig, 'rules'>,
  known: readonly string[],
  places: Places,
): Problem[] {
  return rules.flatMap((rule, index) => {
    const found: Problem[] = []
    const look = (path: Path, word: string, onKey: boolean) => {
      if (word.startsWith(labelMark) || known.includes(word)) return
      const meant = didYouMean(word, known)
      found.push(
        places.problem(path, `names "${word}", which is no backend and no label of one`, {
          hint: meant === undefined ? `there are: ${known.join(', ')}` : `did you mean "${meant}"?`,
          onKey,
        }),
      )
    }
    for (const key of ['only', 'never'] as const)
      for (const [at, word] of (rule[key] ?? []).entries())
        look(['rules', index, key, at], word, false)
    for (const word of Object.keys(rule.prefer ?? {}))
      look(['rules', index, 'prefer', word], word, true)
    return found
  })
}

/** Names that lead nowhere: an alias of an alias, a model that stands in for itself. */
export function circularModels(
  { models }: Pick<CheckedConfig, 'models'>,
  places: Places,
): Problem[] {
  const aliases = new Set(Object.keys(models.aliases).map(canonicalName))
  const ofAliases = Object.entries(models.aliases).flatMap(([alias, model]) =>
    aliases.has(canonicalName(model))
      ? [
          places.problem(['models', 'aliases', alias], 'is the alias of an alias', {
            hint: 'name the model itself',
          }),
        ]
      : [],
  )
  const ofFallbacks = Object.entries(models.fallbacks).flatMap(([model, others]) =>
    others.flatMap((other, index) =>
      canonicalName(other) === canonicalName(model)
        ? [places.problem(['models', 'fallbacks', model, index], 'is the same model')]
        : [],
    ),
  )
  return [...ofAliases, ...ofFallbacks]
}
