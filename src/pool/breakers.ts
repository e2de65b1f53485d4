import type { Clock } from '../core/clock.ts'
import { admits, type Breaker, breakerAfter, breakerEntered, freshBreaker } from './breaker.ts'
import type { EndpointDoors } from './endpoint-doors.ts'
import { type Returning, wholeServer } from './slow-start.ts'

/** Whether an attempt was the one let in after a rest: of the backend, of the model there. */
export interface Probes {
  readonly host: boolean
  readonly model: boolean
}

export type Verdict = 'good' | 'bad' | 'nothing'

/**
 * The voice of the outcomes at one backend: a breaker for the whole of it, and one for each model that is in trouble
 * there. While one is on probation only its probe is heard: who was let in before the rest tells nothing about what
 * came after it.
 */
export class Breakers {
  readonly #name: string
  readonly #doors: EndpointDoors
  /** Told of each end of a rest. */
  readonly #returning: Returning
  #host: Breaker = freshBreaker
  readonly #models = new Map<string, Breaker>()

  constructor(name: string, doors: EndpointDoors, returning: Returning) {
    this.#name = name
    this.#doors = doors
    this.#returning = returning
  }

  get state(): Breaker['state'] {
    return this.#host.state
  }

  get admitting(): boolean {
    return admitsNow(this.#host, this.#doors.clock)
  }

  admittingModel(canonical: string): boolean {
    if (!admitsNow(this.#host, this.#doors.clock)) return false
    const breaker = this.#models.get(canonical)
    return breaker === undefined || admitsNow(breaker, this.#doors.clock)
  }

  /** When this model is kept out by no rest any more; undefined when nothing rests. */
  restUntilMs(canonical: string): number | undefined {
    const breakers = [this.#host, this.#models.get(canonical) ?? freshBreaker]
    const resting = breakers.filter(({ state }) => state === 'resting')
    return resting.length === 0 ? undefined : Math.max(...resting.map((each) => each.restUntilMs))
  }

  /** Somebody is let in, and is told what for. */
  enter(canonical: string): Probes {
    const host = this.#entered(this.#host)
    const probes = { host: host !== this.#host, model: false }
    this.#host = this.#turn(this.#host, host, undefined)
    const before = this.#models.get(canonical)
    if (before) {
      const model = this.#turn(before, this.#entered(before), canonical)
      probes.model = model !== before
      this.#models.set(canonical, model)
    }
    return probes
  }

  /** What an attempt says of the backend as a whole; without `probes` it is heard in any case. */
  hearHost(verdict: Verdict, probes: Probes | undefined): void {
    if (probes === undefined || probes.host || this.#host.state === 'admitting')
      this.#host = this.#turn(this.#host, this.#after(this.#host, verdict), undefined)
  }

  /** What it says of the model there. */
  hearModel(canonical: string, verdict: Verdict, probes: Probes | undefined): void {
    const before = this.#models.get(canonical) ?? freshBreaker
    if (probes !== undefined && !probes.model && before.state !== 'admitting') return
    const after = this.#turn(before, this.#after(before, verdict), canonical)
    if (after === freshBreaker) this.#models.delete(canonical)
    else this.#models.set(canonical, after)
  }

  /** Everybody is let in again, and what was held against them is forgotten. */
  forgive(): void {
    this.#host = this.#turn(this.#host, freshBreaker, undefined)
    for (const [model, breaker] of this.#models) this.#turn(breaker, freshBreaker, model)
    this.#models.clear()
  }

  /** Models that are gone are in no trouble any more. */
  keepOnly(models: ReadonlyMap<string, unknown>): void {
    for (const name of this.#models.keys()) if (!models.has(name)) this.#models.delete(name)
  }

  #entered(breaker: Breaker): Breaker {
    return admitsNow(breaker, this.#doors.clock) ? breakerEntered(breaker) : breaker
  }

  #after(breaker: Breaker, verdict: Verdict): Breaker {
    const { clock, breaker: settings, dice } = this.#doors
    return breakerAfter(breaker, verdict, clock.now(), settings, dice)
  }

  #turn(before: Breaker, after: Breaker, model: string | undefined): Breaker {
    if (before.state === after.state) return after
    const { clock, observer, changed } = this.#doors
    observer.breakerTurned(this.#name, model, after.state)
    if (after.state === 'admitting') this.#returning.begin(model ?? wholeServer, clock.now())
    // Somebody may wait for exactly this rest to end.
    if (after.state === 'resting') clock.after(after.restUntilMs - clock.now() + 1, changed)
    return after
  }
}

/** Asks for the time only where it matters. */
function admitsNow(breaker: Breaker, clock: Clock): boolean {
  return breaker.state === 'admitting' || admits(breaker, clock.now())
}
