import { Roster } from '../core/roster.ts'
import { Shares } from './shares.ts'
import { isPassed, type Kind, type Node, type Passed, TenantLine } from './tenant-line.ts'

/** Bands of the queue, most urgent first. */
export const priorities = ['interactive', 'normal', 'batch'] as const
export type Priority = (typeof priorities)[number]

export function isPriority(text: string): text is Priority {
  return (priorities as readonly string[]).includes(text)
}

/** Somebody in the queue. */
export interface Waiter {
  readonly tenant: string
  /** Canonical name of the model that it waits for. */
  readonly model: string
  /** Who has the same can use the same seats. Changed by `rekey` only. */
  readonly key: string
  readonly priority: Priority
  readonly sinceMs: number
  /** By when it must be finished; undefined: it has time. */
  readonly deadlineMs: number | undefined
  /** What it is expected to take, in seconds of a usual machine; a second unless said. */
  readonly serviceS?: number | undefined
  /** Its client has half an answer: it gave its seat to somebody, and waits for the next one. */
  readonly hasBegun?: boolean | undefined
}

const levels: Readonly<Record<Priority, number>> = { interactive: 0, normal: 1, batch: 2 }
const bandOfBegun = 2
const bandOfBatch = 3
/** Who has waited longer than this is overdue. */
const overdueAfterMs: Readonly<Record<Priority, number>> = {
  interactive: 60_000,
  normal: 60_000,
  batch: 300_000,
}
/**
 * Every so many starts the overdue come first, oldest first: nobody is passed over for ever. Not more often, since
 * under a load that lasts everybody is overdue, and the bands would mean nothing any more.
 */
const overdueEvery = 10
/** So many of them at once: what the oldest waits for may be away. */
const overdueMost = 8

/** Those who wait for one model; when they came, summed up, tells how long they have waited together. */
interface Crowd {
  count: number
  batch: number
  sinceMs: number
}

interface KindInLine<W> extends Kind {
  readonly nodes: Roster<Node<W>>
}

/**
 * The queue's order, in three steps. First the band: `batch` stands behind everybody, those of it first who have begun,
 * and `interactive` before everybody only where the configuration lets it (`acrossTenants`), else before its own tenant's
 * others. In a band the tenant comes next that was given the least of the fleet of late. And of its requests the one
 * whose deadline is near, else the one that has waited longest for its size (`TenantLine`).
 *
 * Nothing is sorted: a walk asks for one after another, and mostly needs only the first few.
 */
export class Line<W extends Waiter> {
  #acrossTenants: boolean
  readonly #shortFirst: boolean
  /** Oldest first. */
  readonly #nodes = new Map<W, Node<W>>()
  /** By band, then tenant; the last but one is theirs who have begun. */
  readonly #bands = [0, 1, 2, 3].map(() => new Map<string, TenantLine<W>>())
  /** In arrival order, by priority. */
  readonly #byAge = priorities.map(() => new Set<Node<W>>())
  #starts = 0
  /** Seconds that the walk has given to each tenant. */
  readonly #offered = new Map<string, number>()
  readonly #counts: Record<Priority, number> = { interactive: 0, normal: 0, batch: 0 }
  readonly #models = new Map<string, Crowd>()
  /** Who waits, by key; any of them stands for all. */
  readonly #kinds = new Map<string, KindInLine<W>>()
  readonly #tenants = new Map<string, number>()
  readonly shares: Shares
  #arrived = 0
  #walks = 0

  constructor(
    acrossTenants: boolean,
    { shares = new Shares(), shortFirst = true }: { shares?: Shares; shortFirst?: boolean } = {},
  ) {
    this.#acrossTenants = acrossTenants
    this.#shortFirst = shortFirst
    this.shares = shares
  }

  /** After a reload: who waits is put in order anew. */
  orderAcrossTenants(acrossTenants: boolean): void {
    if (acrossTenants === this.#acrossTenants) return
    for (const node of this.#nodes.values()) this.#takeOut(node)
    this.#acrossTenants = acrossTenants
    for (const node of this.#nodes.values()) this.#putIn(node)
  }

  get size(): number {
    return this.#nodes.size
  }

  /** Different keys among those who wait. */
  get keys(): number {
    return this.#kinds.size
  }

  /** One of those who wait with each key. */
  *oneOfEach(): Generator<W, void> {
    for (const { nodes } of this.#kinds.values()) if (nodes.anyone) yield nodes.anyone.waiter
  }

  /** Names of the models that somebody waits for. */
  models(): Iterable<string> {
    return this.#models.keys()
  }

  countOf(model: string): number {
    return this.#models.get(model)?.count ?? 0
  }

  /**
   * How many would be served before a newcomer, at most: of its own tenant those who wait, of each other tenant as many
   * as would have had their turn by then. Bands behind its own do not count.
   */
  aheadOf(tenant: string, priority: Priority): number {
    const own = this.#bandOf(levels[priority])
    let ahead = 0
    for (const [at, band] of this.#bands.entries()) {
      if (at > own) break
      const turns = at < own ? Number.POSITIVE_INFINITY : (band.get(tenant)?.size ?? 0) + 1
      for (const [name, { size }] of band) ahead += name === tenant ? size : Math.min(size, turns)
    }
    return ahead
  }

  /** Batch work among those who want this model. */
  batchOf(model: string): number {
    return this.#models.get(model)?.batch ?? 0
  }

  /** How many of this tenant wait. */
  countOfTenant(tenant: string): number {
    return this.#tenants.get(tenant) ?? 0
  }

  /** How long those who want this model have waited, all together. */
  waitedMsOf(model: string, nowMs: number): number {
    const crowd = this.#models.get(model)
    return crowd ? crowd.count * nowMs - crowd.sinceMs : 0
  }

  byPriority(): Readonly<Record<Priority, number>> {
    return this.#counts
  }

  join(waiter: W): void {
    const node: Node<W> = {
      waiter,
      kind: this.#kindOf(waiter.key),
      sinceMs: waiter.sinceMs,
      deadlineMs: waiter.deadlineMs,
      serviceMs: (waiter.serviceS ?? 1) * 1_000,
      arrival: this.#arrived++,
      level: levels[waiter.priority],
      walk: 0,
      place: -1,
      before: undefined,
      after: undefined,
    }
    this.#nodes.set(waiter, node)
    this.#byAge[node.level]!.add(node)
    this.#countIn(waiter)
    this.#kindOf(waiter.key).nodes.add(node)
    this.#putIn(node)
  }

  /** What it waits for has changed: `change` writes the new key into it. */
  rekey(waiter: W, change: () => void): void {
    const node = this.#nodes.get(waiter)
    if (node) this.#outOfKind(node)
    change()
    if (!node) return
    const kind = this.#kindOf(waiter.key)
    node.kind = kind
    kind.nodes.add(node)
  }

  /** It was given a seat. */
  served(waiter: W): boolean {
    this.#starts++
    return this.leave(waiter)
  }

  /** It gave up. */
  leave(waiter: W): boolean {
    const node = this.#nodes.get(waiter)
    if (!node) return false
    this.#nodes.delete(waiter)
    this.#byAge[node.level]!.delete(node)
    this.#takeOut(node)
    this.#outOfKind(node)
    this.#countOut(waiter)
    return true
  }

  /** The batch request that came last, of the tenant that has most in line: the first to make room for others. */
  lastInPlace(): W | undefined {
    let last: W | undefined
    for (const { waiter } of this.#byAge[levels.batch]!) {
      // Its client would lose what it has.
      if (waiter.hasBegun) continue
      if (!last || this.countOfTenant(waiter.tenant) >= this.countOfTenant(last.tenant))
        last = waiter
    }
    return last
  }

  /** In arrival order. */
  waiters(): Iterable<W> {
    return this.#nodes.keys()
  }

  oldestSinceMs(): number | undefined {
    for (const waiter of this.#nodes.keys()) return waiter.sinceMs
    return undefined
  }

  /**
   * In the order in which seats are offered, as if everybody before had been served. One walk at a time: who begins
   * another one ends the first. Whoever is taken out on the way is not missed, and whoever is `passed` over, which may
   * become more on the way, does not count as served.
   */
  *inOrder(nowMs: number, passed: Passed = nobody): Generator<W, void> {
    const walk = ++this.#walks
    this.#offered.clear()
    if (this.#starts % overdueEvery === overdueEvery - 1)
      for (const node of this.#overdue(nowMs, passed)) {
        if (isPassed(node, walk, passed)) continue
        node.walk = walk
        yield node.waiter
        if (walk !== this.#walks) return
      }
    for (const band of this.#bands) {
      const sorted: TenantLine<W>[] = []
      for (const tenant of band.values()) {
        const { tenant: name } = tenant
        tenant.walkS = this.shares.of(name, nowMs) + (this.#offered.get(name) ?? 0)
        if (band.size > 1) tenant.findOldest(walk, passed)
        sorted.push(tenant)
      }
      sorted.sort((one, other) => this.#before(one, other))
      while (sorted.length > 0) {
        const tenant = sorted[0]!
        const node = tenant.next(walk, nowMs, this.#shortFirst, passed)
        if (!node) {
          sorted.shift()
          continue
        }
        node.walk = walk
        const seconds = node.serviceMs / 1_000
        tenant.walkS += seconds
        this.#offered.set(tenant.tenant, (this.#offered.get(tenant.tenant) ?? 0) + seconds)
        if (sorted.length > 1) {
          tenant.findOldest(walk, passed)
          this.#sink(sorted)
        }
        yield node.waiter
        if (walk !== this.#walks) return
      }
    }
  }

  /** The least served first; among equals whose next one came first. */
  #before(one: TenantLine<W>, other: TenantLine<W>): number {
    return one.walkS - other.walkS || one.oldest - other.oldest
  }

  /** The first of a sorted list has become larger. */
  #sink(sorted: TenantLine<W>[]): void {
    const tenant = sorted[0]!
    let at = 0
    while (at + 1 < sorted.length && this.#before(sorted[at + 1]!, tenant) < 0) {
      sorted[at] = sorted[at + 1]!
      at++
    }
    sorted[at] = tenant
  }

  /** Those that should have been served long ago, the one that should have longest ago first. */
  #overdue(nowMs: number, passed: Passed): Node<W>[] {
    const found: Node<W>[] = []
    for (const [band, priority] of priorities.entries()) {
      let count = 0
      for (const node of this.#byAge[band]!) {
        if (nowMs - node.sinceMs <= overdueAfterMs[priority]) break
        if (passed.has(node.waiter.key)) continue
        if (++count > overdueMost) break
        found.push(node)
      }
    }
    return found.sort(byDue).slice(0, overdueMost)
  }

  #putIn(node: Node<W>): void {
    const band = this.#bands[this.#bandOf(node.level, node.waiter.hasBegun)]!
    const { tenant } = node.waiter
    let line = band.get(tenant)
    if (!line) {
      line = new TenantLine(tenant)
      band.set(tenant, line)
    }
    line.add(node)
  }

  #takeOut(node: Node<W>): void {
    const band = this.#bands[this.#bandOf(node.level, node.waiter.hasBegun)]!
    const { tenant } = node.waiter
    const line = band.get(tenant)!
    line.remove(node)
    if (line.size === 0) band.delete(tenant)
  }

  /** Without leave to step before others, all who are not batch stand in one band. */
  #bandOf(level: number, hasBegun = false): number {
    if (level === levels.batch) return hasBegun ? bandOfBegun : bandOfBatch
    return this.#acrossTenants ? level : levels.normal
  }

  #countIn(waiter: W): void {
    this.#counts[waiter.priority]++
    add(this.#tenants, waiter.tenant)
    let crowd = this.#models.get(waiter.model)
    if (!crowd) {
      crowd = { count: 0, batch: 0, sinceMs: 0 }
      this.#models.set(waiter.model, crowd)
    }
    crowd.count++
    crowd.sinceMs += waiter.sinceMs
    if (waiter.priority === 'batch') crowd.batch++
  }

  #kindOf(key: string): KindInLine<W> {
    let kind = this.#kinds.get(key)
    if (!kind) {
      kind = { key, passedIn: 0, nodes: new Roster() }
      this.#kinds.set(key, kind)
    }
    return kind
  }

  #outOfKind(node: Node<W>): void {
    const { key } = node.kind
    const nodes = this.#kinds.get(key)?.nodes
    nodes?.delete(node)
    if (nodes?.size === 0) this.#kinds.delete(key)
  }

  #countOut(waiter: W): void {
    this.#counts[waiter.priority]--
    drop(this.#tenants, waiter.tenant)
    const crowd = this.#models.get(waiter.model)!
    crowd.count--
    crowd.sinceMs -= waiter.sinceMs
    if (waiter.priority === 'batch') crowd.batch--
    if (crowd.count === 0) this.#models.delete(waiter.model)
  }
}

const nobody: Passed = new Set()

function byDue<W extends Waiter>(one: Node<W>, other: Node<W>): number {
  return dueMs(one) - dueMs(other)
}

function dueMs<W extends Waiter>({ sinceMs, waiter }: Node<W>): number {
  return sinceMs + overdueAfterMs[waiter.priority]
}

function add(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function drop(counts: Map<string, number>, key: string): void {
  const left = (counts.get(key) ?? 1) - 1
  if (left > 0) counts.set(key, left)
  else counts.delete(key)
}
