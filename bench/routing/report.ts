import { figure, table } from '../lib/table.ts'
import { catalogue } from './policies/catalogue.ts'
import type { Results } from './results.ts'
import type { Column, Scenario } from './scenarios/stage.ts'

/** One table for each variant: medians over the seeds, the decisive figure with its interval. */
export function variantTable(scenario: Scenario, variant: string, results: Results): string {
  const [decisive, ...others] = scenario.columns
  const rows = results.policies(variant).map((policy) => {
    const { median, low, high } = results.interval(variant, policy, decisive!.figure)
    return [
      catalogue[policy]!.title,
      shown(median, decisive!),
      `${shown(low, decisive!)}–${shown(high, decisive!)}`,
      ...others.map((column) =>
        shown(results.interval(variant, policy, column.figure).median, column),
      ),
    ]
  })
  const head = [
    `${scenario.word} ${variant}`,
    decisive!.title,
    '95 %',
    ...others.map(({ title }) => title),
  ]
  return table(head, rows)
}

function shown(value: number, { digits, percent }: Column): string {
  return figure(percent ? 100 * value : value, digits)
}

/** What of the way from the best peer to what a scheduler reaches that knows everything. */
export function gapLine(scenario: Scenario, variant: string, results: Results): string[] {
  const { figure: decisive, title, better = 'lower' } = scenario.columns[0]!
  const gap = results.gapClosed(variant, decisive, better)
  if (!gap || !Number.isFinite(gap.median)) return []
  const peer = results.best(variant, decisive, 'peer', better)!
  return [
    `${scenario.word} ${variant}, ${title}: ${figure(100 * gap.median)} % (${figure(100 * gap.low)} to ${figure(100 * gap.high)}) ` +
      `of the way from ${catalogue[peer]!.title} to the clairvoyant`,
  ]
}

/** Terms whose absence does not move the decisive figures of their scenario by more than the interval. */
export function ablationLines(scenario: Scenario, variant: string, results: Results): string[] {
  const figures = scenario.columns.slice(0, 3)
  return results
    .policies(variant)
    .filter((policy) => policy !== 'ours' && catalogue[policy]!.kind === 'ours')
    .map((policy) => {
      const parts = figures.flatMap(({ figure: name, title, better }) => {
        const { median, low, high } = results.ratio(variant, name, policy, 'ours')
        // Where there are no conversations nothing is cached.
        if (Number.isNaN(median)) return []
        const [more, less] =
          better === 'higher'
            ? ['better or more', 'worse or less']
            : ['worse or more', 'better or less']
        const moves = low > 1 ? more : high < 1 ? less : 'no move'
        return `${title} x${figure(median, 2)} (${figure(low, 2)}–${figure(high, 2)}) ${moves}`
      })
      return `${scenario.word} ${variant}, ${catalogue[policy]!.title}: ${parts.join('; ')}`
    })
}
