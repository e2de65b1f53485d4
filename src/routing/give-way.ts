import { prefillSAt } from './costs/rates.ts'
import type { LineView, Snapshot, Waiting } from './plan.ts'
import { look, type Run, type Running } from './running.ts'

/** So many at the head of the line are looked at: whoever stands further back does not get the next seats anyway. */
const lookedAtMost = 16
/** A person's wait that is shorter is not worth an interruption. */
const savedLeastS = 0.5
/** What is read twice takes its machine from everybody: a second of it must save a person so many. */
const savedForReread = 1
/** So many who could give way are asked for each who waits. */
const askedMost = 4

/** What only the owner of requests and seats can tell. */
export interface Giving<W> {
  /** A seat is on its way to it already. */
  isOwed(waiting: W): boolean
  /** True: this one gives its seat to that one, now. */
  mayGive(run: Run, waiting: W, why: WhyGiven): boolean
}

/** What an interruption was expected to bring and to cost, in seconds. */
export interface WhyGiven {
  /** The person's first word comes so much sooner. */
  readonly savedS: number
  /** The prompt and what was said so far are read again. */
  readonly rereadS: number
}

/** Somebody who could give way. */
interface Giver extends WhyGiven {
  readonly run: Run
  /** What is saved, less what is read twice. */
  readonly worthS: number
}

/**
 * Batch work that should give its seat to a person: it loses no word, since it goes on later, and only its prompt and
 * what it has said so far are read again. That is worth it where somebody interactive, before whom the line puts
 * nobody else's batch work, would otherwise wait for a seat longer than the reading takes.
 *
 * `giving` is asked about the best ones first, and acts where it says yes.
 */
export function giveWay<W extends Waiting>(
  snapshot: Snapshot,
  line: LineView<W>,
  running: Running,
  giving: Giving<W>,
): void {
  const given = new Set<Run>()
  /** Waiters before this one for each model: they get the seats that come free first. */
  const ahead = new Map<string, number>()
  let looked = 0
  for (const waiting of line.inOrder(snapshot.nowMs, nobody)) {
    if (++looked > lookedAtMost || waiting.priority === 'batch') return
    const { model, seat } = waiting.need
    if (!seat || giving.isOwed(waiting)) continue
    const before = ahead.get(model) ?? 0
    ahead.set(model, before + 1)
    if (waiting.priority !== 'interactive') continue
    const givers = giversFor(snapshot, waiting, running, before, given)
    const giver = givers
      .slice(0, askedMost)
      .find(({ run, savedS, rereadS }) => giving.mayGive(run, waiting, { savedS, rereadS }))
    if (!giver) continue
    given.add(giver.run)
    // It does not wait for one of the seats that come free by themselves.
    ahead.set(model, before)
  }
}

/** The best first. */
function giversFor(
  snapshot: Snapshot,
  waiting: Waiting,
  running: Running,
  before: number,
  given: ReadonlySet<Run>,
): Giver[] {
  const field = snapshot.fieldOf(waiting)
  if (field.distrust !== undefined) return []
  const { promptTokens } = waiting.work
  const firstWordsS: number[] = []
  const candidates: { run: Run; firstWordS: number; rereadS: number }[] = []
  for (const [at, place] of field.places.entries()) {
    if (!place.warm || place.held) continue
    const runs = running.of(place.endpoint.name)
    const readTokenS = prefillSAt(place.rates, runs.length)
    const cached = snapshot.hasCaches ? snapshot.cachedTokens(waiting, field, at) : 0
    const firstWordS = Math.max(0, promptTokens - cached) * readTokenS
    for (let seat = 0; seat < place.free; seat++) firstWordsS.push(firstWordS)
    for (const run of runs) {
      if (run.served.weights !== place.weights || given.has(run)) continue
      look(run, runs.length, snapshot.nowMs)
      firstWordsS.push(run.secondsLeft + firstWordS)
      if (!isGiver(run)) continue
      const rereadS = (run.work.promptTokens + run.progress.pieces) * readTokenS
      candidates.push({ run, firstWordS, rereadS })
    }
  }
  firstWordsS.sort(ascending)
  const otherwiseS = firstWordsS[Math.min(before, firstWordsS.length - 1)] ?? 0
  const givers: Giver[] = []
  for (const { run, firstWordS, rereadS } of candidates) {
    const savedS = otherwiseS - firstWordS
    const worthS = savedS - savedForReread * rereadS
    if (savedS > savedLeastS && worthS > 0) givers.push({ run, savedS, rereadS, worthS })
  }
  return givers.sort((one, other) => other.worthS - one.worthS)
}

/** It says something already: there is something to go on with, and its prompt is read. */
function isGiver({ isBatch, loadEndsMs, progress }: Run): boolean {
  return isBatch && loadEndsMs === 0 && progress.pieces > 0
}

const ascending = (one: number, other: number) => one - other
const nobody: ReadonlySet<string> = new Set()
