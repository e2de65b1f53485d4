import type { Dice } from '../../../src/core/dice.ts'
import { Agenda } from './agenda.ts'
import { type Listener, Machine } from './machine.ts'
import type { MachineSpec, ModelSpec, Request } from './specs.ts'
import { Visit } from './visit.ts'

/** Why a visit came to nothing. `broken`: it had begun to answer, or the connection was lost while it waited. */
export type Fault = 'refused' | 'broken' | 'error'

/** What became of a request, as its client saw it. */
export interface Outcome {
  readonly request: Request
  /** NaN: not a token came. */
  firstMs: number
  /** NaN: it was not over when the run was. */
  endMs: number
  /** Index of the machine that ended it; -1: none. */
  machine: number
  cachedTokens: number
  visits: number
  isGood: boolean
}

/** What a policy may see of the world, and do in it. */
export interface Switch {
  readonly nowMs: number
  readonly machines: readonly Machine[]
  readonly models: readonly ModelSpec[]
  readonly dice: Dice
  /** `said`: tokens that the client has from an earlier visit; they are read with the prompt. */
  send(request: Request, machine: number, said?: number): Visit
  cancel(visit: Visit): void
  /** An empty request that only loads a model. */
  load(machine: number, model: number, done: (isThere: boolean) => void): void
  /** The client hears an error. */
  refuse(request: Request): void
  after(delayMs: number, act: () => void): void
}

/** Who should serve: told of everything that a balancer hears of. */
export interface Policy {
  arrived(request: Request): void
  ended(visit: Visit): void
  failed(visit: Visit, fault: Fault): void
  first?(visit: Visit): void
  /** Its model is there: it waits for a slot, or has one. */
  granted?(visit: Visit): void
  /** Nanoseconds that single decisions took, where they are the point. */
  readonly decisionsNs?: readonly number[]
  /** What it has to say of itself at the end. */
  more?(): Record<string, number>
}

export type PolicyMaker = (view: Switch) => Policy

/** What befalls the machines. */
export interface Incident {
  readonly atMs: number
  befall(machines: readonly Machine[]): void
}

export interface Setting {
  readonly machines: readonly MachineSpec[]
  readonly models: readonly ModelSpec[]
  readonly trace: readonly Request[]
  /** Requests that go straight to a machine, past the switch. */
  readonly foreign: readonly { readonly request: Request; readonly machine: number }[]
  readonly incidents: readonly Incident[]
  /** Models in memory at the beginning, by machine. */
  readonly preloaded: readonly (readonly number[])[]
  readonly dice: Dice
}

/** After the last arrival everything that is still under way has so long. */
const drainMs = 3_600_000

export class World implements Switch, Listener {
  readonly machines: readonly Machine[]
  readonly models: readonly ModelSpec[]
  readonly dice: Dice
  readonly outcomes: Outcome[] = []
  readonly agenda = new Agenda()
  readonly #setting: Setting
  readonly #byRequest = new Map<Request, Outcome>()
  readonly #loads = new Map<Visit, (isThere: boolean) => void>()
  #policy: Policy | undefined
  #isOver = false
  /** Requests that have ended, one way or another. */
  #over = 0

  constructor(setting: Setting) {
    this.#setting = setting
    this.models = setting.models
    this.dice = setting.dice
    this.machines = setting.machines.map(
      (spec, index) => new Machine(index, spec, setting.models, this.agenda, this),
    )
  }

  get nowMs(): number {
    return this.agenda.nowMs
  }

  /** Plays the whole trace; open loop: no request waits for another one's answer. */
  play(maker: PolicyMaker): Policy {
    const { trace, foreign, incidents, preloaded } = this.#setting
    for (const [index, models] of preloaded.entries())
      for (const model of models) this.machines[index]!.preload(model)
    const policy = maker(this)
    this.#policy = policy
    this.#arrivals(trace, (request) => {
      const outcome = { request, firstMs: Number.NaN, endMs: Number.NaN, machine: -1 }
      const record = { ...outcome, cachedTokens: 0, visits: 0, isGood: false }
      this.outcomes.push(record)
      this.#byRequest.set(request, record)
      policy.arrived(request)
    })
    for (const { request, machine } of foreign)
      this.agenda.at(request.atMs, () =>
        this.machines[machine]!.take(this.#visit(request, machine, 0, true)),
      )
    for (const incident of incidents)
      this.agenda.at(incident.atMs, () => incident.befall(this.machines))
    const untilMs = (trace.at(-1)?.atMs ?? 0) + drainMs
    this.agenda.playUntil(untilMs, () => this.#over === trace.length)
    this.#isOver = true
    return policy
  }

  /** One at a time on the agenda, which stays small however long the trace is. */
  #arrivals(trace: readonly Request[], arrive: (request: Request) => void): void {
    let next = 0
    const step = () => {
      arrive(trace[next++]!)
      if (next < trace.length) this.agenda.at(trace[next]!.atMs, step)
    }
    if (trace.length > 0) this.agenda.at(trace[0]!.atMs, step)
  }

  send(request: Request, machine: number, said = 0): Visit {
    const visit = this.#visit(request, machine, said, false)
    this.#byRequest.get(request)!.visits++
    this.machines[machine]!.take(visit)
    return visit
  }

  load(machine: number, model: number, done: (isThere: boolean) => void): void {
    const empty: Request = {
      ...{ id: -1, atMs: this.nowMs, model, promptTokens: 0, outputTokens: 0 },
      ...{ chain: [], chainTokens: [], answer: 0, tenant: '', band: 'normal', deadlineMs: 0 },
      session: '',
    }
    const visit = this.#visit(empty, machine, 0, true)
    this.#loads.set(visit, done)
    this.machines[machine]!.take(visit)
  }

  #visit(request: Request, machine: number, said: number, isForeign: boolean): Visit {
    const { promptTokens, outputTokens } = request
    const left = Math.max(outputTokens === 0 ? 0 : 1, outputTokens - said)
    return new Visit(request, machine, this.nowMs, promptTokens + said, left, isForeign)
  }

  cancel(visit: Visit): void {
    this.machines[visit.machine]!.cancel(visit)
  }

  refuse(request: Request): void {
    this.#byRequest.get(request)!.endMs = this.nowMs
    this.#over++
  }

  /** Nothing begins after the run is over. */
  after(delayMs: number, act: () => void): void {
    this.agenda.at(this.nowMs + delayMs, () => {
      if (!this.#isOver) act()
    })
  }

  first(visit: Visit): void {
    if (visit.isForeign) return
    const outcome = this.#byRequest.get(visit.request)!
    if (Number.isNaN(outcome.firstMs)) outcome.firstMs = this.nowMs
    outcome.cachedTokens = visit.cachedTokens
    this.#policy!.first?.(visit)
  }

  granted(visit: Visit): void {
    if (!visit.isForeign) this.#policy!.granted?.(visit)
  }

  ended(visit: Visit): void {
    if (visit.isForeign) return this.#loadOver(visit, true)
    const outcome = this.#byRequest.get(visit.request)!
    outcome.endMs = this.nowMs
    outcome.machine = visit.machine
    outcome.isGood = true
    this.#over++
    this.#policy!.ended(visit)
  }

  failed(visit: Visit, fault: Fault): void {
    if (visit.isForeign) this.#loadOver(visit, false)
    else this.#policy!.failed(visit, fault)
  }

  #loadOver(visit: Visit, isThere: boolean): void {
    const done = this.#loads.get(visit)
    this.#loads.delete(visit)
    if (!this.#isOver) done?.(isThere)
  }
}
