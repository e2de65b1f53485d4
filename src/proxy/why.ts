import type { Clock } from '../core/clock.ts'
import type { FailureCode } from '../core/failure.ts'
import type { Pool } from '../pool/pool.ts'
import type { ExplainedDecision } from '../routing/decisions.ts'
import type { Dispatcher, Would } from '../routing/dispatcher.ts'
import { type Explained, explain } from '../routing/explain.ts'
import type { Hindered, Hindrance } from '../routing/hindered.ts'
import { type Meant, meantIn } from '../routing/rules/meant.ts'
import type { Exchange } from './exchange.ts'
import { type Imagined, imaginedExchange, writePrompt } from './imagined.ts'
import type { Placing } from './placing.ts'
import { sayNobody } from './refusals.ts'
import type { ExplainedRefusal, Refused } from './refused.ts'
import { mayStandIn } from './seeking.ts'
import type { ShownWaiter, WaitingNow } from './waiting-now.ts'

/** What would be done with a request now. */
export type WouldDo = Meant &
  (
    | ({ readonly would: 'start' } & Explained)
    /** For the seat of this backend that is expected to come free so soon. */
    | ({ readonly would: 'wait'; readonly in_s: number } & Explained)
    /** Until what stands in its way is gone; no seat is promised to it. */
    | {
        readonly would: 'wait'
        readonly in_s: null
        readonly model: string
        readonly reason: string
        readonly hindered: readonly Hindered[]
        readonly barred: Explained['barred']
      }
    /** In the words that requests get. */
    | {
        readonly would: 'refuse'
        readonly model: string
        readonly code: FailureCode
        readonly reason: string
        readonly barred: Explained['barred']
      }
  )

/** One who waits. */
export interface ExplainedWaiter extends ShownWaiter {
  /** What would be done with it if nobody stood before it. */
  readonly now: WouldDo
}

/** All that is known of one request. */
export interface ExplainedRequest {
  readonly decisions: readonly ExplainedDecision[]
  /** Null: it stands in no line. */
  readonly waiting: ExplainedWaiter | null
  readonly refusals: readonly ExplainedRefusal[]
}

export interface WhyDoors {
  readonly dispatcher: Dispatcher
  readonly pool: Pool
  readonly line: WaitingNow
  readonly placing: Placing
  readonly refused: Refused
  readonly clock: Clock
}

/** Answers to those who ask why: about what was decided, what is waited for, and what would be. */
export class Why {
  readonly #doors: WhyDoors

  constructor(doors: WhyDoors) {
    this.#doors = doors
  }

  /** Undefined: nothing is known of it, or not any more. */
  request(id: string): ExplainedRequest | undefined {
    const { dispatcher, refused } = this.#doors
    const decisions = dispatcher.decisions.of(id)
    const waiting = this.#waiter(id)
    const refusals = refused.of(id)
    if (decisions.length + refusals.length === 0 && !waiting) return undefined
    return { decisions, waiting: waiting ?? null, refusals }
  }

  /** Those who wait, in the order in which seats are offered; at most `most`. */
  waiting(most: number) {
    return this.#doors.line.waiting(most)
  }

  wouldDo(imagined: Imagined): WouldDo {
    const asked = this.#decided(imagined, 'chat')
    // Nobody would ask it for an answer.
    const { exchange, would } = this.#onlyEmbeds(asked.exchange)
      ? this.#decided(imagined, 'embed')
      : asked
    return this.#said(exchange, would)
  }

  /** Placed, and placed again where another model stands in, as it is done with those that come. */
  #decided(imagined: Imagined, op: 'chat' | 'embed'): { exchange: Exchange; would: Would } {
    const { dispatcher, pool, placing, line, clock } = this.#doors
    const { costs } = dispatcher
    const nowMs = clock.now()
    const exchange = imaginedExchange(imagined, op, nowMs)
    const { promptTokens } = imagined
    writePrompt(exchange, promptTokens, costs.bytesPerToken(imagined.name.canonical))
    placing.place(exchange)
    for (;;) {
      const model = exchange.asked.ask.name.canonical
      const bytesPerToken = costs.bytesPerToken(model)
      writePrompt(exchange, promptTokens, bytesPerToken)
      const need = exchange.need(pool.servingDigest(model), bytesPerToken)
      const { priority } = exchange.asked
      const waiting = dispatcher.imagined(need, exchange.size, priority, nowMs)
      const would = dispatcher.wouldDo(waiting, line, nowMs)
      if (would.kind !== 'nobody' || !mayStandIn(would.bars) || !placing.standIn(exchange))
        return { exchange, would }
    }
  }

  #waiter(id: string): ExplainedWaiter | undefined {
    const { dispatcher, line, clock } = this.#doors
    const found = line.find(id)
    if (!found) return undefined
    const { shown, exchange, waiting } = found
    const would = dispatcher.wouldDo(waiting, line, clock.now())
    return { ...shown, now: this.#said(exchange, would) }
  }

  #said(exchange: Exchange, would: Would): WouldDo {
    const { pool, clock } = this.#doors
    const meant = meantIn(exchange)
    const { ask } = exchange.asked
    const model = ask.name.canonical
    if (would.kind === 'nobody') {
      const { code, message } = sayNobody(ask, would.bars, { pool })
      const barred = [...would.bars].map(([backend, reason]) => ({ backend, reason }))
      return { would: 'refuse', model, code, reason: message, ...meant, barred }
    }
    if (would.kind === 'putOff') {
      const { hindered } = would
      const barred = would.barred.map(({ endpoint, bar }) => ({ backend: endpoint, reason: bar }))
      const reason = hindranceOf(hindered)
      return { would: 'wait', in_s: null, model, reason, ...meant, hindered, barred }
    }
    const explained = explain(would.table, would.barred, clock.wall())
    if (would.kind === 'start') return { would: 'start', ...meant, ...explained }
    const inS = Math.round(would.inS * 1_000) / 1_000
    return { would: 'wait', in_s: inS, ...meant, ...explained }
  }

  #onlyEmbeds({ asked }: Exchange): boolean {
    const { canonical } = asked.ask.name
    return this.#doors.pool.endpoints.some((endpoint) => endpoint.model(canonical)?.embeddingOnly)
  }
}

const hindranceWords: Readonly<Record<Hindrance, string>> = {
  busy: 'no seat is free',
  noLoad: 'its load is put off',
  kept: 'free seats are kept for those who wait for an answer',
  held: 'who came back a moment ago has enough for now',
}

/** Each kind of them once. */
function hindranceOf(hindered: readonly Hindered[]): string {
  const kinds = new Set(hindered.map(({ reason }) => reason))
  return [...kinds].map((kind) => hindranceWords[kind]).join('; ')
}
