import type { Figures } from '../../../src/core/observer.ts'
import type { Seat } from '../../../src/pool/seats.ts'
import type { Affinity, Sending } from '../../../src/routing/affinity/affinity.ts'
import { decodeSAt, prefillSAt } from '../../../src/routing/costs/rates.ts'
import type { Dispatcher } from '../../../src/routing/dispatcher.ts'
import type { Action } from '../../../src/routing/plan.ts'
import type { Progress, Run } from '../../../src/routing/running.ts'
import type { Visit } from '../engine/visit.ts'
import type { Switch } from '../engine/world.ts'
import type { VirtualEndpoint } from './endpoint.ts'
import type { Waiter } from './waiter.ts'

export type Start = Action<Waiter> & { readonly kind: 'start' }

/** A request of ours at a backend: its seat, its run, and what it will have taught. */
export class Stay implements Progress {
  readonly waiter: Waiter
  readonly endpoint: VirtualEndpoint
  /** Undefined while its model is being loaded. */
  visit: Visit | undefined
  readonly run: Run
  /** What it was expected to take; 0: a load was in it. */
  readonly predictedS: number
  readonly #seat: Seat | undefined
  #sending: Sending | undefined

  constructor(
    action: Start,
    endpoint: VirtualEndpoint,
    view: Switch,
    dispatcher: Dispatcher,
    affinity?: Affinity,
  ) {
    const { waiting, asTry } = action
    this.waiter = waiting
    this.endpoint = endpoint
    this.#seat = endpoint.model(waiting.need.model)!.seats.take(view.nowMs, asTry)
    endpoint.entered()
    const { model, prompt } = waiting.need
    this.#sending = prompt && affinity?.sent(endpoint.name, model, prompt, view.nowMs)
    this.run = dispatcher.began(action, waiting.size, this, view.nowMs)
    const { rates, work, cachedTokens } = this.run
    const streams = dispatcher.running.of(endpoint.name).length
    this.predictedS = action.place.warm
      ? (work.promptTokens - cachedTokens) * prefillSAt(rates, streams) +
        work.outTokens * decodeSAt(rates, streams)
      : 0
  }

  send(view: Switch): Visit {
    this.visit = view.send(this.waiter.request, this.endpoint.machine.index, this.waiter.said)
    return this.visit
  }

  get firstTokenAtMs(): number | undefined {
    const firstMs = this.visit?.firstMs ?? Number.NaN
    return Number.isNaN(firstMs) ? undefined : firstMs
  }
  get pieces(): number {
    this.endpoint.machine.look()
    return this.visit?.said ?? 0
  }

  /** Its prompt is in memory there now. Ollama's figures come later; nothing is decided by them in between. */
  read(affinity: Affinity | undefined, nowMs: number): void {
    const sending = this.#sending
    if (!affinity || !sending || !this.visit) return
    this.#sending = undefined
    const { promptTokens, outputTokens, firstMs, seatedMs } = this.visit
    const promptNs = (firstMs - seatedMs) * 1e6
    affinity.read(sending, { promptTokens, promptNs, outputTokens }, nowMs)
  }

  /** Gives its seat back, and teaches what there is to learn. */
  end(dispatcher: Dispatcher, view: Switch, isWhole: boolean): void {
    const figures = isWhole && this.visit ? figuresOf(this.visit) : undefined
    this.#giveBack(view, figures)
    this.endpoint.left(isWhole ? 'good' : 'bad', view.dice)
    dispatcher.ended(this.run, view.nowMs, { figures, whole: isWhole })
  }

  /** Gives its seat to somebody else: that is nobody's failure. */
  giveWay(dispatcher: Dispatcher, view: Switch): void {
    this.#giveBack(view, undefined)
    this.endpoint.left('good', view.dice)
    dispatcher.ended(this.run, view.nowMs, { figures: undefined, whole: false })
  }

  /** Gives its seat back and teaches nothing. */
  forgotten(dispatcher: Dispatcher, view: Switch): void {
    this.#giveBack(view, this.visit && figuresOf(this.visit))
    this.endpoint.left('good', view.dice)
    dispatcher.running.end(this.run, view.nowMs, { figures: undefined, whole: false })
  }

  #giveBack(view: Switch, figures: Figures | undefined): void {
    const first = this.firstTokenAtMs
    const firstByteMs = first === undefined || !this.visit ? undefined : first - this.visit.sentMs
    this.#seat?.giveBack(view.nowMs, figures && { figures, firstByteMs })
  }
}

function figuresOf(visit: Visit): Figures {
  const report = visit.report()
  return {
    totalNs: report.totalMs * 1e6,
    loadNs: report.loadMs * 1e6,
    promptTokens: report.promptTokens,
    promptNs: report.promptMs * 1e6,
    outputTokens: report.outputTokens,
    outputNs: report.outputMs * 1e6,
  }
}
