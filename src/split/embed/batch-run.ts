import type { Clock } from '../../core/clock.ts'
import type { AskInside, InnerAnswer, InnerCall, InnerCallRunning } from '../../core/inner-call.ts'
import type { Observer } from '../../core/observer.ts'
import type { Speeds } from '../speeds.ts'
import { type EmbedPath, joinParts, type PartAnswer, readPart, type Sums } from './join.ts'
import type { Member } from './plan.ts'
import { type InputItems, partBody } from './read.ts'
import { type Lane, nextPartEnd, timeMs } from './sizes.ts'
import { verdictOf } from './verdict.ts'
import type { Weights } from './weight.ts'

/** Asked first, then this many times more, each time elsewhere where there is an elsewhere. */
const furtherTriesMax = 2
/** A part that takes longer than this many times what was expected is asked for a second time. */
const overdueFactor = 2
/** Nothing is overdue before: a machine may hiccup. */
const overdueMsMin = 50
/** A machine that failed a part may have had a bad moment, or be gone, which its breaker then tells. */
const shunMs = 1_000
/** A part that waits this long for its seat may be given to another machine. */
const stealMsMin = 20

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
  readonly call: Omit<InnerCall, 'id' | 'body' | 'onFrames'>
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

export type BatchResult =
  | { readonly kind: 'joined'; readonly body: readonly Buffer[]; readonly sums: Sums }
  /** One answer stands for the whole: a refusal, a failure, or the batch served by one backend after all. */
  | { readonly kind: 'single'; readonly answer: InnerAnswer }
  /** A backend's answer was none, and no other had a better one. */
  | { readonly kind: 'broken'; readonly why: string; readonly backend: string }
  | { readonly kind: 'left' }

interface Range {
  readonly from: number
  readonly to: number
}

interface Part extends Range {
  /** Backends that failed it. */
  readonly failedAt: Set<string>
  tries: number
  isHedged: boolean
  readonly calls: Set<Call>
}

interface Call {
  readonly part: Part
  /** Whom it is for; undefined: any member. */
  readonly member: Member | undefined
  readonly running: InnerCallRunning
  readonly sinceMs: number
  readonly expectedMs: number
}

/** How a part ended that has no vectors; `from` says for which items, and the lowest speaks for the batch. */
interface Bad {
  readonly from: number
  readonly result: BatchResult & { readonly kind: 'single' | 'broken' }
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
  /** Never part of an answer yet, in order. */
  #fresh: Range[]
  /** Failed, to be asked again as they are. */
  #again: Part[] = []
  readonly #calls = new Set<Call>()
  readonly #answers = new Map<number, PartAnswer>()
  /** Members whose speed no part has shown yet. */
  readonly #guessed = new Set<Member>()
  /** Members where the model has to be loaded first: their first part tells nothing of their speed. */
  readonly #cold = new Set<Member>()
  /** Members that failed a part, and until when they are asked only if nobody else is left. */
  readonly #shunned = new Map<Member, number>()
  #bad: Bad | undefined
  /** Parts in flight at most, once the queue had no place for more. */
  #callsMax = Number.POSITIVE_INFINITY
  #isOver = false
  #isWhole = false
  #isDue = false
  #timer: Disposable | undefined
  readonly #startedMs: number
  #resolve: (result: BatchResult) => void = () => {}

  constructor(work: BatchWork, doors: BatchRunDoors) {
    this.#work = work
    this.#doors = doors
    this.#fresh = [{ from: 0, to: work.items.count }]
    this.#startedMs = doors.clock.now()
    for (const member of work.members) {
      if (member.isGuess) this.#guessed.add(member)
      if (!member.machine.resident) this.#cold.add(member)
    }
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
    this.#timer?.[Symbol.dispose]()
    for (const { running } of this.#calls) running.cancel()
    this.#calls.clear()
    this.#resolve(result)
  }

  /** Once for everything that happens in the same breath. */
  #soon(): void {
    if (this.#isDue || this.#isOver) return
    this.#isDue = true
    queueMicrotask(() => {
      this.#isDue = false
      this.#goOn()
    })
  }

  #goOn(): void {
    if (this.#isOver || this.#isWhole) return
    if (this.#isDone()) return this.#end(this.#bad?.result ?? this.#joined())
    const same = this.#work.members.filter((member) => this.#doors.isSame(member))
    if (same.length === 0) return this.#asWhole()
    this.#handOut(same)
    if (this.#calls.size === 0 && !this.#isOver) this.#askAnyone(same)
    this.#wake()
  }

  #isDone(): boolean {
    if (this.#bad && this.#bad.from === 0) return true
    return this.#calls.size === 0 && this.#again.length === 0 && this.#fresh.length === 0
  }

  #joined(): BatchResult {
    const { path } = this.#work
    const parts = [...this.#answers].sort(([one], [other]) => one - other).map(([, part]) => part)
    const wallNs = (this.#doors.clock.now() - this.#startedMs) * 1e6
    return { kind: 'joined', ...joinParts(path, parts, wallNs) }
  }

  // --- handing out ---

  /** Gives every free lane something to do, the fastest first, as long as there is something for it. */
  #handOut(same: readonly Member[]): void {
    const usable = same.filter((member) => this.#doors.isUsable(member))
    const now = this.#doors.clock.now()
    const trusted = usable.filter((member) => (this.#shunned.get(member) ?? now) <= now)
    const willing = trusted.length > 0 ? trusted : usable
    const bySpeed = willing.toSorted((one, other) => this.#speedOf(other) - this.#speedOf(one))
    for (const member of bySpeed)
      while (this.#busyLanes(member) < member.lanes && this.#calls.size < this.#callsMax)
        if (!this.#giveTo(member, bySpeed)) break
  }

  #giveTo(member: Member, willing: readonly Member[]): boolean {
    const again = this.#again.find(
      (part) =>
        !part.failedAt.has(member.machine.name) ||
        willing.every((each) => part.failedAt.has(each.machine.name)),
    )
    if (again) {
      this.#again = this.#again.filter((part) => part !== again)
      this.#ask(again, member)
      return true
    }
    const range = this.#cutFor(member, willing)
    if (range) {
      this.#ask(partOf(range), member)
      return true
    }
    return this.#fresh.length === 0 && (this.#steal(member) || this.#hedge(member))
  }

  /** The beginning of what nobody has yet, as much of it as this member should take. */
  #cutFor(member: Member, willing: readonly Member[]): Range | undefined {
    const [next, ...rest] = this.#fresh
    if (!next) return undefined
    const { weights } = this.#work
    const weight = this.#fresh.reduce((sum, { from, to }) => sum + weights.of(from, to), 0)
    const mine: Lane = { freeInMs: 0, weightPerMs: this.#speedOf(member) }
    // A machine of unknown speed shows it with a small part.
    const guess = this.#guessed.has(member)
    const left = { ...next, weight }
    const end = guess
      ? Math.min(next.to, next.from + pilotItems)
      : nextPartEnd(mine, this.#lanesBeside(member, willing), weights, left)
    if (end === undefined) return undefined
    this.#fresh = end < next.to ? [{ from: end, to: next.to }, ...rest] : rest
    return { from: next.from, to: end }
  }

  /** All lanes but the one that is to be filled, with what they still have to do. */
  #lanesBeside(member: Member, willing: readonly Member[]): Lane[] {
    const now = this.#doors.clock.now()
    return willing.flatMap((each) => {
      const weightPerMs = this.#speedOf(each)
      const busy = [...this.#calls]
        .filter((call) => call.member === each)
        .map((call) => ({ weightPerMs, freeInMs: leftMs(call, now) }))
      const free = each.lanes - busy.length - (each === member ? 1 : 0)
      return [
        ...busy,
        ...Array.from({ length: Math.max(0, free) }, () => ({ weightPerMs, freeInMs: 0 })),
      ]
    })
  }

  /** A part that still waits for its seat loses nothing when another machine begins it at once. */
  #steal(member: Member): boolean {
    const now = this.#doors.clock.now()
    for (const call of this.#calls) {
      if (call.member === member || call.part.failedAt.has(member.machine.name)) continue
      const dueMs = this.#stealDueMs(call, member)
      if (dueMs === undefined || dueMs > now) continue
      call.running.cancel()
      this.#drop(call)
      if (call.part.calls.size > 0) continue
      this.#ask(call.part, member)
      return true
    }
    return false
  }

  /** When this member may take it over: the slower it is, the later. Undefined: it has its seat. */
  #stealDueMs(
    { running, part, sinceMs, member: holder }: Call,
    member: Member,
  ): number | undefined {
    if (running.onSeatSinceMs !== undefined || running.backend !== '') return undefined
    if (holder && !this.#doors.isUsable(holder)) return sinceMs
    return sinceMs + Math.max(stealMsMin, this.#timeAt(member, part) / 2)
  }

  /** A part that is long overdue is asked for once more; the first answer counts. */
  #hedge(member: Member): boolean {
    const now = this.#doors.clock.now()
    for (const call of this.#calls) {
      const { part } = call
      if (part.isHedged || call.member === member || part.failedAt.has(member.machine.name))
        continue
      if (overdueMs(call) > now) continue
      part.isHedged = true
      this.tally.hedged++
      this.#doors.observer.retried(call.running.backend, 'embedHedge')
      this.#ask(part, member)
      return true
    }
    return false
  }

  /** Nobody takes requests now: the part waits in the proxy's queue for whoever of the members comes back first. */
  #askAnyone(same: readonly Member[]): void {
    const part = this.#again.shift() ?? this.#firstPart()
    if (part) this.#ask(part, undefined, same)
  }

  #firstPart(): Part | undefined {
    const [next, ...rest] = this.#fresh
    if (!next) return undefined
    const to = Math.min(next.to, next.from + pilotItems)
    this.#fresh = to < next.to ? [{ from: to, to: next.to }, ...rest] : rest
    return partOf({ from: next.from, to })
  }

  /**
   * No member is any more what it was measured to be. What they gave must not stand beside what others give, so the
   * batch is asked for once more, as a whole, as if it had never been split.
   */
  #asWhole(): void {
    this.#isWhole = true
    for (const call of [...this.#calls]) {
      call.running.cancel()
      this.#drop(call)
    }
    const { call, id, items } = this.#work
    this.tally.asked++
    const running = this.#doors.ask({ ...call, id: `${id}.${this.tally.asked}`, body: items.body })
    const part = partOf({ from: 0, to: items.count })
    this.#calls.add({ part, member: undefined, running, sinceMs: 0, expectedMs: 0 })
    void running.answer.then((answer) => {
      this.tally.parts.clear()
      this.tally.parts.set(answer.backend, 1)
      this.#calls.clear()
      this.#end({ kind: 'single', answer })
    })
  }

  // --- asking ---

  #ask(part: Part, member: Member | undefined, among?: readonly Member[]): void {
    const { call, id, items, weights } = this.#work
    this.tally.asked++
    const { clock } = this.#doors
    const allowed = new Set((member ? [member] : (among ?? [])).map(({ machine }) => machine.name))
    const except = new Set(call.except)
    for (const name of this.#doors.names()) if (!allowed.has(name)) except.add(name)
    const running = this.#doors.ask({
      ...call,
      id: `${id}.${this.tally.asked}`,
      body: partBody(items, part.from, part.to),
      except,
    })
    const weightPerMs = member ? this.#speedOf(member) : this.#speedOf(this.#work.members.at(-1)!)
    const expectedMs = timeMs({ weightPerMs }, weights.of(part.from, part.to))
    const made: Call = { part, member, running, sinceMs: clock.now(), expectedMs }
    this.#calls.add(made)
    part.calls.add(made)
    void running.answer.then((answer) => {
      if (this.#isOver || !this.#calls.has(made)) return
      this.#drop(made)
      this.#hear(made, answer)
      this.#soon()
    })
  }

  #drop(call: Call): void {
    this.#calls.delete(call)
    call.part.calls.delete(call)
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
        this.#callsMax = this.#calls.size
        if (part.calls.size === 0) this.#again.push(part)
        return
      case 'elsewhere':
        return this.#failed(call, answer.backend, { kind: 'single', answer })
    }
  }

  #take(call: Call, answer: InnerAnswer): void {
    const { part } = call
    const { path, digest, weights, members } = this.#work
    const member = members.find(({ machine }) => machine.name === answer.backend)
    // Numbers of a machine that is not the one that was measured must not stand beside the others.
    if (!member || !this.#doors.isSame(member)) {
      part.tries++
      if (part.tries > furtherTriesMax) return this.#asWhole()
      if (part.calls.size === 0) this.#again.push(part)
      return
    }
    const read = readPart(path, answer.body, part.to - part.from)
    if (typeof read === 'string')
      return this.#failed(call, answer.backend, {
        kind: 'broken',
        why: read,
        backend: answer.backend,
      })
    for (const other of part.calls) {
      other.running.cancel()
      this.#drop(other)
    }
    this.#answers.set(part.from, read)
    this.tally.parts.set(answer.backend, (this.tally.parts.get(answer.backend) ?? 0) + 1)
    const weight = weights.of(part.from, part.to)
    if (!this.#cold.delete(member))
      this.#doors.speeds.learn(answer.backend, digest, weight, answer.servedMs)
    this.#guessed.delete(member)
    this.#shunned.delete(member)
    this.#callsMax++
  }

  #failed(call: Call, backend: string, result: Bad['result']): void {
    const { part, member } = call
    const at = backend === '' ? (member?.machine.name ?? '') : backend
    part.failedAt.add(at)
    part.tries++
    const culprit = this.#work.members.find(({ machine }) => machine.name === at)
    if (culprit) this.#shunned.set(culprit, this.#doors.clock.now() + shunMs)
    // Its other call may still bring it home.
    if (part.calls.size > 0) return
    if (part.tries > furtherTriesMax) return this.#giveUp(part, result)
    this.tally.retried++
    this.#doors.observer.retried(at, result.kind === 'broken' ? 'embedAnswer' : 'embedPart')
    this.#again.push(part)
  }

  /**
   * A part will never be answered, so the batch will not. The lowest one speaks for all, as in a server that goes
   * through the items in order: what comes after it is of no interest any more, what comes before it still is.
   */
  #giveUp(part: Part, result: Bad['result']): void {
    if (this.#bad && this.#bad.from <= part.from) return
    this.#bad = { from: part.from, result }
    const { from } = this.#bad
    const isBefore = (range: Range) => range.from < from
    for (const call of [...this.#calls])
      if (!isBefore(call.part)) {
        call.running.cancel()
        this.#drop(call)
      }
    this.#again = this.#again.filter(isBefore)
    this.#fresh = this.#fresh.filter(isBefore)
  }

  // --- reckoning ---

  #speedOf(member: Member): number {
    return (
      this.#doors.speeds.unitsPerMs(member.machine.name, this.#work.digest) ?? member.weightPerMs
    )
  }

  #timeAt(member: Member, { from, to }: Range): number {
    return timeMs({ weightPerMs: this.#speedOf(member) }, this.#work.weights.of(from, to))
  }

  #busyLanes(member: Member): number {
    let busy = 0
    for (const call of this.#calls) if (call.member === member) busy++
    return busy
  }

  /** Wakes when the next part falls overdue or may be taken over: only time tells of that. */
  #wake(): void {
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
    if (this.#isOver || this.#fresh.length > 0 || this.#isWhole) return
    const now = this.#doors.clock.now()
    let nextMs = Number.POSITIVE_INFINITY
    for (const call of this.#calls) {
      const moments = [call.part.isHedged ? undefined : overdueMs(call)]
      for (const member of this.#work.members)
        if (member !== call.member) moments.push(this.#stealDueMs(call, member))
      for (const moment of moments)
        if (moment !== undefined && moment > now) nextMs = Math.min(nextMs, moment)
    }
    if (nextMs === Number.POSITIVE_INFINITY) return
    this.#timer = this.#doors.clock.after(nextMs - now + 0.1, () => this.#goOn())
  }
}

/** So many items show a machine's speed. */
const pilotItems = 8

function partOf(range: Range): Part {
  return { ...range, failedAt: new Set(), tries: 0, isHedged: false, calls: new Set() }
}

/** On the clock's `now`; a part that waits for its seat is overdue only by being taken over. */
function overdueMs({ running, expectedMs }: Call): number {
  if (running.onSeatSinceMs === undefined) return Number.POSITIVE_INFINITY
  return running.onSeatSinceMs + Math.max(overdueMsMin, expectedMs * overdueFactor)
}

/** What it still needs; one that is late is believed to need half as long again as it took. */
function leftMs({ running, sinceMs, expectedMs }: Call, nowMs: number): number {
  const tookMs = nowMs - (running.onSeatSinceMs ?? sinceMs)
  return tookMs < expectedMs ? expectedMs - tookMs : tookMs / 2
}
