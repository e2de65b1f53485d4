import type { EndpointView } from '../core/endpoint-view.ts'
import type { Figures } from '../core/observer.ts'
import type { RoutingSettings } from '../core/settings.ts'
import type { Barred } from './able.ts'
import { Costs } from './costs/costs.ts'
import type { RequestSize } from './costs/sample.ts'
import { decide, decideFor } from './decide.ts'
import type { DecisionEntry } from './decision-entry.ts'
import { type Decision, Decisions } from './decisions.ts'
import type { Tastes } from './field.ts'
import { type Giving, giveWay, type Worker } from './give-way.ts'
import { type Hindered, hinderedAt } from './hindered.ts'
import type { Priority } from './line.ts'
import type { Need } from './need.ts'
import { recording, recordingGivings, recordingOne } from './noting.ts'
import { Turns } from './pickers.ts'
import type { Action, Crowds, LineView, Waiting } from './plan.ts'
import type { Prices } from './prices.ts'
import type { OperatorWords } from './rules/meant.ts'
import { look, type Progress, type Run, Running } from './running.ts'
import { Rush } from './rush.ts'
import { Shares } from './shares.ts'
import { Survey } from './survey.ts'
import { expectedSecondsIn, type Table } from './table.ts'
import type { Work } from './work.ts'

export interface DispatcherDoors {
  readonly endpoints: () => readonly EndpointView[]
  readonly tastes?: Tastes
  readonly prices?: Prices
  /** What was learned before; nothing unless given. */
  readonly costs?: Costs
  /** Is given every decision, about the line and about newcomers, to be made again one day; undefined: nothing is noted. */
  readonly record?: (entry: DecisionEntry) => void
}

type Start<W> = Action<W> & { readonly kind: 'start' }

/** What would be done with a request; somebody asks, so that it is told with all that it is made of. */
export type Would =
  | Start<Waiting>
  | (Action<Waiting> & { readonly kind: 'promise'; readonly table: Table })
  | (Action<Waiting> & { readonly kind: 'nobody' })
  | {
      readonly kind: 'putOff'
      readonly hindered: readonly Hindered[]
      readonly barred: readonly Barred[]
    }

/**
 * Routing in one piece: what was learned, what runs, and the decisions made of both. It knows no proxy and reads no
 * clock, so that a study in virtual time drives the very same thing.
 *
 *     line.join(waiting)
 *     for (const action of dispatcher.decide(line, nowMs)) …        start: take the seat, then `began`
 *     … dispatcher.loaded(run, nowMs) … dispatcher.ended(run, nowMs, how)
 */
export class Dispatcher {
  readonly costs: Costs
  readonly running = new Running()
  readonly decisions = new Decisions()
  /** What tenants were given of late; the order of the line goes by it. */
  readonly shares = new Shares()
  readonly #rush = new Rush()
  readonly #record: DispatcherDoors['record']
  readonly #survey: Survey
  /** For questions: it takes no turns. */
  readonly #glance: Survey

  constructor(doors: DispatcherDoors, settings: RoutingSettings) {
    this.costs = doors.costs ?? new Costs()
    const { costs, running } = this
    const turns = new Turns()
    const rush = this.#rush
    this.#record = doors.record
    this.#survey = new Survey({ ...doors, costs, running, turns, rush }, settings)
    const asIs = {
      nextOf: turns.nextOf.bind(turns),
      turnOf: turns.turnOf.bind(turns),
      nextAfter: turns.nextAfter.bind(turns),
      took: untouched,
    }
    const glances = { costs, running, rush, turns: asIs, explaining: true }
    this.#glance = new Survey({ ...doors, ...glances }, settings)
  }

  reconfigure(settings: RoutingSettings): void {
    this.#survey.settings = settings
    this.#glance.settings = settings
  }

  /** A request has come, and wants a seat. */
  arrived(model: string, priority: Priority, nowMs: number): void {
    if (priority === 'interactive') this.#rush.note(model, nowMs)
  }

  /** What a request is expected to take of whoever serves it. */
  workOf(size: RequestSize): Work {
    return this.costs.workOf(size)
  }

  /** Who of those in line is served where, now. */
  decide<W extends Waiting>(line: LineView<W>, nowMs: number): Action<W>[] {
    const snapshot = this.#survey.at(nowMs)
    if (!this.#record) return decide(snapshot, line)
    const noted = recording(snapshot, line)
    const actions = decide(noted.snapshot, noted.line)
    this.#record(noted.done(actions))
    return actions
  }

  /** The same for one who does not stand in line; undefined: there is nothing for it now. */
  decideFor<W extends Waiting>(waiting: W, line: Crowds, nowMs: number): Action<W> | undefined {
    const snapshot = this.#survey.at(nowMs)
    if (!this.#record) return decideFor(snapshot, waiting, line)
    const noted = recordingOne(snapshot, waiting, line)
    const action = decideFor(noted.snapshot, waiting, line)
    this.#record(noted.done(action))
    return action
  }

  /**
   * Has batch work give its seats to people in line, one to each, in the order of the line: `owner` has the last word on
   * each, and does it. Only where somebody gave it is noted: all others go on as they were.
   */
  giveWay<W extends Waiting>(line: LineView<W>, nowMs: number, owner: SeatOwner<W>): void {
    const snapshot = this.#glance.at(nowMs)
    const workers = new Map<string, readonly RunAtWork[]>()
    const giving: Giving<W, RunAtWork> = {
      ...owner,
      workersAt: (endpoint) => {
        let there = workers.get(endpoint)
        if (!there) {
          there = workersOf(this.running.of(endpoint), nowMs)
          workers.set(endpoint, there)
        }
        return there
      },
    }
    if (!this.#record) return giveWay(snapshot, line, giving)
    const noted = recordingGivings(snapshot, line, giving)
    giveWay(noted.snapshot, noted.line, noted.giving)
    const entry = noted.done()
    if (entry) this.#record(entry)
  }

  /** How likely a request is to be finished in so many seconds from its start, at the best place there is. */
  chanceWithin(waiting: Waiting, leftS: number, nowMs: number): number {
    const { work } = waiting
    let best: number | undefined
    for (const { rates, warm } of this.#glance.at(nowMs).fieldOf(waiting).places) {
      // Where nothing was measured nothing is hopeless.
      if (rates.samples < samplesEnough || !warm) return 1
      const writesS = leftS - work.promptTokens * rates.prefillS
      const chance = writesS <= 0 ? 0 : (work.lengths?.shareUpTo(writesS / rates.decodeS) ?? 1)
      best = Math.max(best ?? 0, chance)
    }
    return best ?? 1
  }

  /** One who stands in no line, for questions. */
  imagined(need: Need, size: RequestSize, priority: Priority, nowMs: number): Waiting {
    return {
      ...{ need, key: '', work: this.workOf(size), priority },
      ...{ sinceMs: nowMs, deadlineMs: undefined, promised: undefined },
    }
  }

  /** What would be done with a request now. Nothing is. */
  wouldDo(waiting: Waiting, line: Crowds, nowMs: number): Would {
    const snapshot = this.#glance.at(nowMs)
    const action = decideFor(snapshot, waiting, line)
    // Who asks gets the table of a promise as well.
    if (action) return action as Would
    return {
      kind: 'putOff',
      hindered: hinderedAt(snapshot, waiting, line),
      barred: snapshot.fieldOf(waiting).barred,
    }
  }

  /**
   * A place for a second sending of a request that is under way, if `may` agrees; it takes no turn. Only what is given
   * is noted: all others go on as they were.
   */
  decideBeside(
    need: Need & { readonly beside: string },
    size: RequestSize,
    line: Crowds,
    nowMs: number,
    may: (start: Start<Waiting>) => boolean,
  ): Start<Waiting> | undefined {
    const waiting = this.imagined(need, size, 'normal', nowMs)
    const snapshot = this.#glance.at(nowMs)
    const noted = this.#record && recordingOne(snapshot, waiting, line)
    const action = decideFor(noted?.snapshot ?? snapshot, waiting, line)
    if (action?.kind !== 'start' || !may(action)) return undefined
    if (noted) this.#record?.(noted.done(action))
    return action
  }

  /** Keeps a decision for those who will ask why. */
  noted(
    { waiting, table, barred }: Start<Waiting>,
    facts: Pick<Decision, 'id' | 'waitedMs' | 'atWallMs'> & Partial<OperatorWords>,
  ): Decision {
    const { promptTokens, outTokens } = waiting.work
    return this.decisions.add({
      id: facts.id,
      table,
      barred,
      atWallMs: facts.atWallMs,
      waitedMs: facts.waitedMs,
      substitute: facts.substitute,
      rules: facts.rules,
      modelRule: facts.modelRule,
      beside: waiting.need.beside,
      promptTokens,
      outTokens,
      expectedS: expectedSecondsIn(table),
      tookMs: undefined,
      gaveWay: undefined,
    })
  }

  /** The seat is taken. To be called before the next decision. */
  began<W extends Waiting>(
    { waiting, place, asTry, cachedTokens, isCold }: Start<W>,
    size: RequestSize,
    progress: Progress,
    nowMs: number,
  ): Run {
    this.shares.charge(size.tenant, waiting.work.serviceS, nowMs)
    return this.running.begin(
      {
        served: {
          endpoint: place.endpoint.name,
          weights: place.weights,
          sizeBytes: place.model?.sizeBytes,
        },
        size,
        work: waiting.work,
        isBatch: waiting.priority === 'batch',
        asTry,
        cachedTokens,
        rates: { ...place.rates },
        progress,
      },
      isCold,
      nowMs,
    )
  }

  /** The load that it waited for is over. */
  loaded(run: Run, nowMs: number): void {
    this.running.loaded(run, nowMs)
  }

  /** It is over: its seat is free, and something was learned. True: predictions are used again, or not any more. */
  ended(run: Run, nowMs: number, how: { figures: Figures | undefined; whole: boolean }): boolean {
    const sample = this.running.end(run, nowMs, how)
    // Charged by what was expected; now it is known how long the answer was.
    const outTokens = how.figures?.outputTokens ?? sample.pieces
    const beyond = outTokens - run.work.outTokens
    const { writeS } = this.costs.usualOf(run.size.model)
    if (run.work.lengths) this.shares.charge(run.size.tenant, beyond * writeS, nowMs)
    return this.costs.learn(sample)
  }

  /** Under this name there may be another machine from now on. */
  forget(endpoint: string): void {
    this.costs.forget(endpoint)
  }
}

/** Who tells what `giveWay` can not see, and gives the seats. */
export type SeatOwner<W> = Omit<Giving<W, RunAtWork>, 'workersAt'>

export interface RunAtWork extends Worker {
  readonly run: Run
}

function workersOf(runs: readonly Run[], nowMs: number): RunAtWork[] {
  return runs.map((run) => {
    look(run, runs.length, nowMs)
    const { isBatch, loadEndsMs, progress, served, work, secondsLeft } = run
    return {
      run,
      weights: served.weights,
      secondsLeft,
      gives: isBatch && loadEndsMs === 0 && progress.pieces > 0,
      tokens: work.promptTokens + progress.pieces,
    }
  })
}

/** Samples from which on a speed is known. */
const samplesEnough = 3
const untouched = () => {}
