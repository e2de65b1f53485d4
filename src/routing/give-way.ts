import { prefillSAt } from './costs/rates.ts'
import type { LineView, Snapshot, Waiting } from './plan.ts'

/** So many at the head of the line are looked at: whoever stands further back does not get the next seats anyway. */
const lookedAtMost = 16
/** A person's wait that is shorter is not worth an interruption. */
const savedLeastS = 0.5
/** What is read twice takes its machine from everybody: a second of it must save a person so many. */
const savedForReread = 1
/** So many who could give way are asked for each who waits. */
const askedMost = 4

/** Somebody on a seat, as one who waits for it sees it. */
export interface Worker {
  readonly weights: string
  /** Seconds until it ends by itself. */
  readonly secondsLeft: number
  /** It could go on later: batch work that says something already, so that its prompt is read. */
  readonly gives: boolean
  /** Of its prompt and of what it has said: they would be read again. */
  readonly tokens: number
}

/** What only the owner of requests and seats can tell. */
export interface Giving<W, R extends Worker> {
  /** Who works at an endpoint; the same objects as long as one decision takes. */
  workersAt(endpoint: string): readonly R[]
  /** A seat is on its way to it already. */
  isOwed(waiting: W): boolean
  /** True: this one gives its seat to that one, now. */
  mayGive(worker: R, waiting: W, why: WhyGiven): boolean
}

/** What an interruption was expected to bring and to cost, in seconds. */
export interface WhyGiven {
  /** The person's first word comes so much sooner. */
  readonly savedS: number
  /** The prompt and what was said so far are read again. */
  readonly rereadS: number
}

/** Somebody who could give way. */
interface Giver<R> extends WhyGiven {
  readonly worker: R
  /** What is saved, less what is read twice. */
  readonly worthS: number
}

/**
 * Batch work that should give its seat to a person: it loses no word, since it goes on later, and only its prompt and
 * what it has said so far are read again. That is worth it where somebody interactive would otherwise wait for a seat
 * longer than the reading takes.
 *
 * `giving` is asked about the best ones first, and acts where it says yes.
 */
export function giveWay<W extends Waiting, R extends Worker>(
  snapshot: Snapshot,
  line: LineView<W>,
  giving: Giving<W, R>,
): void {
  const given = new Set<R>()
  /** Waiters before this one for each model: they get the seats that come free first. */
  const ahead = new Map<string, number>()
  let looked = 0
  for (const waiting of line.inOrder(snapshot.nowMs, nobody)) {
    if (++looked > lookedAtMost) return
    const { model, seat } = waiting.need
    // Batch work that is overdue may stand before people; it takes one seat in ten.
    if (!seat || waiting.priority === 'batch' || giving.isOwed(waiting)) continue
    const before = ahead.get(model) ?? 0
    ahead.set(model, before + 1)
    if (waiting.priority !== 'interactive') continue
    const givers = giversFor(snapshot, waiting, giving, before, given)
    const giver = givers
      .slice(0, askedMost)
      .find(({ worker, savedS, rereadS }) => giving.mayGive(worker, waiting, { savedS, rereadS }))
    if (!giver) continue
    given.add(giver.worker)
    // It does not wait for one of the seats that come free by themselves.
    ahead.set(model, before)
  }
}

/** The best first. */
function giversFor<W extends Waiting, R extends Worker>(
  snapshot: Snapshot,
  waiting: W,
  giving: Giving<W, R>,
  before: number,
  given: ReadonlySet<R>,
): Giver<R>[] {
  const field = snapshot.fieldOf(waiting)
  if (field.distrust !== undefined) return []
  const { promptTokens } = waiting.work
  const firstWordsS: number[] = []
  const candidates: { worker: R; firstWordS: number; rereadS: number }[] = []
  for (const [at, place] of field.places.entries()) {
    if (!place.warm || place.held) continue
    const workers = giving.workersAt(place.endpoint.name)
    const readTokenS = prefillSAt(place.rates, workers.length)
    const cached = snapshot.hasCaches ? snapshot.cachedTokens(waiting, field, at) : 0
    const firstWordS = Math.max(0, promptTokens - cached) * readTokenS
    for (let seat = 0; seat < place.free; seat++) firstWordsS.push(firstWordS)
    for (const worker of workers) {
      if (worker.weights !== place.weights || given.has(worker)) continue
      firstWordsS.push(worker.secondsLeft + firstWordS)
      if (worker.gives) candidates.push({ worker, firstWordS, rereadS: worker.tokens * readTokenS })
    }
  }
  firstWordsS.sort(ascending)
  const otherwiseS = firstWordsS[Math.min(before, firstWordsS.length - 1)] ?? 0
  const givers: Giver<R>[] = []
  for (const { worker, firstWordS, rereadS } of candidates) {
    const savedS = otherwiseS - firstWordS
    const worthS = savedS - savedForReread * rereadS
    if (savedS > savedLeastS && worthS > 0) givers.push({ worker, savedS, rereadS, worthS })
  }
  return givers.sort((one, other) => other.worthS - one.worthS)
}

const ascending = (one: number, other: number) => one - other
const nobody: ReadonlySet<string> = new Set()
