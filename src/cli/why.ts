import type { WouldDo } from '../proxy/why.ts'
import type { ExplainedDecision } from '../routing/decisions.ts'
import { exit } from './exit-codes.ts'
import { callProxy } from './remote.ts'
import { data } from './talk.ts'
import { decisionLines, reasonOf, seconds, tableLines } from './why-words.ts'

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
    const { decisions } = called.body as { decisions: readonly ExplainedDecision[] }
    for (const decision of decisions) for (const line of decisionLines(decision)) data(line)
  }
  return exit.done
}

/** `chasqui route explain MODEL`: where a request would go now. Exit code 1: nowhere. */
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
  if (would.would === 'refuse')
    return [
      would.barred.length === 0
        ? `${would.model} would wait: no seat is free`
        : `${would.model} could be served by nobody`,
      ...tableLines({ ...noTable, ...would }),
    ]
  const head =
    would.would === 'start'
      ? `${would.model} would go to ${would.backend}: ${reasonOf(would)}`
      : `${would.model} would wait for ${would.backend}, whose seat is expected to be free in ${seconds(would.in_s)}`
  return [head, ...tableLines(would)]
}

const noTable = {
  picker: '',
  reason: '',
  backend: '',
  as_try: false,
  candidates: [],
  more_candidates: 0,
}
