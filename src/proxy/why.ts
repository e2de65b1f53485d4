import type { Clock } from '../core/clock.ts'
import type { Pool } from '../pool/pool.ts'
import type { ExplainedDecision } from '../routing/decisions.ts'
import type { Dispatcher } from '../routing/dispatcher.ts'
import { type Explained, explain } from '../routing/explain.ts'
import type { Need } from '../routing/need.ts'
import type { WaitingNow } from './waiting-now.ts'

/** What would be done with a request now. */
export type WouldDo =
  | ({ readonly would: 'start' } & Explained)
  /** For the seat of this backend that is expected to come free so soon. */
  | ({ readonly would: 'wait'; readonly in_s: number } & Explained)
  | {
      readonly would: 'refuse'
      readonly model: string
      readonly barred: readonly { readonly backend: string; readonly reason: string }[]
    }

/** What is asked about a request that is only imagined. */
export interface Imagined {
  /** Canonical name. */
  readonly model: string
  readonly cloud: boolean
  readonly promptTokens: number
}

/** Answers to those who ask why: about what was decided, what is waited for, and what would be. */
export class Why {
  readonly #dispatcher: Dispatcher
  readonly #pool: Pool
  readonly #clock: Clock
  readonly #line: WaitingNow

  constructor(dispatcher: Dispatcher, pool: Pool, line: WaitingNow, clock: Clock) {
    this.#dispatcher = dispatcher
    this.#pool = pool
    this.#line = line
    this.#clock = clock
  }

  /** The decisions about one request, first one first; none when it is too long ago. */
  decisionsOf(id: string): ExplainedDecision[] {
    return this.#dispatcher.decisions.of(id)
  }

  /** Those who wait, in the order in which seats are offered; at most `most`. */
  waiting(most: number) {
    return this.#line.waiting(most)
  }

  wouldDo({ model, cloud, promptTokens }: Imagined): WouldDo {
    const dispatcher = this.#dispatcher
    const op = this.#onlyEmbeds(model) ? 'embed' : 'chat'
    const need: Need = {
      ...{ model, cloud, promptTokens, capabilities: [], labels: [], work: op, runner: '' },
      ...{ digest: this.#pool.servingDigest(model), seat: !cloud, pinned: undefined },
      not: new Set(),
    }
    const textBytes = promptTokens * dispatcher.costs.bytesPerToken(model)
    const size = { model, op, tenant: '', textBytes, outTokensMax: undefined }
    const action = dispatcher.wouldDo(need, size, this.#line, this.#clock.now())
    const atWallMs = this.#clock.wall()
    if (action?.kind === 'start')
      return { would: 'start', ...explain(action.table, action.barred, atWallMs) }
    if (action?.kind === 'promise' && action.table)
      return {
        would: 'wait',
        in_s: Math.round(action.inS * 1_000) / 1_000,
        ...explain(action.table, action.barred, atWallMs),
      }
    const bars = action?.kind === 'nobody' ? [...action.bars] : []
    return {
      would: 'refuse',
      model,
      barred: bars.map(([backend, reason]) => ({ backend, reason })),
    }
  }

  /** Nobody would ask it for an answer. */
  #onlyEmbeds(model: string): boolean {
    return this.#pool.endpoints.some((endpoint) => endpoint.model(model)?.embeddingOnly)
  }
}
