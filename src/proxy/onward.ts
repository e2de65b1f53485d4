import { Late } from '../core/late.ts'
import type { Continued } from '../core/observer.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Lease } from '../pool/lease.ts'
import type { WhyGiven } from '../routing/give-way.ts'
import type { Answer } from './answer.ts'
import type { Exchange } from './exchange.ts'
import type { GoingOn, GoOnDoors } from './go-on.ts'
import { sightingOf } from './sighting.ts'

export interface OnwardDoors extends Omit<GoOnDoors, 'continued'> {
  readonly observer: { continued(fact: Continued): void; gaveWay(backend: string): void }
  /** Waits for the model where it must be loaded first; the outcome where that was the end of it. */
  readonly load: (exchange: Exchange, lease: Lease, answer: Answer) => Promise<Outcome | undefined>
}

/**
 * What is done so that an answer survives its backend: before that dies, when it dies, and when it is drained. The code
 * for it is loaded late, since most processes never need it at once.
 */
export class Onward {
  readonly #doors: GoOnDoors
  readonly #load: OnwardDoors['load']
  readonly #observer: OnwardDoors['observer']
  readonly #code = new Late(() => import('./go-on.ts'))

  constructor({ load, observer, ...doors }: OnwardDoors) {
    this.#load = load
    this.#observer = observer
    this.#doors = { ...doors, continued: (fact) => observer.continued(fact) }
  }

  /** Loads what is only needed when a backend breaks off: then the client waits for it. */
  prepare(): void {
    this.#code.prepare()
  }

  /** Where a host dies a hundred answers are to go on at once: what each needs for that is read beforehand. */
  async expect(exchange: Exchange): Promise<void> {
    const { answer } = exchange
    if (exchange.goingOn || !answer?.keeps) return
    const made = await this.#goingOnFor(exchange, answer)
    exchange.goingOn ??= made
  }

  /** A model that streams here may have to be gone on with one day: how it does that is measured beforehand. */
  sighted(exchange: Exchange, endpoint: Endpoint): void {
    const { conformance } = this.#doors
    const digest = endpoint.model(exchange.asked.ask.name.canonical)?.digest
    if (digest === undefined || conformance.isKnown({ digest, version: endpoint.version })) return
    const sighting = sightingOf(exchange, endpoint)
    if (sighting) conformance.seen(sighting)
  }

  /** Its last attempt broke off, and left something that could be gone on with. */
  mayGoOn({ attempts }: Exchange, answer: Answer): boolean {
    const last = attempts[attempts.length - 1]
    if (!last || last.outcome.kind === 'answered') return false
    return answer.started && answer.given !== undefined
  }

  /** True when another backend has given the client the rest. Undefined: nobody could be asked. */
  async goOn(exchange: Exchange, answer: Answer): Promise<boolean | undefined> {
    const last = exchange.attempts.at(-1)
    if (!last) return undefined
    // Who gave its seat away comes back to it best of all: its prompt may still be in a cache there.
    if (last.outcome.kind !== 'gaveWay') exchange.hasTried({ name: last.backend })
    exchange.goingOn ??= await this.#goingOnFor(exchange, answer)
    const going = exchange.goingOn
    if (!going) return undefined
    if (await going.run(last.outcome)) return true
    answer.endsBecause(going.why, going.code)
    return false
  }

  /**
   * Its backend is drained, and the time for that is over. While it still answers a seat is taken elsewhere; only then
   * it is cut. Who can not be moved finishes there.
   */
  async move(exchange: Exchange): Promise<void> {
    const { answer, attempt } = exchange
    if (!attempt || !answer?.keeps) return
    await this.expect(exchange)
    const going = exchange.goingOn
    if (!going || exchange.attempt !== attempt) return
    if (!(await going.takeSeat())) return
    if (exchange.attempt !== attempt) return going.giveBack()
    attempt.end({ kind: 'moved', text: 'its backend is drained' })
  }

  /**
   * Gives its seat to a request of a person's, if it can go on later with what its client has; true: it is cut,
   * and waits for a seat.
   */
  giveWay(exchange: Exchange, to: string, why: WhyGiven): boolean {
    const { attempt, answer } = exchange
    const code = this.#code.now
    if (!attempt?.gaps?.tokens || !answer?.keeps || !code) return false
    exchange.goingOn ??= this.#made(code, exchange, answer)
    if (!exchange.goingOn?.giveWay(attempt.endpoint)) return false
    exchange.gaveWay = true
    attempt.end({ kind: 'gaveWay', to, ...why })
    this.#observer.gaveWay(attempt.endpoint.name)
    return true
  }

  /** Undefined: nobody can. */
  async #goingOnFor(exchange: Exchange, answer: Answer): Promise<GoingOn | undefined> {
    return this.#made(this.#code.now ?? (await this.#code.get()), exchange, answer)
  }

  #made(
    { continuingFor, GoingOn }: typeof import('./go-on.ts'),
    exchange: Exchange,
    answer: Answer,
  ): GoingOn | undefined {
    const continuing = continuingFor(exchange)
    if (!continuing) return undefined
    const load = (lease: Lease) => this.#load(exchange, lease, answer)
    return new GoingOn(exchange, answer, continuing, load, this.#doors)
  }
}
