import type { Clock } from '../core/clock.ts'
import { sleep } from '../core/clock.ts'
import type { Dice } from '../core/dice.ts'
import { failures } from '../core/failure.ts'
import type { AskInside, InnerAnswer, InnerCall, InnerCallRunning } from '../core/inner-call.ts'
import { type Said, wholeAnswer } from './answers.ts'
import type { Holder } from './fleet.ts'
import { type FreeSeat, type Straggler, seatForHedge } from './hedge.ts'
import type { NamedModel } from './order.ts'
import { afterFailure } from './retry-part.ts'
import type { AnsweredPart, Speeds } from './speeds.ts'

/** One thing to be asked: a part of the input, or a call that makes one answer of several. */
export interface Errand {
  readonly name: string
  readonly stage: 'map' | 'reduce'
  readonly model: NamedModel
  /** What it weighs, in tokens of its prompt. */
  readonly tokens: number
  /** A hedge is another exchange with the same body. */
  readonly call: Omit<InnerCall, 'id' | 'except'>
}

export type ErrandResult =
  | { readonly ok: true; readonly answer: InnerAnswer; readonly said: Said }
  | { readonly ok: false; readonly why: string; readonly answer: InnerAnswer }

/** What happened to an errand, for those who draw it. */
export interface ErrandTurn {
  readonly errand: Errand
  readonly state: 'answered' | 'retried' | 'hedged' | 'failed'
  readonly backend: string
  readonly tookMs: number
}

export interface PartRunnerDoors {
  readonly ask: AskInside
  readonly clock: Clock
  readonly dice: Dice
  readonly speeds: Speeds
  /** Who could serve a model for this run, as of now. */
  readonly holders: (model: NamedModel) => readonly Holder[]
  readonly turned: (turn: ErrandTurn) => void
}

/** What an errand under way is: its calls (two at most, the second a hedge), and what it has been through. */
interface UnderWay {
  readonly errand: Errand
  readonly calls: Set<InnerCallRunning>
  readonly failedAt: Set<string>
  failedTries: number
  sentAway: number
  awaySinceMs: number | undefined
  hedged: boolean
  /** Settles the current try. */
  told: ((heard: Heard) => void) | undefined
}

const nobody = 'nobody wants it'

/** What stands for the answer of an errand that was not sent, because nobody wants it any more … */
const unwanted: InnerAnswer = {
  status: 499,
  body: Buffer.alloc(0),
  code: undefined,
  backend: '',
  attempts: 0,
  waitMs: 0,
  servedMs: 0,
  figures: undefined,
}
/** … or because its time is over. */
const tooLate: InnerAnswer = {
  ...unwanted,
  status: failures.total_timeout.status,
  code: 'total_timeout',
}

/** What came of one try; `said` only where it is a whole answer. */
interface Heard {
  readonly answer: InnerAnswer
  readonly said: Said | undefined
}

/** How often those under way are looked at while nothing happens by itself. */
const lookEveryMs = 25

/**
 * Carries errands to their end: asked again elsewhere when a backend fails them, again after a moment when there is no
 * room, and a second time beside the first when that is expected sooner and no other work is left. Exactly one result
 * each, whatever happens.
 */
export class PartRunner implements Disposable {
  readonly #doors: PartRunnerDoors
  readonly #id: string
  readonly #moreToCome: () => boolean
  readonly #leftOut: ReadonlySet<string>
  readonly #underWay = new Set<UnderWay>()
  readonly #ended = new AbortController()
  #asked = 0
  #answered = 0
  #look: Disposable | undefined
  retried = 0
  hedged = 0

  constructor(
    id: string,
    doors: PartRunnerDoors,
    options: { leftOut: ReadonlySet<string>; moreToCome: () => boolean },
  ) {
    this.#id = id
    this.#doors = doors
    this.#leftOut = options.leftOut
    this.#moreToCome = options.moreToCome
  }

  /** Never rejects; resolves with a failure of status 499 once the runner is disposed. */
  async run(errand: Errand): Promise<ErrandResult> {
    const state: UnderWay = {
      errand,
      calls: new Set(),
      failedAt: new Set(),
      failedTries: 0,
      sentAway: 0,
      awaySinceMs: undefined,
      hedged: false,
      told: undefined,
    }
    this.#underWay.add(state)
    try {
      for (;;) {
        if (this.#ended.signal.aborted) return { ok: false, why: nobody, answer: unwanted }
        if (this.#isTooLate(errand)) return this.#neverAsked(errand)
        const { answer, said } = await this.#try(state)
        if (said) return { ok: true, answer, said }
        if (this.#ended.signal.aborted) return { ok: false, why: nobody, answer }
        const why = await this.#afterFailure(state, answer)
        if (why !== undefined) return { ok: false, why, answer }
      }
    } finally {
      this.#underWay.delete(state)
    }
  }

  /** Cancels everything in this very tick. */
  [Symbol.dispose](): void {
    this.#ended.abort()
    this.#look?.[Symbol.dispose]()
    for (const { calls } of this.#underWay) for (const call of calls) call.cancel()
  }

  #isTooLate({ call: { deadlineMs } }: Errand): boolean {
    return deadlineMs !== undefined && this.#doors.clock.now() >= deadlineMs
  }

  /** A backend that is asked when the time is over works for nobody. */
  #neverAsked(errand: Errand): ErrandResult {
    this.#doors.turned({ errand, state: 'failed', backend: '', tookMs: 0 })
    return { ok: false, why: 'the time for the whole answer was over', answer: tooLate }
  }

  #try(state: UnderWay): Promise<Heard> {
    return new Promise((resolve) => {
      state.told = resolve
      this.#start(state, this.#notThere(state))
    })
  }

  /** Where it failed it is not asked again, unless nobody else is left. */
  #notThere(state: UnderWay): ReadonlySet<string> {
    if (state.failedAt.size === 0) return this.#leftOut
    const not = new Set([...this.#leftOut, ...state.failedAt])
    const others = this.#doors.holders(state.errand.model).some(({ name }) => !not.has(name))
    if (others) return not
    state.failedAt.clear()
    return this.#leftOut
  }

  #start(state: UnderWay, except: ReadonlySet<string>): void {
    const { errand } = state
    const call = this.#doors.ask({ ...errand.call, id: `${this.#id}.${++this.#asked}`, except })
    state.calls.add(call)
    void call.answer.then((answer) => this.#heard(state, call, answer))
    this.#lookLater()
  }

  /** The first good answer counts and ends the other call; a bad one only when no other is under way. */
  #heard(state: UnderWay, call: InnerCallRunning, answer: InnerAnswer): void {
    state.calls.delete(call)
    const { told, errand } = state
    if (told === undefined) return
    const said = answer.status === 200 ? wholeAnswer(answer.body) : undefined
    if (said) {
      this.#answered++
      this.#learn(errand, answer)
      this.#doors.turned({ errand, state: 'answered', ...takenBy(answer) })
    } else if (state.calls.size > 0) {
      state.failedAt.add(answer.backend)
      return
    }
    state.told = undefined
    for (const loser of [...state.calls]) loser.cancel()
    told({ answer, said })
    // A seat came free: perhaps for one that is slow elsewhere.
    this.#considerHedges()
  }

  #learn({ model, tokens }: Errand, answer: InnerAnswer): void {
    this.#doors.speeds.learnPart(answer.backend, model.canonical, answeredPart(tokens, answer))
  }

  /** Undefined: it is to be tried again, and the time for that has come. */
  async #afterFailure(state: UnderWay, answer: InnerAnswer): Promise<string | undefined> {
    const { clock, dice, turned } = this.#doors
    const { code } = answer
    const away = code === 'all_away' || code === 'model_away' || code === 'no_backend'
    if (!away) state.awaySinceMs = undefined
    else state.awaySinceMs ??= clock.now()
    const next = afterFailure(
      answer,
      {
        failedTries: state.failedTries + 1,
        sentAway: state.sentAway,
        awayForMs: state.awaySinceMs === undefined ? 0 : clock.now() - state.awaySinceMs,
        runHasAnswers: this.#answered > 0,
      },
      dice.roll(),
    )
    if (next.kind === 'final') {
      turned({ errand: state.errand, state: 'failed', ...takenBy(answer) })
      return next.why
    }
    if (next.kind === 'wait') state.sentAway++
    else {
      state.failedTries++
      if (answer.backend !== '') state.failedAt.add(answer.backend)
      this.retried++
      turned({ errand: state.errand, state: 'retried', ...takenBy(answer) })
    }
    state.hedged = false
    await sleep(clock, next.delayMs, this.#ended.signal)
    return this.#ended.signal.aborted ? nobody : undefined
  }

  #lookLater(): void {
    if (this.#look || this.#ended.signal.aborted) return
    this.#look = this.#doors.clock.after(lookEveryMs, () => {
      this.#look = undefined
      if (this.#underWay.size === 0) return
      this.#considerHedges()
      this.#lookLater()
    })
  }

  #considerHedges(): void {
    if (this.#ended.signal.aborted || this.#underWay.size === 0 || this.#moreToCome()) return
    const waiting = [...this.#underWay].some(({ calls }) =>
      [...calls].some((call) => call.onSeatSinceMs === undefined),
    )
    // A free seat is theirs who have none yet.
    if (waiting) return
    const taken = new Set<string>()
    for (const { state, backend, onSeatForMs, expectedMs } of this.#stragglers()) {
      const seat = seatForHedge(
        { backend, onSeatForMs, expectedMs },
        this.#freeSeats(state.errand, taken),
      )
      if (!seat) continue
      taken.add(seat.backend)
      state.hedged = true
      this.hedged++
      this.#doors.turned({
        errand: state.errand,
        state: 'hedged',
        backend: seat.backend,
        tookMs: onSeatForMs,
      })
      const others = this.#doors
        .holders(state.errand.model)
        .filter(({ name }) => name !== seat.backend)
      this.#start(state, new Set([...this.#leftOut, ...others.map(({ name }) => name)]))
    }
  }

  /** Under way once, never twice; who is expected last comes first. */
  #stragglers() {
    const now = this.#doors.clock.now()
    const stragglers: (Straggler & { state: UnderWay })[] = []
    for (const state of this.#underWay) {
      const [call] = state.calls
      if (state.hedged || !call || call.onSeatSinceMs === undefined) continue
      const { model, tokens } = state.errand
      const expectedMs = this.#doors.speeds.expectedMs(call.backend, model.canonical, tokens)
      stragglers.push({
        state,
        backend: call.backend,
        onSeatForMs: now - call.onSeatSinceMs,
        expectedMs,
      })
    }
    const remaining = (each: Straggler) =>
      (each.expectedMs ?? Number.POSITIVE_INFINITY) - each.onSeatForMs
    return stragglers.sort((a, b) => remaining(b) - remaining(a))
  }

  #freeSeats({ model, tokens }: Errand, taken: ReadonlySet<string>): FreeSeat[] {
    return this.#doors
      .holders(model)
      .filter(({ name, seatFree, resident }) => seatFree && resident && !taken.has(name))
      .map(({ name }) => ({
        backend: name,
        expectedMs: this.#doors.speeds.expectedMs(name, model.canonical, tokens),
      }))
  }
}

/** What the work took: neither the load of a model nor a wait inside the backend is what its parts take. */
export function workMsOf({ figures, servedMs }: InnerAnswer): number {
  const workNs = figures ? figures.promptNs + figures.outputNs : 0
  return workNs > 0 ? workNs / 1e6 : servedMs
}

/** What an answer shows of the speed of whoever gave it. */
export function answeredPart(tokens: number, answer: InnerAnswer): AnsweredPart {
  return { tokens, answerTokens: answer.figures?.outputTokens, workMs: workMsOf(answer) }
}

function takenBy({ backend, servedMs }: InnerAnswer) {
  return { backend, tookMs: servedMs }
}
