/** Expected services are told apart by doublings, from a sixteenth of a second to an hour. */
const classCount = 16
const classFirst = -4
/**
 * Twice as long a service has to have waited so many times as long. Measured with chats in bursts (B2 `gamma`, 12 seeds,
 * twice): short ones take 0.47 and 0.53 of the best peer's time with 6, 0.43 and 0.49 with this, 0.43 and 0.47 with 12; the
 * slowest of a hundred at a steady load of 0.85 0.70, 0.72 and 0.72 of HAProxy's.
 */
const waitOfDoubling = 10
/** Everybody has waited at least so long: two who have just come are not endlessly far apart. */
const waitedLeastMs = 1_000
/** A deadline counts when less than this is left beyond the service itself … */
const slackMs = 5_000
/** … or less than so many services. */
const slackServices = 3
/** Interactive, normal, batch. */
const levelCount = 3
const levelOfBatch = 2
/** What the wait of each class is divided by. */
const sizeOf = Array.from({ length: classCount }, (_, at) => waitOfDoubling ** at)

/** All who have one key: they can use the same seats. */
export interface Kind {
  readonly key: string
  /** The last walk that was seen to pass it over. */
  passedIn: number
}

/** Keys of those whom a walk passes over; they become more on its way, never fewer. */
export type Passed = ReadonlySet<string>

/** Somebody in a tenant's line, with its place there. */
export interface Node<W> {
  readonly waiter: W
  kind: Kind
  readonly sinceMs: number
  readonly deadlineMs: number | undefined
  /** Expected service in milliseconds. */
  readonly serviceMs: number
  /** The number of its arrival. */
  readonly arrival: number
  /** 0: interactive, 1: normal, 2: batch. */
  readonly level: number
  /** The walk in which it was offered last. */
  walk: number
  /** Among those with its key. */
  place: number
  before: Node<W> | undefined
  after: Node<W> | undefined
}

/** Most of those whom a walk meets are passed over: their kind says so, and the texts of their keys are not compared. */
export function isPassed<W>({ kind }: Node<W>, walk: number, passed: Passed): boolean {
  if (kind.passedIn === walk) return true
  if (!passed.has(kind.key)) return false
  kind.passedIn = walk
  return true
}

/** First come, first served, with leaving at any place. */
class Row<W> {
  first: Node<W> | undefined
  #last: Node<W> | undefined
  /** Where the walk stands in it. */
  cursor: Node<W> | undefined
  walk = -1

  /** By arrival, also of those who are put in order anew. */
  add(node: Node<W>): void {
    let before = this.#last
    while (before && before.arrival > node.arrival) before = before.before
    node.before = before
    node.after = before ? before.after : this.first
    if (node.after) node.after.before = node
    else this.#last = node
    if (before) before.after = node
    else this.first = node
  }

  remove(node: Node<W>): void {
    if (node.before) node.before.after = node.after
    else this.first = node.after
    if (node.after) node.after.before = node.before
    else this.#last = node.before
    node.before = undefined
    node.after = undefined
  }

  /** The first one that this walk has not offered yet, and does not pass over. */
  next(walk: number, passed: Passed): Node<W> | undefined {
    if (this.walk !== walk) {
      this.walk = walk
      this.cursor = this.first
    }
    let node = this.cursor
    while (node && (node.walk === walk || isPassed(node, walk, passed))) node = node.after
    this.cursor = node
    return node
  }
}

/**
 * Those of one tenant who wait in one band. Its urgent ones go first; among these whoever's deadline is near, else
 * whoever has waited longest for its size: a short one soon, a long one in the end. Sizes are told apart by doublings,
 * and within one of these arrival counts, so that nothing has to be sorted. Batch work goes by arrival alone: nobody
 * waits for one piece of it, and of the parts of one run, whose answers are let out in order, the oldest holds up all.
 */
export class TenantLine<W> {
  readonly tenant: string
  /** By level, then by class. */
  readonly #rows: (Row<W> | undefined)[] = Array.from({ length: levelCount * classCount })
  readonly #sizes = [0, 0, 0]
  /** With deadlines, soonest first, for each level. */
  readonly #deadlines: Node<W>[][] = [[], [], []]
  size = 0
  /** Machine-seconds that its tenant was given, and would be by the walk that goes on. */
  walkS = 0
  /** Arrival of the oldest one, as the walk stands. */
  oldest = 0

  constructor(tenant: string) {
    this.tenant = tenant
  }

  add(node: Node<W>): void {
    this.size++
    this.#sizes[node.level]!++
    this.#rowOf(node).add(node)
    if (node.deadlineMs === undefined) return
    const list = this.#deadlines[node.level]!
    let at = list.length
    while (at > 0 && list[at - 1]!.deadlineMs! > node.deadlineMs) at--
    list.splice(at, 0, node)
  }

  remove(node: Node<W>): void {
    this.size--
    this.#sizes[node.level]!--
    this.#rowOf(node).remove(node)
    if (node.deadlineMs === undefined) return
    const list = this.#deadlines[node.level]!
    list.splice(list.indexOf(node), 1)
  }

  /** Finds the oldest one that this walk has not offered yet. */
  findOldest(walk: number, passed: Passed): void {
    this.oldest = Number.POSITIVE_INFINITY
    for (const row of this.#rows) {
      const node = row?.next(walk, passed)
      if (node && node.arrival < this.oldest) this.oldest = node.arrival
    }
  }

  /** Who is next, of those that this walk has not offered yet; `shortFirst` false: by arrival alone. */
  next(walk: number, nowMs: number, shortFirst: boolean, passed: Passed): Node<W> | undefined {
    for (let level = 0; level < levelCount; level++) {
      if (this.#sizes[level] === 0) continue
      const found =
        this.#dueAt(level, walk, nowMs, passed) ??
        this.#nextAt(level, walk, nowMs, shortFirst, passed)
      if (found) return found
    }
    return undefined
  }

  #dueAt(level: number, walk: number, nowMs: number, passed: Passed): Node<W> | undefined {
    for (const node of this.#deadlines[level]!) {
      if (node.walk === walk || isPassed(node, walk, passed)) continue
      const slack = node.deadlineMs! - nowMs - node.serviceMs
      return slack < Math.max(slackMs, slackServices * node.serviceMs) ? node : undefined
    }
    return undefined
  }

  #nextAt(
    level: number,
    walk: number,
    nowMs: number,
    shortFirst: boolean,
    passed: Passed,
  ): Node<W> | undefined {
    let best: Node<W> | undefined
    let bestRank = Number.NEGATIVE_INFINITY
    const bySize = shortFirst && level !== levelOfBatch
    const from = level * classCount
    for (let at = from; at < from + classCount; at++) {
      const node = this.#rows[at]?.next(walk, passed)
      if (!node) continue
      const waited = nowMs - node.sinceMs + waitedLeastMs
      // The same size for all of a class, or arrival would not count within it.
      const rank = bySize ? waited / sizeOf[at - from]! : -node.arrival
      if (rank > bestRank || (rank === bestRank && node.arrival < best!.arrival)) {
        best = node
        bestRank = rank
      }
    }
    return best
  }

  #rowOf({ level, serviceMs }: Node<W>): Row<W> {
    const size = Math.floor(Math.log2(Math.max(1, serviceMs) / 1_000)) - classFirst
    const at = level * classCount + Math.max(0, Math.min(classCount - 1, size))
    this.#rows[at] ??= new Row()
    return this.#rows[at]
  }
}
