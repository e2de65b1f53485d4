import type { EndpointView } from '../../src/core/endpoint-view.ts'
import { Dispatcher, type DispatcherDoors } from '../../src/routing/dispatcher.ts'
import type { Tastes } from '../../src/routing/field.ts'
import { Line, type Priority, type Waiter } from '../../src/routing/line.ts'
import { needKey } from '../../src/routing/need.ts'
import type { Action, Waiting } from '../../src/routing/plan.ts'
import { endpointOf, needOf, routingOf } from './help.ts'

export interface Guest extends Waiting, Omit<Waiter, 'key' | 'priority'> {
  readonly name: string
  readonly priority: Priority
}

export interface Machine {
  readonly name: string
  /** Seconds for a token that is written; reading takes a twentieth of it. */
  readonly tokenS: number
  readonly seats?: number
  readonly resident?: boolean
  readonly evicts?: boolean
  readonly seatToTry?: boolean
  readonly heldBack?: boolean
  /** Answers that were measured, as seconds for a token; otherwise `tokenS` ten times over. */
  readonly measured?: readonly number[]
}

/** Machines whose speeds are known, requests of 100 tokens in and 100 out, and a line before them. */
export class Scene {
  readonly dispatcher: Dispatcher
  readonly line = new Line<Guest>(false)
  nowMs = 1_000
  readonly #seats = new Map<string, { used: number; limit: number }>()
  #guests = 0

  constructor(
    machines: readonly Machine[],
    tastes: Tastes = {},
    record?: DispatcherDoors['record'],
  ) {
    const views = machines.map((machine) => this.#view(machine))
    const doors = {
      endpoints: () => views,
      tastes,
      ...(record && { record }),
    }
    this.dispatcher = new Dispatcher(doors, routingOf('expected-completion'))
    for (const { name, tokenS, measured = Array(10).fill(tokenS) } of machines)
      for (const each of measured) this.#teach(name, each)
  }

  #view({ name, seats = 1, ...model }: Machine): EndpointView {
    const row = { used: 0, limit: seats }
    this.#seats.set(name, row)
    const view = endpointOf(name, { m: { ...model, seatsLimit: seats } })
    const served = view.model('m:latest')!
    Object.defineProperties(served, {
      seatFree: { get: () => row.used < row.limit },
      seatsUsed: { get: () => row.used },
    })
    Object.defineProperty(view, 'inFlight', { get: () => row.used })
    return view
  }

  #teach(endpoint: string, tokenS: number): void {
    const figures = {
      ...{ totalNs: 105 * tokenS * 1e9, loadNs: 0, promptTokens: 100, promptNs: 5 * tokenS * 1e9 },
      ...{ outputTokens: 100, outputNs: 100 * tokenS * 1e9 },
    }
    this.dispatcher.costs.learn({
      ...{ endpoint, weights: 'd', sizeBytes: undefined, size, endedMs: 0, tookMs: 0 },
      ...{ firstTokenMs: undefined, loadMs: 0, streams: 1, cachedTokens: 0 },
      ...{ figures, pieces: 0, whole: true, asTry: false },
    })
  }

  /** Seats that are taken there. */
  used(name: string): number {
    return this.#seats.get(name)!.used
  }

  /** All that runs is over, and taught nothing. */
  clear(): void {
    for (const name of this.#seats.keys()) {
      for (const run of [...this.dispatcher.running.of(name)])
        this.dispatcher.running.end(run, this.nowMs, { figures: undefined, whole: false })
      this.#seats.get(name)!.used = 0
    }
  }

  /** Comes, and stands in line; `walk` says what becomes of it. */
  come(more: Partial<Guest> = {}): Guest {
    const need = needOf()
    const guest: Guest = {
      ...{ name: `${++this.#guests}`, tenant: 't', model: need.model, key: needKey(need), need },
      ...{ work: this.dispatcher.workOf(size), priority: 'normal', sinceMs: this.nowMs },
      ...{ deadlineMs: undefined, promised: undefined },
      ...more,
    }
    this.line.join(guest)
    return guest
  }

  /** Comes, and takes a seat at once where there is one for it: `@a`, `?a` with a try, `!`; '' where it is to wait. */
  arrive(more: Partial<Guest> = {}): string {
    const need = needOf()
    const waiting = {
      ...{ key: '', need, work: this.dispatcher.workOf(size), priority: 'normal' },
      ...{ sinceMs: this.nowMs, deadlineMs: undefined, promised: undefined },
      ...more,
    }
    const action = this.dispatcher.decideFor(waiting, this.line, this.nowMs)
    if (action?.kind === 'nobody') return '!'
    if (action?.kind !== 'start') return ''
    this.#begin(action)
    return `${action.asTry ? '?' : '@'}${action.endpoint}`
  }

  /** Carries a decision out: `1@a` was started there, `2?b` with a try, `3…a` waits for it, `4!` can not be served. */
  walk(): string {
    const story: string[] = []
    for (const action of this.dispatcher.decide(this.line, this.nowMs)) {
      const { name } = action.waiting
      if (action.kind === 'nobody') story.push(`${name}!`)
      else if (action.kind === 'promise') {
        action.waiting.promised = action.endpoint
        story.push(`${name}…${action.endpoint}`)
      } else {
        this.line.served(action.waiting)
        this.#begin(action)
        story.push(`${name}${action.asTry ? '?' : '@'}${action.endpoint}`)
      }
    }
    return story.join(' ')
  }

  /** All that runs there has said so much by now. */
  says(endpoint: string, pieces: number): void {
    for (const { progress } of this.dispatcher.running.of(endpoint))
      Object.assign(progress, { firstTokenAtMs: this.nowMs, pieces })
  }

  #begin(action: Action<Waiting> & { kind: 'start' }): void {
    this.#seats.get(action.endpoint)!.used++
    const progress = { firstTokenAtMs: undefined, pieces: 0 }
    this.dispatcher.began(action, size, progress, this.nowMs)
  }
}

/** Of what guests ask. */
export const size = {
  model: 'm:latest',
  op: 'chat',
  tenant: 't',
  textBytes: 400,
  outTokensMax: undefined,
}
