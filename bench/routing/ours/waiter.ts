import { type PrefixParts, spread } from '../../../src/core/prefix.ts'
import { Prompt } from '../../../src/routing/affinity/prompt.ts'
import type { RequestSize } from '../../../src/routing/costs/sample.ts'
import type { Priority } from '../../../src/routing/line.ts'
import { type Need, needKey } from '../../../src/routing/need.ts'
import type { Waiting } from '../../../src/routing/plan.ts'
import type { Work } from '../../../src/routing/work.ts'
import type { Request } from '../engine/specs.ts'

/** A request that waits at the proxy. */
export interface Waiter extends Waiting {
  readonly tenant: string
  readonly model: string
  readonly priority: Priority
  readonly request: Request
  readonly size: RequestSize
  /** Tokens that its client has from servers that broke off. */
  readonly serviceS: number
  readonly said: number
  readonly hasBegun: boolean
  readonly tries: number
}

/** English prose, nearly. */
const bytesPerToken = 4

const nobody: ReadonlySet<string> = new Set()

export function waiterOf(
  request: Request,
  model: string,
  nowMs: number,
  workOf: (size: RequestSize) => Work,
  before: { said: number; tries: number; not: ReadonlySet<string>; hasBegun?: boolean } = {
    ...{ said: 0, tries: 0, not: nobody },
  },
): Waiter {
  const need: Need = {
    ...{ model, runner: '', cloud: false, capabilities: [], labels: [], promptTokens: 0 },
    ...{ digest: undefined, seat: true, work: 'chat', pinned: undefined, not: before.not },
    prompt: new Prompt(partsOf(request), { model, runner: '', session: undefined }),
  }
  const size: RequestSize = {
    ...{ model, op: request.outputTokens === 0 ? 'embed' : 'chat', tenant: request.tenant },
    ...{ textBytes: bytesPerToken * (request.promptTokens + before.said), outTokensMax: undefined },
  }
  const work = workOf(size)
  return {
    ...{ request, need, key: needKey(need), size, work, serviceS: work.serviceS },
    priority: request.band,
    ...{ sinceMs: nowMs, deadlineMs: undefined, promised: undefined },
    ...{ tenant: request.tenant, model, said: before.said, tries: before.tries },
    hasBegun: before.hasBegun ?? false,
  }
}

/** Its blocks as the boundaries that the scanner would find in its messages. */
function partsOf({ chain, chainTokens }: Request): PrefixParts {
  const text = {
    highs: chain.map(spread),
    lows: chain.map((block) => spread(block ^ 0x9e3779b9)),
    bytesAt: chainTokens.map((tokens) => bytesPerToken * tokens),
  }
  return { tools: undefined, system: undefined, context: undefined, text }
}
