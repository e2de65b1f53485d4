import type { ExplainedDecision } from '../routing/decisions.ts'
import type { Explained, ExplainedPlace } from '../routing/explain.ts'

/** Reasons for which a backend was no candidate, in words. */
const barWords: Readonly<Record<string, string>> = {
  tried: 'it has failed this request already',
  notPinned: 'the request is bound to another one',
  draining: 'it is drained',
  away: 'it does not answer',
  resting: 'it rests after failures',
  noModel: 'it has no such model',
  otherWeights: 'it has other weights under this name',
  noCapability: 'the model can not do what is asked',
  noLabel: 'it has not the label',
  ruledOut: 'the rules keep this request from it',
  notItsModel: 'it may not serve this model',
  smallContext: 'the prompt does not fit its context',
}

/** One decision for people: what was decided, then what each backend would have cost, in seconds. */
export function decisionLines(decision: ExplainedDecision): string[] {
  const { backend, at, waited_ms, took_s, expected } = decision
  const waited = waited_ms > 0 ? `, after waiting ${seconds(waited_ms / 1_000)}` : ''
  const foreseen = expected.seconds === null ? '' : `, expected ${seconds(expected.seconds)}`
  const took = took_s === null ? 'it still runs' : `it took ${seconds(took_s)}`
  return [
    `${decision.model} went to ${backend} at ${at}${waited}: ${reasonOf(decision)}`,
    `  ${expected.prompt_tokens} tokens to read and ${expected.answer_tokens} to write, as expected; ${took}${foreseen}`,
    ...tableLines(decision),
  ]
}

export function reasonOf({ reason, as_try }: Explained): string {
  return as_try ? `${reason}; a seat beyond those that are known was tried` : reason
}

/** The candidates, cheapest first, then who was none. */
export function tableLines({
  candidates,
  more_candidates,
  barred,
}: Omit<Explained, 'at'>): string[] {
  const width = Math.max(
    0,
    ...candidates.map(({ backend }) => backend.length),
    ...barred.map(({ backend }) => backend.length),
  )
  const lines = candidates.map((each) => {
    const mark = each.chosen ? '*' : ' '
    return `  ${mark} ${each.backend.padEnd(width)}  ${costWords(each)}`.trimEnd()
  })
  if (more_candidates > 0) lines.push(`    and ${more_candidates} more`)
  for (const { backend, reason } of barred)
    lines.push(`  - ${backend.padEnd(width)}  ${barWords[reason] ?? reason}`)
  return lines
}

function costWords({ cost_s, terms_s }: ExplainedPlace): string {
  if (cost_s === null) return ''
  const terms = Object.entries(terms_s).map(([term, value]) => `${term} ${seconds(value)}`)
  return `${seconds(cost_s).padStart(8)}  ${terms.join(' + ')}`.trimEnd()
}

export function seconds(value: number): string {
  return `${value.toFixed(Math.abs(value) < 10 ? 2 : 1)} s`
}
