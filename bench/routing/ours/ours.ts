import { Affinity } from '../../../src/routing/affinity/affinity.ts'
import { Answers } from '../../../src/routing/costs/answers.ts'
import { Costs } from '../../../src/routing/costs/costs.ts'
import { Dispatcher } from '../../../src/routing/dispatcher.ts'
import type { Tastes } from '../../../src/routing/field.ts'
import { Line } from '../../../src/routing/line.ts'
import { usualPrices } from '../../../src/routing/prices.ts'
import type { Request } from '../engine/specs.ts'
import type { Visit } from '../engine/visit.ts'
import type { Fault, Policy, PolicyMaker, Switch } from '../engine/world.ts'
import type { Stage } from '../scenarios/stage.ts'
import { VirtualEndpoint } from './endpoint.ts'
import { VirtualKeeper } from './keeper.ts'
import type { Manner } from './manners.ts'
import { type Start, Stay } from './stay.ts'
import { usual } from './usual.ts'
import { type Waiter, waiterOf } from './waiter.ts'

const { waitingMax, waitMsMax } = usual.queue
/** As `proxy/queue` has it where nothing is said of tenants. */
const waitingMaxOfTenant = 0.8 * waitingMax
/** The queue's tick. */
const tickMs = 250
/** The prober's. */
const beatMs = usual.probes.intervalMs
/** A silent server's answers go on elsewhere after this. */
const silenceMs = 30_000
/** Tries of one request after which its client hears the error. */
const triesMax = 1 + usual.retries.furtherAttemptsMax

/** The real modules of src/routing in front of virtual machines. */
export function oursIn(stage: Stage, manner: Manner): PolicyMaker {
  return (view) => new Ours(view, stage, manner)
}

class Ours implements Policy {
  readonly decisionsNs: number[] = []
  readonly #view: Switch
  readonly #manner: Manner
  readonly #endpoints: VirtualEndpoint[]
  readonly #dispatcher: Dispatcher
  readonly #keeper: VirtualKeeper
  readonly #affinity: Affinity | undefined
  readonly #line: Line<Waiter>
  readonly #stays = new Map<Visit, Stay>()
  /** Those whose model is being loaded. */
  readonly #loading = new Set<Stay>()
  readonly #errors: number[] = []
  #foreseenTokens = 0
  #cachedTokens = 0
  readonly #learnUntil: number

  constructor(view: Switch, stage: Stage, manner: Manner) {
    this.#view = view
    this.#manner = manner
    this.#endpoints = view.machines.map(
      (machine) => new VirtualEndpoint(machine, view, this.#slotsOf(machine.spec.slots)),
    )
    this.#learnUntil = manner.learningFrozen ? 0.1 * stage.trace.length : Number.POSITIVE_INFINITY
    const affinity = manner.affinity ? new Affinity(() => this.#endpoints) : undefined
    this.#affinity = affinity
    const keepsCaches = affinity !== undefined && manner.cachesKept
    this.#keeper = new VirtualKeeper(
      { ...usual.residency, ...manner.residency },
      {
        ...{ view, endpoints: this.#endpoints, dispatcher: () => this.#dispatcher },
        waiters: () => this.#waiters(),
        changed: () => this.#offer(),
        prefixS: keepsCaches
          ? (host, model) => affinity.prefixS(host, model, view.nowMs)
          : undefined,
      },
    )
    const keeping = this.#keeper.residency
    const tastes: Tastes = affinity
      ? {
          keeping,
          cachedTokens: ({ name }, { prompt }, nowMs) =>
            prompt ? affinity.cachedTokens(name, prompt, nowMs) : 0,
        }
      : { keeping }
    this.#dispatcher = new Dispatcher(
      {
        ...{ endpoints: () => this.#endpoints, tastes },
        prices: { ...usualPrices, ...manner.prices },
        costs: new Costs(new Answers({ bySize: manner.answersBySize })),
      },
      { picker: manner.picker, preferences: {}, loadRescue: false },
    )
    const { shares } = this.#dispatcher
    this.#line = new Line(manner.acrossTenants, { shares, shortFirst: manner.shortFirst })
    view.after(beatMs, () => this.#beat())
    view.after(tickMs, () => this.#tick())
  }

  arrived(request: Request): void {
    if (!this.#hasRoom(request)) return this.#view.refuse(request)
    const model = this.#view.models[request.model]!.name
    this.#keeper.residency.arrived(model, this.#view.nowMs)
    this.#dispatcher.arrived(model, request.band, this.#view.nowMs)
    this.#line.join(
      waiterOf(request, model, this.#view.nowMs, (size) => this.#dispatcher.workOf(size)),
    )
    this.#offer()
  }

  first(visit: Visit): void {
    const stay = this.#stays.get(visit)
    if (!stay) return
    stay.read(this.#affinity, this.#view.nowMs)
    this.#foreseenTokens += stay.run.cachedTokens
    this.#cachedTokens += visit.cachedTokens
  }

  ended(visit: Visit): void {
    const stay = this.#stays.get(visit)!
    this.#stays.delete(visit)
    const predicted = stay.predictedS
    if (predicted > 0) {
      const took = (visit.endMs - visit.sentMs) / 1_000
      this.#errors.push(Math.abs(predicted - took) / took)
    }
    if (visit.request.id < this.#learnUntil) stay.end(this.#dispatcher, this.#view, true)
    else stay.forgotten(this.#dispatcher, this.#view)
    this.#offer()
  }

  failed(visit: Visit, fault: Fault): void {
    const stay = this.#stays.get(visit)!
    this.#stays.delete(visit)
    stay.end(this.#dispatcher, this.#view, false)
    this.#again(stay, fault)
    this.#offer()
  }

  more(): Record<string, number> {
    const sorted = [...this.#errors].sort((one, other) => one - other)
    return {
      predictionError: sorted[sorted.length >> 1] ?? Number.NaN,
      cacheForeseen: this.#foreseenTokens / this.#cachedTokens,
    }
  }

  /** As `proxy/queue` has it: who is no batch work takes the place of the batch work that came last. */
  #hasRoom({ tenant, band }: Request): boolean {
    if (this.#line.countOfTenant(tenant) >= waitingMaxOfTenant) return false
    if (this.#line.size < waitingMax) return true
    const last = band === 'batch' ? undefined : this.#line.lastInPlace()
    if (!last) return false
    this.#line.leave(last)
    this.#view.refuse(last.request)
    return true
  }

  #slotsOf(slots: number): number | undefined {
    return this.#manner.seatsTold ? slots : undefined
  }

  #again({ waiter, endpoint, visit }: Stay, fault: Fault): void {
    if (waiter.tries + 1 >= triesMax) return this.#view.refuse(waiter.request)
    const model = this.#view.models[waiter.request.model]!.name
    const said = waiter.said + (visit ? visit.outputTokens - Math.max(0, visit.left) : 0)
    this.#line.join(
      waiterOf(waiter.request, model, this.#view.nowMs, (size) => this.#dispatcher.workOf(size), {
        // Who had begun goes on with what the client has; a 500 says nothing of the answer.
        said: fault === 'broken' ? said : waiter.said,
        tries: waiter.tries + 1,
        not: new Set([...waiter.need.not, endpoint.name]),
      }),
    )
  }

  /** Until nothing begins any more: a seat that was taken may be followed by one that is worth a try. */
  #offer(): void {
    let begun = true
    while (begun && this.#line.size > 0) begun = this.#step()
    if (this.#manner.givesWay && this.#letPeopleThrough()) this.#offer()
  }

  /** As `proxy/queue` has it: batch work that streams goes on later, once. True: a seat came free. */
  #letPeopleThrough(): boolean {
    if (this.#line.byPriority().interactive === 0) return false
    let isAny = false
    this.#dispatcher.giveWay(this.#line, this.#view.nowMs, {
      isOwed: () => false,
      mayGive: ({ run }) => {
        const stay = run.progress as Stay
        if (stay.waiter.hasBegun || !stay.visit) return false
        isAny = true
        this.#interrupt(stay, stay.visit)
        return true
      },
    })
    return isAny
  }

  #interrupt(stay: Stay, visit: Visit): void {
    const { waiter } = stay
    this.#stays.delete(visit)
    const said = waiter.said + visit.said
    this.#view.cancel(visit)
    stay.giveWay(this.#dispatcher, this.#view)
    this.#line.join(
      waiterOf(
        ...([waiter.request, waiter.model, this.#view.nowMs] as const),
        (size) => this.#dispatcher.workOf(size),
        { said, tries: waiter.tries, not: waiter.need.not, hasBegun: true },
      ),
    )
  }

  #step(): boolean {
    let begun = false
    const from = process.hrtime.bigint()
    const actions = this.#dispatcher.decide(this.#line, this.#view.nowMs)
    this.decisionsNs.push(Number(process.hrtime.bigint() - from))
    for (const action of actions) {
      if (action.kind === 'promise') action.waiting.promised = action.endpoint
      else if (action.kind === 'nobody') this.#nobody(action.waiting)
      else {
        this.#start(action)
        begun = true
      }
    }
    return begun
  }

  #nobody(waiter: Waiter): void {
    // Everybody was tried, or is away: it waits for one who comes back.
    if (waiter.need.not.size === 0) return
    this.#line.leave(waiter)
    this.#view.refuse(waiter.request)
  }

  #start(action: Start): void {
    const endpoint = this.#endpoints.find(({ name }) => name === action.endpoint)!
    this.#line.served(action.waiting)
    const stay = new Stay(action, endpoint, this.#view, this.#dispatcher, this.#affinity)
    if (action.place.warm) {
      this.#stays.set(stay.send(this.#view), stay)
      return
    }
    this.#loading.add(stay)
    this.#keeper.load(endpoint, action.waiting.need.model, (isThere) => {
      if (!this.#loading.delete(stay)) return
      if (isThere) {
        this.#dispatcher.loaded(stay.run, this.#view.nowMs)
        this.#stays.set(stay.send(this.#view), stay)
      } else {
        stay.end(this.#dispatcher, this.#view, false)
        this.#again(stay, 'refused')
      }
    })
  }

  #waiters(): Record<string, number> {
    const counts: Record<string, number> = {}
    for (const model of this.#line?.models() ?? []) counts[model] = this.#line.countOf(model)
    return counts
  }

  /** Some things come true by time alone, such as a try that is due again. */
  #tick(): void {
    for (const waiter of this.#line.waiters()) {
      if (this.#view.nowMs - waiter.sinceMs <= waitMsMax) break
      if (waiter.hasBegun) continue
      this.#line.leave(waiter)
      this.#view.refuse(waiter.request)
    }
    this.#offer()
    this.#view.after(tickMs, () => this.#tick())
  }

  #beat(): void {
    for (const endpoint of this.#endpoints) {
      endpoint.probe()
      for (const model of endpoint.unloaded()) this.#affinity?.forget(endpoint.name, model)
      if (endpoint.ready || this.#view.nowMs - endpoint.awaySinceMs < silenceMs) continue
      for (const [visit, stay] of this.#stays) {
        if (stay.endpoint !== endpoint) continue
        this.#stays.delete(visit)
        const said = visit.said
        this.#view.cancel(visit)
        visit.left = visit.outputTokens - said
        stay.end(this.#dispatcher, this.#view, false)
        this.#again(stay, 'broken')
      }
    }
    this.#offer()
    this.#view.after(beatMs, () => this.#beat())
  }
}
