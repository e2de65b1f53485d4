import type { ExplainedRequest, WouldDo } from '../proxy/why.ts'
import { exit } from './exit-codes.ts'
import { callProxy } from './remote.ts'
import { data } from './talk.ts'
import {
  decisionLines,
  meantLines,
  reasonOf,
  refusalLines,
  seatWords,
  tableLines,
  waiterLines,
} from './why-words.ts'

/** `chasqui why ID`: why a request went where it went. */
export async function why(
  id: string,
  url: string,
  asJson: boolean,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const path = `/api/distributed/decisions/${encodeURIComponent(id)}`
  const called = await callProxy(url, path, env)
  if (!called.ok) return called.code
  if (asJson) data(JSON.stringify(called.body))
  else {
    const { decisions, waiting, refusals } = called.body as ExplainedRequest
    for (const decision of decisions) for (const line of decisionLines(decision)) data(line)
    for (const refusal of refusals) for (const line of refusalLines(refusal)) data(line)
    if (waiting) for (const line of waiterLines(waiting)) data(line)
  }
  return exit.done
}

/** `chasqui route explain MODEL`: where a request would go now. Exit code 1: it would be refused. */
export async function routeExplain(
  model: string,
  tokens: number | undefined,
  url: string,
  asJson: boolean,
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const query = new URLSearchParams({
    model,
    ...(tokens === undefined ? {} : { tokens: `${tokens}` }),
  })
  const called = await callProxy(url, `/api/distributed/route?${query}`, env)
  if (!called.ok) return called.code
  const would = called.body as WouldDo
  if (asJson) data(JSON.stringify(would))
  else for (const line of wouldLines(would)) data(line)
  return would.would === 'refuse' ? exit.failed : exit.done
}

function wouldLines(would: WouldDo): string[] {
  return [headOf(would), ...meantLines(would), ...tableLines(would)]
}

function headOf(would: WouldDo): string {
  const { model } = would
  if (would.would === 'start') return `${model} would go to ${would.backend}: ${reasonOf(would)}`
  if (would.would === 'refuse') return `${model} would be refused: ${would.reason}`
  return would.in_s === null
    ? `${model} would wait: ${would.reason}`
    : `${model} would wait for ${seatWords(would.backend, would.in_s)}`
}
