import type { Substitute } from '../core/observer.ts'
import type { ExplainedRefusal } from '../proxy/refused.ts'
import type { ExplainedWaiter, WouldDo } from '../proxy/why.ts'
import type { ExplainedDecision } from '../routing/decisions.ts'
import type { Explained, ExplainedPlace } from '../routing/explain.ts'
import type { Hindered, Hindrance } from '../routing/hindered.ts'
import type { Meant } from '../routing/rules/meant.ts'

/** Reasons for which a backend was no candidate, in words. */
const barWords: Readonly<Record<string, string>> = {
  tried: 'it has failed this request already',
  underWay: 'it has this request already, and was late with its answer',
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
  loadsHang: 'the model is not in memory there, and loads hang',
}

/** What stands in the way where a request could be served, in words. */
const hindranceWords: Readonly<Record<Hindrance, string>> = {
  busy: 'no seat is free',
  noLoad: 'the model is not in memory there, and its load is put off',
  kept: 'its free seats are kept for those who wait for an answer',
  held: 'it came back a moment ago, and has enough for now',
}

/** One decision for people: what was decided, then what each backend would have cost, in seconds. */
export function decisionLines(decision: ExplainedDecision): string[] {
  const { model, backend, beside, at, waited_ms, took_s, expected, gave_way } = decision
  const waited = waited_ms > 0 ? `, after waiting ${seconds(waited_ms / 1_000)}` : ''
  const foreseen = expected.seconds === null ? '' : `, expected ${seconds(expected.seconds)}`
  const besides = beside === null ? '' : `as well, since ${beside} was late, `
  const took = took_s === null ? 'it still runs' : `it took ${seconds(took_s)}`
  const gave = gave_way
    ? [
        `  it gave its seat to ${gave_way.to}, which waited ${seconds(gave_way.saved_s)} less for ${seconds(gave_way.reread_s)} of reading again, and went on later`,
      ]
    : []
  return [
    `${model} went to ${backend} ${besides}at ${at}${waited}: ${reasonOf(decision)}`,
    ...meantLines(decision),
    `  ${expected.prompt_tokens} tokens to read and ${expected.answer_tokens} to write, as expected; ${took}${foreseen}`,
    ...gave,
    ...tableLines(decision),
  ]
}

/** One refusal for people: what was said, then why each backend could not serve it. */
export function refusalLines(refusal: ExplainedRefusal): string[] {
  const { model, at, waited_ms, reason, code, barred } = refusal
  const waited = waited_ms > 0 ? `, after waiting ${seconds(waited_ms / 1_000)}` : ''
  return [
    `${model} was refused at ${at}${waited}: ${reason} (${code})`,
    ...meantLines(refusal),
    ...tableLines({ barred }),
  ]
}

/** One who waits for people: its place in line and what it waits for. */
export function waiterLines({
  model,
  band,
  position,
  waited_ms,
  promised,
  now,
}: ExplainedWaiter): string[] {
  const place = `in place ${position} of the line (${band}), for ${seconds(waited_ms / 1_000)} so far`
  return [
    `${model} waits ${place}: ${waitWords(now, position, promised)}`,
    ...meantLines(now),
    ...tableLines(now),
  ]
}

function waitWords(now: WouldDo, position: number, promised: string | null): string {
  if (promised !== null) return `a seat of ${promised} is promised to it`
  const behind = position > 1 ? ', behind those before it' : ''
  if (now.would === 'start') return `for its turn${behind}`
  if (now.would === 'refuse' || now.in_s === null) return `${now.reason}${behind}`
  return `for ${seatWords(now.backend, now.in_s)}${behind}`
}

export function seatWords(backend: string, inS: number): string {
  return `${backend}, whose seat is expected to be free in ${seconds(inS)}`
}

/** What aliases, fallbacks and rules made of it. */
export function meantLines({
  model,
  substitute,
  rules,
}: Meant & { readonly model: string }): string[] {
  const lines = substitute ? [`  ${substituteWords(substitute, model)}`] : []
  return rules.length === 0 ? lines : [...lines, `  by ${rules.join(', ')}`]
}

function substituteWords({ asked, why }: Substitute, model: string): string {
  if (why === 'alias') return `${asked} stands for ${model}`
  if (why === 'rule') return `${model} answers for ${asked}`
  return `nobody can serve ${asked}, ${model} stands in`
}

export function reasonOf({ reason, as_try }: Explained): string {
  return as_try ? `${reason}; a seat beyond those that are known was tried` : reason
}

/** The candidates, the chosen one and then by cost, then what stands in the way elsewhere, then who was none. */
export function tableLines({
  candidates = [],
  more_candidates = 0,
  hindered = [],
  barred,
}: Pick<Explained, 'barred'> &
  Partial<Pick<Explained, 'candidates' | 'more_candidates'>> & {
    readonly hindered?: readonly Hindered[]
  }): string[] {
  const width = Math.max(
    0,
    ...[...candidates, ...hindered, ...barred].map(({ backend }) => backend.length),
  )
  const lines = candidates.map((each) => {
    const mark = each.chosen ? '*' : ' '
    return `  ${mark} ${each.backend.padEnd(width)}  ${costWords(each)}`.trimEnd()
  })
  if (more_candidates > 0) lines.push(`    and ${more_candidates} more`)
  for (const { backend, reason } of hindered)
    lines.push(`    ${backend.padEnd(width)}  ${hindranceWords[reason]}`)
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
