import type { Clock } from '../core/clock.ts'
import type { Outcome } from '../core/outcome.ts'
import { type Leg, SeamDiverged } from '../dialects/continuing/continuing.ts'
import { isCrashText } from '../dialects/continuing/crash.ts'
import { FrameCutter } from '../dialects/frames.ts'
import type { Answer } from './answer.ts'
import type { BackendHead } from './answering/heads.ts'
import type { Receiver } from './attempt.ts'
import { Gaps } from './continuing/gaps.ts'
import { judgeRefusal } from './judge.ts'
import type { HeldAnswer } from './loads.ts'

/** How a later leg ended, beside its outcome. */
export type LegResult = 'whole' | 'brokeOff' | 'diverged' | 'refused'

/** What a later leg's backend answers, put behind what the client has already. */
export class LegAnswer implements Receiver {
  readonly #answer: Answer
  readonly #leg: Leg
  #cutter: FrameCutter | undefined
  #started = false
  #diverged = false
  /** An error of the model's or the request's own; the client hears of it if nobody does better. */
  #error: { frames: Buffer; message: string } | undefined
  #result: LegResult = 'brokeOff'
  /** The client has something of this leg. */
  gave = false
  readonly gaps = new Gaps()
  /** When its request left for a backend that listens; a date. */
  askedWallMs: number | undefined
  readonly #clock: Clock

  constructor(answer: Answer, leg: Leg, clock: Clock) {
    this.#clock = clock
    this.#answer = answer
    this.#leg = leg
  }

  get started(): boolean {
    return this.#started
  }

  get over(): boolean {
    return this.#diverged || this.#leg.over
  }

  /** It ends with its last line. */
  get isWhole(): boolean {
    return this.over
  }

  get result(): LegResult {
    return this.#result
  }

  get error(): { readonly frames: Buffer; readonly message: string } | undefined {
    return this.#error
  }

  asked(): void {
    this.askedWallMs = this.#clock.wall()
  }

  begin({ framing }: BackendHead): void {
    this.#cutter = new FrameCutter(framing)
  }

  data(chunk: Buffer): boolean {
    return this.#take(this.#cutter!.feed(chunk))
  }

  onDrain(act: () => void): void {
    this.#answer.onDrain(act)
  }

  ended(): Outcome {
    this.#take(this.#cutter?.end())
    if (this.#diverged) {
      this.#result = 'diverged'
      // It did its work; only what it says is of no use behind what another has said.
      return { kind: 'answered', status: 200 }
    }
    const end = this.#ended()
    if (end === undefined) return this.ended()
    if (end.kind === 'done') {
      this.#result = 'whole'
      return { kind: 'answered', status: 200 }
    }
    if (end.kind === 'error') {
      this.#error = end
      this.#result = 'refused'
      return judgeRefusal(500, end.message)
    }
    const last = this.#cutter?.lastFrames.toString('utf8') ?? ''
    return {
      kind: 'brokeOff',
      afterFirstByte: this.#started,
      reusedSocket: false,
      // The repeat guard ends a later leg in the same way as a first one.
      clean: !isCrashText(last),
      text: 'it ended without its last line',
    }
  }

  keepRefusal(_answer: HeldAnswer, _backend: string): void {
    this.#result = 'refused'
  }

  /** Undefined: it diverged at the very end. */
  #ended() {
    try {
      return this.#leg.end()
    } catch (error) {
      if (!(error instanceof SeamDiverged)) throw error
      this.#diverged = true
      return undefined
    }
  }

  #take(frames: Buffer | undefined): boolean {
    if (frames === undefined || this.#diverged) return true
    this.#started = true
    this.gaps.heard(this.#clock.now(), 1)
    try {
      const given = this.#leg.feed(frames)
      if (given === undefined) return true
      this.gave = true
      return this.#answer.goOn(given)
    } catch (error) {
      if (!(error instanceof SeamDiverged)) throw error
      this.#diverged = true
      return true
    }
  }
}
