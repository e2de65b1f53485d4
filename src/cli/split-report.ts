import type { SplitReport } from '../split/order.ts'
import { countOf, oneLine, spanOf, speedupOf } from './split-words.ts'

/** More would scroll away what they belong to; `--json` has them all. */
const failuresShownMax = 20

/** What a person wants to know when a run is over, in a few lines. */
export function linesOfReport(report: SplitReport): string[] {
  const { parts, backends, wall_ms, speedup, retried, hedged } = report
  const served = Object.entries(backends)
    .sort(([, some], [, others]) => others - some)
    .map(([name, count]) => `${oneLine(name)} ${count}`)
  const facts = [`${countOf(parts, 'part')} in ${spanOf(wall_ms)}`]
  if (parts > 1) facts.push(speedupOf(speedup))
  if (retried > 0) facts.push(`${retried} asked again`)
  if (hedged > 0) facts.push(`${hedged} asked twice`)
  const line = `${facts.join(', ')}${served.length === 0 ? '' : `: ${served.join(', ')}`}`
  return [line, ...remarks(report)]
}

/** What is missing from the answer, and why; none when nothing is. */
export function linesOfFailures({ failed }: Pick<SplitReport, 'failed'>): string[] {
  if (failed.length === 0) return []
  const more = failed.length - failuresShownMax
  return [
    `${countOf(failed.length, 'part')} failed and ${failed.length === 1 ? 'is' : 'are'} marked in the answer:`,
    ...failed
      .slice(0, failuresShownMax)
      .map(({ part, label, error }) => `  part ${part} (${oneLine(label)}): ${oneLine(error)}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ]
}

/** What the proxy decided by itself, and why. */
export function remarks({
  left_out = [],
  auto,
  note,
}: Pick<SplitReport, 'left_out' | 'auto' | 'note'>): string[] {
  return [
    ...left_out.map(
      ({ backend, context }) =>
        `${oneLine(backend)} was left out: its context of ${context} tokens is too small`,
    ),
    ...(auto ? [`${auto.split ? 'split' : 'not split'}: ${auto.why}`] : []),
    ...(note === undefined ? [] : [note]),
  ]
}
