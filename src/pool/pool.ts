import type { Backend } from '../core/backend.ts'
import type { Clock } from '../core/clock.ts'
import type { Dice } from '../core/dice.ts'
import type { Observer } from '../core/observer.ts'
import type { BreakerSettings } from '../core/settings.ts'
import type { ModelOnDisk } from './catalogue.ts'
import { Endpoint } from './endpoint.ts'

export interface PoolDoors {
  readonly clock: Clock
  readonly dice: Dice
  readonly observer: Observer
  readonly breaker: BreakerSettings
}

/** The endpoints in service, and what is only true of all of them together. */
export class Pool {
  readonly #doors: PoolDoors
  readonly #endpoints = new Map<string, Endpoint>()
  /** Out of service, with work that still ends there. */
  readonly #leaving = new Set<Endpoint>()
  readonly #listeners = new Set<() => void>()
  readonly #doorsOfEndpoints: PoolDoors & { breaker: BreakerSettings; changed: () => void }
  #list: readonly Endpoint[] = []
  #servingDigests = new Map<string, string>()

  constructor(backends: readonly Backend[], doors: PoolDoors) {
    this.#doors = doors
    this.#doorsOfEndpoints = { ...doors, changed: () => this.#changed() }
    this.reconcile(backends)
  }

  get endpoints(): readonly Endpoint[] {
    return this.#list
  }

  /** Taken out by a reload, until the last that runs there has ended. */
  get leaving(): ReadonlySet<Endpoint> {
    return this.#leaving
  }

  endpoint(name: string): Endpoint | undefined {
    return this.#endpoints.get(name)
  }

  get now(): number {
    return this.#doors.clock.now()
  }

  /** Called whenever somebody who waits might be served now. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener)
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) }
  }

  /** By difference: an endpoint whose backend stays keeps its state, its seats and its streams. */
  reconcile(backends: readonly Backend[]): { added: Endpoint[]; removed: Endpoint[] } {
    const wanted = new Map(backends.map((backend) => [backend.name, backend]))
    const added: Endpoint[] = []
    const removed: Endpoint[] = []
    const drained = new Set<string>()
    for (const [name, endpoint] of this.#endpoints) {
      const backend = wanted.get(name)
      if (backend && sameAddress(backend, endpoint.backend)) endpoint.reconfigure(backend)
      else {
        this.#endpoints.delete(name)
        // A new address is a new server; that the operator drained this name still holds.
        if (backend && !endpoint.enabled) drained.add(name)
        endpoint.enabled = false
        removed.push(endpoint)
        if (endpoint.leases.size > 0) this.#leaving.add(endpoint)
      }
    }
    for (const backend of backends) {
      if (this.#endpoints.has(backend.name)) continue
      const endpoint = new Endpoint(backend, this.#doorsOfEndpoints)
      endpoint.enabled = !drained.has(backend.name)
      this.#endpoints.set(backend.name, endpoint)
      added.push(endpoint)
    }
    this.#list = backends.map((backend) => this.#endpoints.get(backend.name)!)
    this.learned()
    return { added, removed }
  }

  /** After a reload: what comes next is judged by these. */
  judgeBy(breaker: BreakerSettings): void {
    this.#doorsOfEndpoints.breaker = breaker
  }

  /** Lists changed: which weights serve under each name is decided anew, and whoever waits looks again. */
  learned(): void {
    this.#servingDigests = servingDigests(this.#list)
    this.#tell()
  }

  setEnabled(endpoint: Endpoint, enabled: boolean): void {
    endpoint.enabled = enabled
    this.#doors.observer.backendTurned(endpoint.name, enabled ? 'enabled' : 'draining', 'operator')
    this.learned()
  }

  /**
   * The digest that serves under this name where backends disagree; undefined when no choice is needed, because all
   * agree or none says.
   */
  servingDigest(canonical: string): string | undefined {
    return this.#servingDigests.get(canonical)
  }

  /** Who lists the model at all, ready or not. */
  holders(canonical: string): Endpoint[] {
    return this.#list.filter((endpoint) => endpoint.onDisk.has(canonical))
  }

  #changed(): void {
    if (this.#leaving.size > 0) this.#sayGoodbye()
    this.#tell()
  }

  #sayGoodbye(): void {
    for (const endpoint of this.#leaving) {
      if (endpoint.leases.size > 0) continue
      this.#leaving.delete(endpoint)
      this.#doors.observer.backendTurned(endpoint.name, 'gone', 'removed by a reload')
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

function sameAddress(one: Backend, other: Backend): boolean {
  return (
    one.origin === other.origin &&
    one.pathPrefix === other.pathPrefix &&
    JSON.stringify(one.headers) === JSON.stringify(other.headers)
  )
}

/**
 * Two servers may hold different weights under one name. Then the majority of the ready ones serves; a tie goes to the
 * newest, then to the smaller digest, so that every replica of this proxy decides alike.
 */
function servingDigests(endpoints: readonly Endpoint[]): Map<string, string> {
  const serving = new Map<string, string>()
  for (const [name, models] of conflicts(endpoints)) {
    const votes = new Map<string, Vote>()
    for (const { digest, modifiedAt } of models) {
      if (digest === undefined) continue
      const vote = votes.get(digest) ?? { digest, count: 0, newestMs: 0 }
      vote.count++
      // Dates carry the offset of the server's own time zone: as texts they do not compare.
      vote.newestMs = Math.max(vote.newestMs, Date.parse(modifiedAt) || 0)
      votes.set(digest, vote)
    }
    const winner = [...votes.values()].reduce((one, other) => (beats(other, one) ? other : one))
    serving.set(name, winner.digest)
  }
  return serving
}

/** Names under which the endpoints in service list more than one digest. Usually there are none. */
function conflicts(endpoints: readonly Endpoint[]): Map<string, ModelOnDisk[]> {
  const voting = endpoints.filter((endpoint) => endpoint.ready && endpoint.enabled)
  const digests = new Map<string, string>()
  const found = new Map<string, ModelOnDisk[]>()
  for (const endpoint of voting)
    for (const { canonical, digest } of endpoint.onDisk.values()) {
      if (digest === undefined || !endpoint.takes(canonical)) continue
      const before = digests.get(canonical)
      if (before === undefined) digests.set(canonical, digest)
      else if (before !== digest) found.set(canonical, [])
    }
  for (const [name, models] of found)
    models.push(
      ...voting.flatMap((endpoint) =>
        endpoint.takes(name) ? (endpoint.onDisk.get(name) ?? []) : [],
      ),
    )
  return found
}

interface Vote {
  readonly digest: string
  count: number
  newestMs: number
}

function beats(one: Vote, other: Vote): boolean {
  if (one.count !== other.count) return one.count > other.count
  if (one.newestMs !== other.newestMs) return one.newestMs > other.newestMs
  return one.digest < other.digest
}
