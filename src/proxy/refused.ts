import type { Failure, FailureCode } from '../core/failure.ts'
import { Ring } from '../core/ring.ts'
import type { Bar } from '../routing/filters.ts'
import { type Meant, meantIn, type OperatorWords } from '../routing/rules/meant.ts'
import type { Exchange } from './exchange.ts'
import { NobodyServes } from './refusals.ts'

/** Refusals that are kept: each has less than 3 KB, so 3 MB at most. */
const refusalsMax = 1_000
/** Backends whose bar is kept; as many as places in the table of a decision. */
const barsMax = 64

interface Refusal extends OperatorWords {
  readonly id: string
  readonly model: string
  readonly atWallMs: number
  readonly waitedMs: number
  readonly code: FailureCode
  readonly sentence: string
  readonly bars: readonly (readonly [string, Bar])[]
}

/** A refusal as the API gives it. */
export interface ExplainedRefusal extends Meant {
  readonly id: string
  readonly model: string
  /** When, as an ISO date. */
  readonly at: string
  readonly code: FailureCode
  readonly reason: string
  readonly waited_ms: number
  /** Why each backend could not serve it, where that was the reason. */
  readonly barred: readonly { readonly backend: string; readonly reason: string }[]
}

/** The last requests that were given no answer, or no further attempt, for those who ask why. */
export class Refused {
  readonly #ring = new Ring<Refusal>(refusalsMax)

  /** What is kept holds nothing of the request's body, nor of its client. */
  note(exchange: Exchange, failure: Failure, atWallMs: number): void {
    const { asked, waitMs, substitute, rules, modelRule } = exchange
    const bars = failure instanceof NobodyServes ? [...failure.bars].slice(0, barsMax) : []
    this.#ring.add({
      ...{ id: asked.id, model: asked.ask.name.canonical, atWallMs, waitedMs: waitMs },
      ...{ code: failure.code, sentence: failure.message, bars },
      ...{ substitute, rules, modelRule },
    })
  }

  /** Of one request, first one first: a client that tries again may well use its name again. */
  of(id: string): ExplainedRefusal[] {
    return this.#ring
      .filter((each) => each.id === id)
      .sort((one, other) => one.atWallMs - other.atWallMs)
      .map(explained)
  }
}

function explained(refusal: Refusal): ExplainedRefusal {
  const { id, model, atWallMs, waitedMs, code, sentence, bars } = refusal
  return {
    ...{ id, model, at: new Date(atWallMs).toISOString(), code, reason: sentence },
    waited_ms: Math.round(waitedMs),
    ...meantIn(refusal),
    barred: bars.map(([backend, reason]) => ({ backend, reason })),
  }
}
