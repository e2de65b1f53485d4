import type { Backend } from '../core/backend.ts'
import type { Clock } from '../core/clock.ts'
import type { Dice } from '../core/dice.ts'
import type { Observer } from '../core/observer.ts'
import type { BreakerSettings } from '../core/settings.ts'
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
  readonly #listeners = new Set<() => void>()
  readonly #doorsOfEndpoints: PoolDoors & { changed: () => void }
  #list: readonly Endpoint[] = []
  #servingDigests = new Map<string, string | undefined>()

  constructor(backends: readonly Backend[], doors: PoolDoors) {
    this.#doors = doors
    this.#doorsOfEndpoints = { ...doors, changed: () => this.#tell() }
    this.reconcile(backends)
  }

  get endpoints(): readonly Endpoint[] {
    return this.#list
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
    for (const [name, endpoint] of this.#endpoints) {
      const backend = wanted.get(name)
      if (backend && sameAddress(backend, endpoint.backend)) endpoint.reconfigure(backend)
      else {
        this.#endpoints.delete(name)
        endpoint.enabled = false
        removed.push(endpoint)
      }
    }
    for (const backend of backends) {
      if (this.#endpoints.has(backend.name)) continue
      const endpoint = new Endpoint(backend, this.#doorsOfEndpoints)
      this.#endpoints.set(backend.name, endpoint)
      added.push(endpoint)
    }
    this.#list = backends.map((backend) => this.#endpoints.get(backend.name)!)
    this.learned()
    return { added, removed }
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
function servingDigests(endpoints: readonly Endpoint[]): Map<string, string | undefined> {
  const votes = new Map<string, Map<string, { count: number; newest: string }>>()
  for (const endpoint of endpoints) {
    if (!endpoint.ready || !endpoint.enabled) continue
    for (const model of endpoint.onDisk.values()) {
      if (model.digest === undefined) continue
      const ofName = votes.get(model.canonical) ?? new Map()
      const vote = ofName.get(model.digest) ?? { count: 0, newest: '' }
      vote.count++
      if (model.modifiedAt > vote.newest) vote.newest = model.modifiedAt
      ofName.set(model.digest, vote)
      votes.set(model.canonical, ofName)
    }
  }
  const serving = new Map<string, string | undefined>()
  for (const [name, ofName] of votes) {
    if (ofName.size < 2) continue
    const [winner] = [...ofName].sort(
      ([digestA, a], [digestB, b]) =>
        b.count - a.count || b.newest.localeCompare(a.newest) || digestA.localeCompare(digestB),
    )
    serving.set(name, winner?.[0])
  }
  return serving
}
