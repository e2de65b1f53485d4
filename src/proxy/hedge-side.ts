import type { Failure } from '../core/failure.ts'
import type { Outcome } from '../core/outcome.ts'
import type { Lease } from '../pool/lease.ts'
import type { Sending } from '../routing/affinity/affinity.ts'
import type { Answer } from './answer.ts'
import type { BackendHead } from './answering/heads.ts'
import { type AttemptDoors, beginAttempt, type Receiver, type Told } from './attempt.ts'
import type { Gaps } from './continuing/gaps.ts'
import type { AttemptUnderWay, Exchange } from './exchange.ts'
import type { HeldAnswer } from './loads.ts'

/** What the two sides of a hedged request tell. */
export interface Racing {
  readonly answer: Answer
  /** Its first byte is here, before anything of it was passed on. */
  won(side: Side): void
  over(side: Side, outcome: Outcome): void
  /** The other one is not under way. */
  isLast(side: Side): boolean
  failed(side: Side, error: Failure): void
}

/** One of two attempts at the same time: the client's answer hears nothing of it before its first byte. */
export class Side implements Receiver, Told {
  readonly lease: Lease
  /** When it got its seat, on the clock's `now`. */
  readonly takenMs: number
  attempt: AttemptUnderWay | undefined
  /** What affinity remembers of it. */
  sending: Sending | undefined
  /** It has ended, one way or another. */
  isOut = false
  readonly #race: Racing
  #head: BackendHead | undefined
  #hasWon = false

  constructor(race: Racing, lease: Lease, takenMs: number) {
    this.#race = race
    this.lease = lease
    this.takenMs = takenMs
  }

  start(exchange: Exchange, doors: AttemptDoors): void {
    this.attempt = beginAttempt(exchange, this.lease, this, doors, this)
  }

  /** Out of the race, whatever it would still have said. */
  end(outcome: Outcome): void {
    this.isOut = true
    this.attempt?.end(outcome)
  }

  resolve(outcome: Outcome): void {
    if (this.isOut) return
    this.isOut = true
    this.#race.over(this, outcome)
  }

  reject(error: Failure): void {
    if (this.isOut) return
    this.isOut = true
    this.#race.failed(this, error)
  }

  get started(): boolean {
    return this.#hasWon && this.#race.answer.started
  }

  get over(): boolean {
    return this.#hasWon && this.#race.answer.over
  }

  get isWhole(): boolean {
    return this.#hasWon && this.#race.answer.isWhole
  }

  get gaps(): Gaps | undefined {
    return this.#hasWon ? this.#race.answer.gaps : undefined
  }

  /** Some servers send a head at once, long before there is anything to say. */
  begin(head: BackendHead): void {
    this.#head = head
  }

  data(chunk: Buffer): boolean {
    if (!this.#hasWon) this.#win()
    return this.#race.answer.data(chunk)
  }

  onDrain(act: () => void): void {
    this.#race.answer.onDrain(act)
  }

  ended(): Outcome {
    // Not a byte is no answer that the other one should be ended for.
    if (!this.#hasWon && !this.#race.isLast(this)) return nothingSaid
    if (!this.#hasWon) this.#win()
    return this.#race.answer.ended()
  }

  keepRefusal(answer: HeldAnswer, backend: string): void {
    this.#race.answer.keepRefusal(answer, backend)
  }

  #win(): void {
    this.#hasWon = true
    this.#race.won(this)
    this.#race.answer.begin(this.#head!)
  }
}

const nothingSaid: Outcome = {
  kind: 'brokeOff',
  afterFirstByte: false,
  reusedSocket: false,
  clean: true,
  text: 'it ended without its last line',
}
