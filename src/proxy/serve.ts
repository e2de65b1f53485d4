import { type Clock, sleep } from '../core/clock.ts'
import { Failure } from '../core/failure.ts'
import type { Continued, Ending, Observer } from '../core/observer.ts'
import { isDeath, isRace, type Outcome } from '../core/outcome.ts'
import { Roster } from '../core/roster.ts'
import type { RetrySettings, Settings } from '../core/settings.ts'
import type { Endpoint } from '../pool/endpoint.ts'
import type { Lease } from '../pool/lease.ts'
import { sayOutcome } from '../pool/outcome-words.ts'
import type { Pool } from '../pool/pool.ts'
import type { WhyGiven } from '../routing/give-way.ts'
import { Answer, type AnswerStyle } from './answer.ts'
import { failureOfEnd } from './answering/early-end.ts'
import { runAttempt } from './attempt.ts'
import type { Conformance } from './continuing/conformance.ts'
import type { Exchange } from './exchange.ts'
import { type Hedge, Hedging } from './hedge.ts'
import { KeptBudget } from './kept.ts'
import { Loading, wantsLoad } from './loading.ts'
import type { Loads } from './loads.ts'
import { Onward } from './onward.ts'
import { Oversight } from './oversight.ts'
import type { Placing } from './placing.ts'
import { Poison } from './poison.ts'
import { NotWanted } from './queue.ts'
import type { Refused } from './refused.ts'
import { attemptsLeft, deathsMax, isWorthRetrying, RetryBudget } from './retry.ts'
import { Seeking } from './seeking.ts'
import { sparesFor } from './spares.ts'
import { Suspect } from './suspect.ts'
import type { WaitingRoom } from './waiting-room.ts'
import type { Wire } from './wire.ts'

/** What an exchange needs of the house on its way. */
export interface ServeDoors {
  readonly pool: Pool
  readonly queue: WaitingRoom
  readonly loads: Loads
  readonly wire: Wire
  readonly clock: Clock
  readonly observer: Observer
  readonly settings: Settings
  /** A fresh look at the lists of models, when a name is on none of them. */
  readonly refreshForUnknown: () => Promise<void>
  /** A backend says that it has no such model: its list is asked for again. */
  readonly refresh: (endpoint: Endpoint) => Promise<void>
  /** The name of this proxy in Via. */
  readonly hop: string
  /** How models go on with what was begun. */
  readonly conformance: Conformance
  /** A request for a model has come. */
  readonly arrived?: (model: string) => void
  /** What the operator said of where requests go; undefined where there is one backend only. */
  readonly placing?: Placing | undefined
  /** Keeps what was refused and why, for those who ask. */
  readonly refused?: Refused | undefined
}

/** One exchange, from door to door: wait, lease, load, forward, judge, perhaps again, end in one sentence. */
export class Server {
  readonly #doors: ServeDoors
  readonly #budget: RetryBudget
  readonly #poison = new Poison()
  readonly #running = new Roster<Exchange>()
  readonly #keeping = new KeptBudget()
  readonly #hedging: Hedging
  readonly #seeking: Seeking
  readonly #loading: Loading
  readonly #onward: Onward
  readonly #oversight: Oversight

  constructor(doors: ServeDoors) {
    this.#doors = doors
    this.#seeking = new Seeking(doors)
    this.#loading = new Loading(doors)
    this.#onward = new Onward({
      ...doors,
      load: async (exchange, lease, answer) =>
        this.#loading.isNeeded(exchange, lease)
          ? await this.#load(exchange, lease, answer)
          : undefined,
    })
    const reported = (exchange: Exchange, done: Promise<void>) =>
      void done.catch((error) => asFailure(error, exchange, doors.observer))
    this.#oversight = new Oversight(this.#running, {
      clock: doors.clock,
      drainMs: () => doors.settings.timeouts.drainMs,
      move: (exchange) => reported(exchange, this.#onward.move(exchange)),
      expect: (exchange) => reported(exchange, this.#onward.expect(exchange)),
      streamsAt: (counts) => {
        const ready = doors.pool.endpoints.filter((endpoint) => endpoint.ready && endpoint.enabled)
        for (const [endpoint, spares] of sparesFor(counts, ready))
          doors.wire.keepSpare(endpoint.backend, spares)
      },
    })
    this.#budget = new RetryBudget(doors.settings.retries, doors.clock.now())
    this.#hedging = new Hedging(doors)
  }

  /** After a reload. */
  reconfigure(retries: RetrySettings): void {
    this.#budget.reconfigure(retries)
  }

  /** Loads what is only needed when a backend breaks off: then the client waits for it. */
  prepare(): void {
    this.#onward.prepare()
  }

  /**
   * Has a batch answer that streams give its seat to the request of that name and go on later; false: it can not, and
   * nothing has happened.
   */
  giveWay(exchange: Exchange, to: string, why: WhyGiven): boolean {
    return this.#onward.giveWay(exchange, to, why)
  }

  /** Which model answers it, and where it may go; once, before anything is made of it. */
  place(exchange: Exchange): void {
    if (exchange.isPlaced) return
    exchange.isPlaced = true
    try {
      this.#doors.placing?.place(exchange)
    } catch (error) {
      exchange.asked.body[Symbol.dispose]()
      throw error
    }
  }

  async serve(exchange: Exchange, style: AnswerStyle): Promise<Ending> {
    this.place(exchange)
    const { observer } = this.#doors
    const { asked } = exchange
    const answer = new Answer(exchange, style, this.#keeping)
    observer.exchangeStarted(asked.ask.family, asked.ask.op)
    const deadline = this.#deadline(exchange)
    exchange.answer = answer
    this.#running.add(exchange)
    this.#oversight.begin()
    // Not `using`: on the path of every request each one costs some microseconds.
    try {
      try {
        while ((await this.#carry(exchange, answer)) === 'again');
      } catch (error) {
        const failure = asFailure(error, exchange, observer)
        answer.failed(failure)
        this.#refused(exchange, failure)
      }
      this.#running.delete(exchange)
      this.#tell(exchange, answer)
      return answer.result.ending
    } finally {
      deadline?.[Symbol.dispose]()
      answer.letGo()
      exchange.asked.body[Symbol.dispose]()
    }
  }

  /** Whoever left knows why. */
  #refused(exchange: Exchange, error: Failure | NotWanted): void {
    const failure = error instanceof Failure ? error : failureOfEnd(exchange.endedBy)
    if (failure) this.#doors.refused?.note(exchange, failure, this.#doors.clock.wall())
  }

  #tell(exchange: Exchange, answer: Answer): void {
    const { observer, clock } = this.#doors
    const { asked } = exchange
    const { ending, status, code } = answer.result
    observer.exchangeEnded({
      id: asked.id,
      family: asked.ask.family,
      op: asked.ask.op,
      model: asked.ask.name.canonical,
      substitute: exchange.substitute,
      tenant: asked.tenant,
      priority: asked.priority,
      ending,
      status,
      code,
      backend: exchange.backend,
      attempts: exchange.attempts.length,
      trail: trailOf(exchange),
      continued: exchange.continued ?? noLegs,
      waitMs: exchange.waitMs,
      firstByteMs: exchange.firstByteMs,
      totalMs: clock.now() - asked.arrivedMs,
      bytesIn: asked.body.size,
      bytesOut: exchange.client.bytesOut,
      figures: exchange.figures,
    })
  }

  /** Ends what still runs with one error in the client's own format. */
  stopRunning(): void {
    for (const exchange of this.#running) exchange.stop()
  }

  /** Attempts until one counts. What the last one left behind is the answer. `again`: another model stands in. */
  async #carry(exchange: Exchange, answer: Answer): Promise<'again' | undefined> {
    const { clock, observer, queue } = this.#doors
    const { asked } = exchange
    const model = asked.ask.name.canonical
    this.#budget.earn()
    if (wantsLoad(exchange) && asked.ask.purpose === 'infer') this.#doors.arrived?.(model)
    if (this.#poison.any && (await this.#poison.isBanned(model, asked.body, clock.now())))
      throw poisoned()
    const suspect = new Suspect(model)
    const blame = () => suspect.blame()
    // Another backend answers it, so the request is no killer.
    answer.onFirstFrame = blame

    try {
      for (;;) {
        // Whoever has left starts nothing any more, not even a load for others.
        if (exchange.endedBy) throw new NotWanted()
        const lease = queue.leaseNow(exchange) ?? (await this.#seeking.lease(exchange, answer))
        if (lease === 'again') return 'again'
        if (!lease) break
        try {
          const { outcome, endpoint, death, fromMs } = await this.#try(
            exchange,
            answer,
            lease,
            suspect,
          )
          if (outcome.kind === 'answered') {
            queue.served(clock.now() - fromMs)
            if (answer.keeps) this.#onward.sighted(exchange, endpoint)
            break
          }
          if (death) {
            if (await this.#isKiller(exchange)) {
              suspect.acquit()
              await this.#poison.ban(model, asked.body, clock.now())
              if (!answer.started) throw poisoned()
              break
            }
            suspect.holds(endpoint, outcome)
          }
          if (!this.#mayTryAgain(exchange, answer, outcome)) break
          if (!isRace(outcome)) exchange.hasTried(endpoint)
          observer.retried(endpoint.name, outcome.kind)
        } finally {
          lease[Symbol.dispose]()
        }
      }
      if (this.#onward.mayGoOn(exchange, answer) && (await this.#goOn(exchange, answer)))
        return undefined
    } finally {
      blame()
    }
    answer.finish(exchange.attempts.at(-1)?.outcome)
    return undefined
  }

  /** One attempt, behind a load where that is needed; or two at the same time, of which one counts. */
  async #try(exchange: Exchange, answer: Answer, lease: Lease, suspect: Suspect): Promise<Tried> {
    const { clock, placing, settings } = this.#doors
    const { endpoint } = lease
    const fromMs = clock.now()
    exchange.backend = endpoint.name
    exchange.seatedMs = fromMs
    if (this.#loading.isNeeded(exchange, lease)) {
      const outcome = await this.#load(exchange, lease, answer)
      if (outcome) {
        this.#settle(exchange, answer, lease, fromMs, outcome)
        // No prompt has ever killed a load.
        return { outcome, endpoint, fromMs, death: false }
      }
    }
    const hedge = settings.hedge ? this.#hedging.of(exchange, lease, answer) : undefined
    if (hedge) return await this.#race(exchange, answer, hedge, suspect)
    const sending = placing?.sent(exchange, endpoint.name)
    const outcome = await runAttempt(exchange, lease, answer, this.#doors)
    if (sending) placing?.ended(exchange, endpoint, sending, outcome)
    const death = isKilling(exchange, outcome)
    this.#settle(exchange, answer, lease, fromMs, outcome, death)
    return { outcome, endpoint, fromMs, death }
  }

  /** An attempt that a second one may join; whichever is out first is settled while the other goes on. */
  async #race(exchange: Exchange, answer: Answer, given: Hedge, suspect: Suspect): Promise<Tried> {
    using hedge = given
    const outcome = await hedge.run(({ lease, takenMs }, how) => {
      const died = isKilling(exchange, how)
      this.#settle(exchange, answer, lease, takenMs, how, died)
      if (died) suspect.holds(lease.endpoint, how)
      if (isWorthRetrying(how) && !isRace(how)) exchange.hasTried(lease.endpoint)
    })
    const { lease, takenMs } = hedge.counts
    const death = isKilling(exchange, outcome)
    this.#settle(exchange, answer, lease, takenMs, outcome, death)
    if (outcome.kind !== 'answered') hedge.leaveSlower(this.#doors.pool)
    return { outcome, endpoint: lease.endpoint, fromMs: takenMs, death }
  }

  /** An attempt is over, and its seat free. `forgiven`: a runner died under it, which may be the request's own fault. */
  #settle(
    exchange: Exchange,
    answer: Answer,
    lease: Lease,
    fromMs: number,
    outcome: Outcome,
    forgiven = false,
  ): void {
    const { endpoint } = lease
    exchange.attempts.push({ backend: endpoint.name, outcome })
    if (forgiven) exchange.died(endpoint, outcome)
    const { figures } = exchange
    lease.settle(outcome, { figures, firstByteMs: answer.firstByteAfter(fromMs), forgiven })
    if (outcome.kind === 'refused' && outcome.why === 'noModel')
      this.#forget(endpoint, exchange.asked.ask.name.canonical)
  }

  /** True: another backend has given the client the rest of an answer that had broken off. */
  async #goOn(exchange: Exchange, answer: Answer): Promise<boolean> {
    const gone = await this.#onward.goOn(exchange, answer)
    if (gone !== false) return gone ?? false
    // Whoever went on with it died as well: the request is held to be the killer, as it is before the first byte.
    const { ask, body } = exchange.asked
    if (await this.#isKiller(exchange))
      await this.#poison.ban(ask.name.canonical, body, this.#doors.clock.now())
    return false
  }

  /** Two runners died under it, and nothing else did in the same moments. */
  async #isKiller(exchange: Exchange): Promise<boolean> {
    if (exchange.deaths < deathsMax) return false
    // Those that a dying host takes along are heard of one after another.
    await sleep(this.#doors.clock, hearAllMs)
    return exchange.deaths >= deathsMax
  }

  /** The outcome where the load was the end of the attempt. */
  #load(exchange: Exchange, lease: Lease, answer: Answer): Promise<Outcome | undefined> {
    // What has begun is not begun again, and who may not try again has nowhere to go.
    const isBound = answer.started || attemptsLeft(exchange.attempts, this.#doors.settings) < 2
    return this.#loading.wait(exchange, lease, answer, isBound)
  }

  #mayTryAgain(exchange: Exchange, answer: Answer, outcome: Outcome): boolean {
    if (answer.started || exchange.endedBy) return false
    if (!isWorthRetrying(outcome)) return false
    // A management call may have done half its work: only one that never left is sent again.
    if (!exchange.asked.ask.repeatable && outcome.kind !== 'unreachable') return false
    // What met a connection that was closing is sent again on a fresh one; that can happen once.
    if (isRace(outcome)) return true
    if (attemptsLeft(exchange.attempts, this.#doors.settings) < 1) return false
    // Where nobody was, or nothing was sent, nothing was done for it: that costs nobody anything.
    if (outcome.kind === 'unreachable') return true
    if (outcome.kind === 'refused' && outcome.why === 'loadsHang') return true
    return this.#budget.spend(this.#doors.clock.now())
  }

  #forget(endpoint: Endpoint, model: string): void {
    endpoint.forget(model)
    this.#doors.pool.learned()
    void this.#doors.refresh(endpoint)
  }

  #deadline(exchange: Exchange): Disposable | undefined {
    const { deadlineMs } = exchange.asked
    if (deadlineMs === undefined) return undefined
    return this.#doors.clock.after(deadlineMs - this.#doors.clock.now(), () => exchange.expire())
  }
}

/** A request that is held to be a killer may as well wait so long for its verdict. */
const hearAllMs = 100

/** What came of an attempt. */
interface Tried {
  readonly outcome: Outcome
  readonly endpoint: Endpoint
  /** When its seat was taken, on the clock's `now`. */
  readonly fromMs: number
  /** A runner died under it. */
  readonly death: boolean
}

/** A runner died under a request that may be the one that kills. */
function isKilling({ asked }: Exchange, outcome: Outcome): boolean {
  return isDeath(outcome) && asked.ask.repeatable
}

const noTrail: readonly string[] = Object.freeze([])
const noLegs: readonly Continued[] = Object.freeze([])

/** What each failed attempt was. */
function trailOf({ attempts }: Exchange): readonly string[] {
  if (attempts.length === 1 && attempts[0]!.outcome.kind === 'answered') return noTrail
  return attempts
    .filter(({ outcome }) => outcome.kind !== 'answered')
    .map(({ backend, outcome }) => `${backend}: ${sayOutcome(outcome)}`)
}

function poisoned(): Failure {
  return new Failure(
    'poison',
    'two model runners died under this request; it is refused for ten minutes',
  )
}

function asFailure(error: unknown, exchange: Exchange, observer: Observer): Failure | NotWanted {
  if (error instanceof Failure || error instanceof NotWanted) return error
  observer.noticed('an exchange failed inside the proxy', {
    id: exchange.asked.id,
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  })
  return new Failure('internal', 'something went wrong inside the proxy', { cause: error })
}
