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
  readonly #acrossTenants: boolean
  readonly #waiting: W[] = []
  readonly #counts: Record<Priority, number> = { interactive: 0, normal: 0, batch: 0 }

  constructor(acrossTenants: boolean) {
    this.#acrossTenants = acrossTenants
  }

  get size(): number {
    return this.#waiting.length
  }

  byPriority(): Readonly<Record<Priority, number>> {
    return this.#counts
  }

  join(waiter: W): void {
    this.#waiting.push(waiter)
    this.#counts[waiter.priority]++
  }

  leave(waiter: W): boolean {
    const index = this.#waiting.indexOf(waiter)
    if (index < 0) return false
    this.#waiting.splice(index, 1)
    this.#counts[waiter.priority]--
    return true
  }

  /** In arrival order. */
  waiters(): readonly W[] {
    return this.#waiting
  }

  oldestSinceMs(): number | undefined {
    return this.#waiting[0]?.sinceMs
  }

  /** In the order in which seats are offered. */
  inOrder(): W[] {
    if (this.#counts.normal === this.#waiting.length) return [...this.#waiting]
    const order: W[] = []
    for (const band of this.#bands()) order.push(...permutedByTenant(band))
    return order
  }

  #bands(): W[][] {
    const place = (waiter: W) =>
      waiter.priority === 'batch'
        ? 2
        : waiter.priority === 'interactive' && this.#acrossTenants
          ? 0
          : 1
    return [0, 1, 2].map((band) => this.#waiting.filter((waiter) => place(waiter) === band))
  }
}

/** Each tenant keeps its places; its most urgent request stands in the first of them. */
function permutedByTenant<W extends Waiter>(band: readonly W[]): W[] {
  const ofTenant = new Map<string, W[]>()
  for (const waiter of band) {
    const own = ofTenant.get(waiter.tenant)
    if (own) own.push(waiter)
    else ofTenant.set(waiter.tenant, [waiter])
  }
  const next = new Map<string, number>()
  for (const own of ofTenant.values())
    own.sort((a, b) => priorities.indexOf(a.priority) - priorities.indexOf(b.priority))
  return band.map(({ tenant }) => {
    const index = next.get(tenant) ?? 0
    next.set(tenant, index + 1)
    return ofTenant.get(tenant)![index]!
  })
}
