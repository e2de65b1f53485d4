/** Bands of the queue, most urgent first. */
export const priorities = ['interactive', 'normal', 'batch'] as const
export type Priority = (typeof priorities)[number]

export function isPriority(text: string): text is Priority {
  return (priorities as readonly string[]).includes(text)
}

/** Somebody in the queue. */
export interface Waiter {
  readonly tenant: string
  readonly priority: Priority
  readonly sinceMs: number
}

/**
 * The queue's order: by priority, then by arrival. A priority is a tenant's word about its own requests: it permutes
 * the places in line that the tenant already has. Stepping back behind everybody (`batch`) is always free; stepping
 * before others (`interactive`) only counts where the configuration lets it.
 */
export class Line<W extends Waiter> {
  #acrossTenants: boolean
  /** The places, first one first, each with the waiter that owns it; a waiter may stand in another of its tenant. */
  readonly #places: W[] = []
  /** Oldest first, with the number of its arrival. */
  readonly #arrivals = new Map<W, number>()
  readonly #counts: Record<Priority, number> = { interactive: 0, normal: 0, batch: 0 }
  #arrived = 0
  /** Worked out when asked for, kept until somebody comes or goes. */
  #order: readonly W[] | undefined

  constructor(acrossTenants: boolean) {
    this.#acrossTenants = acrossTenants
  }

  /** After a reload: who waits is put in order anew. */
  orderAcrossTenants(acrossTenants: boolean): void {
    this.#acrossTenants = acrossTenants
    this.#order = undefined
  }

  get size(): number {
    return this.#places.length
  }

  byPriority(): Readonly<Record<Priority, number>> {
    return this.#counts
  }

  join(waiter: W): void {
    this.#places.push(waiter)
    this.#arrivals.set(waiter, this.#arrived++)
    this.#counts[waiter.priority]++
    this.#order = undefined
  }

  /** It gave up: its own place goes with it. */
  leave(waiter: W): boolean {
    if (!this.#arrivals.delete(waiter)) return false
    this.#places.splice(this.#places.indexOf(waiter), 1)
    this.#counts[waiter.priority]--
    this.#order = undefined
    return true
  }

  /**
   * It was served: the place in which it stood is used up. The others of its tenant share the places that are left,
   * in the order of their arrival; otherwise a tenant could use one early place again and again, and others behind it
   * would wait for ever.
   */
  served(waiter: W): boolean {
    if (!this.#arrivals.has(waiter)) return false
    const indexes = this.#placesOf(waiter)
    const owners = indexes.map((index) => this.#places[index]!)
    const [usedUp] = indexes.splice(this.#sort([...owners]).indexOf(waiter), 1)
    const left = owners.filter((owner) => owner !== waiter)
    for (const [rank, index] of indexes.entries()) this.#places[index] = left[rank]!
    this.#places.splice(usedUp!, 1)
    this.#arrivals.delete(waiter)
    this.#counts[waiter.priority]--
    this.#order = this.#order?.filter((each) => each !== waiter)
    return true
  }

  /** In arrival order. */
  waiters(): Iterable<W> {
    return this.#arrivals.keys()
  }

  oldestSinceMs(): number | undefined {
    for (const waiter of this.#arrivals.keys()) return waiter.sinceMs
    return undefined
  }

  /** In the order in which seats are offered. */
  inOrder(): readonly W[] {
    this.#order ??=
      this.#counts.normal === this.#places.length ? [...this.#places] : this.#ordered()
    return this.#order
  }

  #ordered(): W[] {
    const bands: W[][] = [[], [], []]
    for (const waiter of this.#places) bands[this.#bandOf(waiter)]!.push(waiter)
    return bands.flatMap((band) => this.#permutedByTenant(band))
  }

  #bandOf({ priority }: W): number {
    if (priority === 'batch') return 2
    return priority === 'interactive' && this.#acrossTenants ? 0 : 1
  }

  /** Each tenant keeps its places; its most urgent request stands in the first of them. */
  #permutedByTenant(band: readonly W[]): W[] {
    const ofTenant = new Map<string, W[]>()
    for (const waiter of band) {
      const own = ofTenant.get(waiter.tenant)
      if (own) own.push(waiter)
      else ofTenant.set(waiter.tenant, [waiter])
    }
    for (const own of ofTenant.values()) this.#sort(own).reverse()
    return band.map(({ tenant }) => ofTenant.get(tenant)!.pop()!)
  }

  /** The places of a waiter's tenant in its band; their owners stand in the order of their arrival. */
  #placesOf(waiter: W): number[] {
    const band = this.#bandOf(waiter)
    const indexes: number[] = []
    for (const [index, each] of this.#places.entries())
      if (each.tenant === waiter.tenant && this.#bandOf(each) === band) indexes.push(index)
    return indexes
  }

  #sort(ofOneTenant: W[]): W[] {
    return ofOneTenant.sort(
      (a, b) =>
        urgency[a.priority] - urgency[b.priority] ||
        this.#arrivals.get(a)! - this.#arrivals.get(b)!,
    )
  }
}

const urgency: Readonly<Record<Priority, number>> = { interactive: 0, normal: 1, batch: 2 }
