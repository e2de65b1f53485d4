import { Ring } from '../core/ring.ts'
import type { Barred } from './able.ts'
import { type Explained, explain } from './explain.ts'
import type { WhyGiven } from './give-way.ts'
import { type Meant, meantIn, type OperatorWords } from './rules/meant.ts'
import type { Table } from './table.ts'

/** Decisions that are kept: at 64 places each has 5 KB, so 5 MB at most. */
const decisionsMax = 1_000

/** To which request, and why. */
export interface GaveWay extends WhyGiven {
  readonly to: string
}

/** One decision, from the choice to the end of what it began. */
export interface Decision extends OperatorWords {
  /** Of the request. */
  readonly id: string
  readonly table: Table
  readonly barred: readonly Barred[]
  readonly atWallMs: number
  readonly waitedMs: number
  /** It was under way at this endpoint, whose answer was late; undefined: it was nowhere. */
  readonly beside: string | undefined
  readonly promptTokens: number
  readonly outTokens: number
  /** Seconds on the seat, as expected; undefined where nothing was. */
  readonly expectedS: number | undefined
  tookMs: number | undefined
  /** It was cut for a person's request, which has its seat now; undefined: it kept it. */
  gaveWay: GaveWay | undefined
}

export interface ExplainedDecision extends Explained, Meant {
  readonly id: string
  readonly waited_ms: number
  /** The backend that had it already, and was late with its answer; null: none had. */
  readonly beside: string | null
  readonly expected: {
    readonly prompt_tokens: number
    readonly answer_tokens: number
    readonly seconds: number | null
  }
  /** On the seat; null: it still runs. */
  readonly took_s: number | null
  /** Which request has its seat, until it goes on later, and the seconds that spoke for that; null: it kept it. */
  readonly gave_way: {
    readonly to: string
    readonly saved_s: number
    readonly reread_s: number
  } | null
}

/** The last decisions, for those who ask why. */
export class Decisions {
  readonly #ring = new Ring<Decision>(decisionsMax)

  add(decision: Decision): Decision {
    this.#ring.add(decision)
    return decision
  }

  /** Of one request, first one first: an attempt that failed is followed by another decision. */
  of(id: string): ExplainedDecision[] {
    return this.#ring
      .filter((each) => each.id === id)
      .sort((one, other) => one.atWallMs - other.atWallMs)
      .map(explained)
  }
}

function explained(decision: Decision): ExplainedDecision {
  const { id, waitedMs, beside, promptTokens, outTokens, expectedS, tookMs, gaveWay } = decision
  return {
    id,
    ...explain(decision.table, decision.barred, decision.atWallMs),
    ...meantIn(decision),
    waited_ms: Math.round(waitedMs),
    beside: beside ?? null,
    expected: {
      prompt_tokens: Math.round(promptTokens),
      answer_tokens: Math.round(outTokens),
      seconds: expectedS === undefined ? null : rounded(expectedS),
    },
    took_s: tookMs === undefined ? null : Math.round(tookMs) / 1_000,
    gave_way: gaveWay
      ? { to: gaveWay.to, saved_s: rounded(gaveWay.savedS), reread_s: rounded(gaveWay.rereadS) }
      : null,
  }
}

const rounded = (seconds: number) => Math.round(seconds * 1_000) / 1_000
