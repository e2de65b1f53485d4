import type { Clock } from '../../core/clock.ts'
import type { AskInside, InnerAnswer, InnerCall } from '../../core/inner-call.ts'
import type { Observer } from '../../core/observer.ts'
import type { Speeds } from '../speeds.ts'
import { Alarm } from './alarm.ts'
import { Backlog, type Part, partOf } from './backlog.ts'
import { type Call, Calls } from './calls.ts'
import { Crew } from './crew.ts'
import { type BatchResult, Harvest, type NoVectors } from './harvest.ts'
import { type EmbedPath, readPart } from './join.ts'
import { Patience } from './patience.ts'
import type { Member } from './plan.ts'
import { type InputItems, partBody } from './read.ts'
import { nextPartEnd } from './sizes.ts'
import { verdictOf } from './verdict.ts'
import type { Weights } from './weight.ts'

/** Asked first, then this many times more, each time elsewhere where there is an elsewhere. */
const furtherTriesMax = 2

export interface BatchRunDoors {
  readonly ask: AskInside
  readonly clock: Clock
  readonly observer: Observer
  readonly speeds: Speeds
  /** Calls back when something about the backends has changed. */
  readonly onChange: (act: () => void) => Disposable
  /** The member is still the machine that was measured, with the same weights. */
  readonly isSame: (member: Member) => boolean
  /** It takes requests now: enabled, ready, not resting. */
  readonly isUsable: (member: Member) => boolean
  /** Every endpoint that there is; those that a part is not for are excepted by name. */
  readonly names: () => Iterable<string>
}

export interface BatchWork {
  readonly call: Omit<InnerCall, 'id' | 'body' | 'embeds' | 'onFrames'>
  readonly id: string
  readonly path: EmbedPath
  readonly digest: string
  readonly items: InputItems
  readonly weights: Weights
  readonly members: readonly Member[]
}

export interface BatchTally {
  /** Parts that count, by the backend that answered them. */
  readonly parts: Map<string, number>
  asked: number
  retried: number
  hedged: number
  waitMs: number
}

/**
 * One batch on its way. No part is made before a machine is there to take it: whoever is free gets a piece as large as
 * fits its speed, asked for by an inner call that only this backend may serve. So a slow machine never sits on a large
 * piece, and nothing but what is in flight exists twice. Every item is answered once or the batch is not answered.
 */
export class BatchRun {
  readonly #work: BatchWork
  readonly #doors: BatchRunDoors
  readonly tally: BatchTally = { parts: new Map(), asked: 0, retried: 0, hedged: 0, waitMs: 0 }
  readonly #crew: Crew
  readonly #backlog: Backlog
  readonly #calls = new Calls()
  readonly #patience: Patience
  readonly #harvest = new Harvest()
  readonly #alarm: Alarm
  #isOver = false
  #isWhole = false
  readonly #startedMs: number
  #resolve: (result: BatchResult) => void = () => {}

  constructor(work: BatchWork, doors: BatchRunDoors) {
    this.#work = work
    this.#doors = doors
    this.#crew = new Crew(work.members, work.weights, work.digest, doors.speeds)
    this.#patience = new Patience(this.#calls, this.#crew, doors.isUsable)
    this.#backlog = new Backlog(work.items.count, work.weights)
    this.#alarm = new Alarm(doors.clock, () => this.#goOn())
    this.#startedMs = doors.clock.now()
  }

  /** Never rejects, and leaves nothing running behind. */
  async run(signal: AbortSignal): Promise<BatchResult> {
    if (signal.aborted) return { kind: 'left' }
    const { promise, resolve } = Promise.withResolvers<BatchResult>()
    this.#resolve = resolve
    const leave = () => this.#end({ kind: 'left' })
    signal.addEventListener('abort', leave, { once: true })
    using _changes = this.#doors.onChange(() => this.#soon())
    this.#goOn()
    const result = await promise
    signal.removeEventListener('abort', leave)
    return result
  }

  #end(result: BatchResult): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#alarm.off()
    this.#calls.cancelAll()
    this.#resolve(result)
  }

  #soon(): void {
    if (!this.#isOver) this.#alarm.soon()
  }

  #goOn(): void {
    if (this.#isOver || this.#isWhole) return
    if (this.#isDone()) return this.#end(this.#result())
    const same = this.#work.members.filter((member) => this.#doors.isSame(member))
    if (same.length === 0) return this.#asWhole()
    this.#handOut(same)
    if (this.#calls.size === 0 && !this.#isOver) this.#askAnyone(same)
    this.#wake()
  }

  /** Wakes when the next part falls overdue or may be taken over: only time tells of that. */
  #wake(): void {
    if (this.#isOver || !this.#backlog.isCutUp || this.#isWhole) return this.#alarm.off()
    const now = this.#doors.clock.now()
    this.#alarm.after(this.#patience.nextMs(now) - now)
  }

  #isDone(): boolean {
    return this.#harvest.isDecided || (this.#calls.size === 0 && this.#backlog.isEmpty)
  }

  #result(): BatchResult {
    const wallNs = (this.#doors.clock.now() - this.#startedMs) * 1e6
    return this.#harvest.result(this.#work.path, wallNs)
  }

  // --- handing out ---

  /** Gives every free lane something to do, the fastest first, as long as there is something for it. */
  #handOut(same: readonly Member[]): void {
    const usable = same.filter((member) => this.#doors.isUsable(member))
    const willing = this.#crew.willing(usable, this.#doors.clock.now())
    for (const member of willing)
      while (this.#calls.busyLanes(member) < member.lanes && !this.#calls.isFull)
        if (!this.#giveTo(member, willing)) break
  }

  #giveTo(member: Member, willing: readonly Member[]): boolean {
    const part = this.#backlog.takeReturned(member, willing) ?? this.#cutFor(member, willing)
    if (part) {
      this.#ask(part, member)
      return true
    }
    return this.#backlog.isCutUp && (this.#steal(member) || this.#hedge(member))
  }

  /** The beginning of what nobody has yet, as much of it as this member should take. */
  #cutFor(member: Member, willing: readonly Member[]): Part | undefined {
    const { left, pilotEnd } = this.#backlog
    if (!left) return undefined
    // A machine of unknown speed shows it with a small part.
    if (this.#crew.isGuess(member)) return this.#backlog.cut(pilotEnd)
    const speedOf = (each: Member) => this.#crew.speedOf(each)
    const others = this.#calls.lanesBeside(member, willing, speedOf, this.#doors.clock.now())
    const mine = { freeInMs: 0, weightPerMs: speedOf(member) }
    const end = nextPartEnd(mine, others, this.#work.weights, left)
    return end === undefined ? undefined : this.#backlog.cut(end)
  }

  /** A part that still waits for its seat loses nothing when another machine begins it at once. */
  #steal(member: Member): boolean {
    for (const call of this.#patience.stealableBy(member, this.#doors.clock.now())) {
      this.#calls.cancel(call)
      if (this.#calls.hasPart(call.part)) continue
      this.#ask(call.part, member)
      return true
    }
    return false
  }

  /** A part that is long overdue is asked for once more; the first answer counts. */
  #hedge(member: Member): boolean {
    const call = this.#patience.overdueFor(member, this.#doors.clock.now())
    if (!call) return false
    call.part.isHedged = true
    this.tally.hedged++
    this.#doors.observer.retried(call.running.backend, 'embedHedge')
    this.#ask(call.part, member)
    return true
  }

  /** Nobody takes requests now: the part waits in the proxy's queue for whoever of the members comes back first. */
  #askAnyone(same: readonly Member[]): void {
    const part = this.#backlog.takeAny()
    if (part) this.#ask(part, undefined, same)
  }

  /**
   * No member is any more what it was measured to be. What they gave must not stand beside what others give, so the
   * batch is asked for once more, as a whole, as if it had never been split.
   */
  #asWhole(): void {
    this.#isWhole = true
    this.#calls.cancelAll()
    const { call, id, items } = this.#work
    this.tally.asked++
    const running = this.#doors.ask({
      ...call,
      id: `${id}.${this.tally.asked}`,
      body: items.body,
      embeds: items.count,
    })
    const part = partOf(0, items.count)
    const made: Call = { part, member: undefined, running, sinceMs: 0, expectedMs: 0 }
    this.#calls.add(made)
    void running.answer.then((answer) => {
      this.tally.parts.clear()
      this.tally.parts.set(answer.backend, 1)
      this.#calls.remove(made)
      this.#end({ kind: 'single', answer })
    })
  }

  // --- asking ---

  #ask(part: Part, member: Member | undefined, among?: readonly Member[]): void {
    const { call, id, items, members } = this.#work
    this.tally.asked++
    const { clock } = this.#doors
    const allowed = new Set((member ? [member] : (among ?? [])).map(({ machine }) => machine.name))
    const except = new Set(call.except)
    for (const name of this.#doors.names()) if (!allowed.has(name)) except.add(name)
    const running = this.#doors.ask({
      ...call,
      id: `${id}.${this.tally.asked}`,
      body: partBody(items, part.from, part.to),
      embeds: part.to - part.from,
      except,
    })
    const expectedMs = this.#crew.timeMs(member ?? members.at(-1)!, part)
    const made: Call = { part, member, running, sinceMs: clock.now(), expectedMs }
    this.#calls.add(made)
    void running.answer.then((answer) => {
      if (this.#isOver || !this.#calls.has(made)) return
      this.#calls.remove(made)
      this.#hear(made, answer)
      this.#soon()
    })
  }

  // --- hearing ---

  #hear(call: Call, answer: InnerAnswer): void {
    const { part } = call
    this.tally.waitMs = Math.max(this.tally.waitMs, answer.waitMs)
    switch (verdictOf(answer)) {
      case 'answered':
        return this.#take(call, answer)
      case 'refused':
        return this.#giveUp(part, { kind: 'single', answer })
      case 'over':
        return this.#end({ kind: 'single', answer })
      case 'later':
        // With nothing of ours in flight nobody would tell us when there is a place again.
        if (this.#calls.size === 0) return this.#giveUp(part, { kind: 'single', answer })
        this.#calls.narrow()
        if (!this.#calls.hasPart(part)) this.#backlog.giveBack(part)
        return
      case 'elsewhere':
        return this.#failed(call, answer.backend, { kind: 'single', answer })
    }
  }

  #take(call: Call, answer: InnerAnswer): void {
    const { part } = call
    const { backend } = answer
    const member = this.#crew.named(backend)
    // Numbers of a machine that is not the one that was measured must not stand beside the others.
    if (!member || !this.#doors.isSame(member)) {
      part.tries++
      if (part.tries > furtherTriesMax) return this.#asWhole()
      if (!this.#calls.hasPart(part)) this.#backlog.giveBack(part)
      return
    }
    const read = readPart(this.#work.path, answer.body, part.to - part.from)
    if (typeof read === 'string')
      return this.#failed(call, backend, { kind: 'broken', why: read, backend })
    this.#calls.cancelPart(part)
    this.#harvest.answered(part.from, read)
    this.tally.parts.set(backend, (this.tally.parts.get(backend) ?? 0) + 1)
    this.#crew.answered(member, part, answer.servedMs)
    this.#calls.widen()
  }

  #failed(call: Call, backend: string, result: NoVectors): void {
    const { part, member } = call
    const at = backend === '' ? (member?.machine.name ?? '') : backend
    part.failedAt.add(at)
    part.tries++
    this.#crew.failed(at, this.#doors.clock.now())
    // Its other call may still bring it home.
    if (this.#calls.hasPart(part)) return
    if (part.tries > furtherTriesMax) return this.#giveUp(part, result)
    this.tally.retried++
    this.#doors.observer.retried(at, result.kind === 'broken' ? 'embedAnswer' : 'embedPart')
    this.#backlog.giveBack(part)
  }

  /** A part will never be answered. What comes after it is of no interest any more, what comes before it still is. */
  #giveUp({ from }: Part, result: NoVectors): void {
    if (!this.#harvest.givenUp(from, result)) return
    this.#calls.cancelFrom(from)
    this.#backlog.dropFrom(from)
  }
}
