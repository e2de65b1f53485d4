import type { Clock } from '../../src/core/clock.ts'
import type { SimulatorSettings } from './settings.ts'

/** What one request has to do in the engine. */
export interface EngineWork {
  readonly promptTokens: number
  readonly answerTokens: number
  /** Of its model: times the machine's figures. */
  readonly speed: number
}

/** One request in the engine, from its first token of prompt to its last one of answer. */
export interface EngineTurn extends Disposable {
  /** Ends when the prompt is read; gives the milliseconds that it took, company included. */
  read(): Promise<number>
  /** Waits for more than `known` tokens of answer; gives how many there are. Ends at once when the turn was left. */
  more(known: number): Promise<number>
  /** Milliseconds from the end of the prompt to the last token, or until now. */
  spokenMs(): number
}

interface Turn {
  readonly work: EngineWork
  state: 'reading' | 'speaking' | 'over' | 'left'
  /** Tokens left in the state. */
  left: number
  readonly beganMs: number
  readMs: number
  overMs: number
  /** Tokens of answer that may be written. */
  said: number
  heard: () => void
}

/** A process that was not run for longer than this was stopped, and does not hurry afterwards; milliseconds of life. */
const standstillMs = 250

/**
 * One engine for all models and slots of a machine, worked out in place of being stepped through: readers share the
 * prefill rate evenly, speakers slow one another down, and while anybody reads, a speaker gets one token for each batch
 * of prompt. It wakes at the end of a prompt, of an answer, and of every `tokensPerWrite` tokens; what is due is dated
 * to when it was due, so that late timers do not make a machine slower.
 */
export class SharedEngine {
  readonly #settings: SimulatorSettings
  readonly #clock: Clock
  readonly #turns: Turn[] = []
  #lookedMs: number
  #slowness = 1
  #timer: Disposable | undefined

  constructor(settings: SimulatorSettings, clock: Clock) {
    this.#settings = settings
    this.#clock = clock
    this.#lookedMs = clock.now()
  }

  /** So many times slower than its settings say, from now on. */
  slowDown(times: number): void {
    this.#catchUp()
    this.#slowness = times
    this.#wakeNext()
  }

  begin(work: EngineWork, signal: AbortSignal): EngineTurn {
    this.#catchUp()
    const turn: Turn = {
      ...{ work, state: 'reading', left: Math.max(1, work.promptTokens), said: 0 },
      ...{ beganMs: this.#clock.now(), readMs: Number.NaN, overMs: Number.NaN, heard: nothing },
    }
    this.#turns.push(turn)
    this.#wakeNext()
    const leave = () => this.#leave(turn)
    signal.addEventListener('abort', leave, { once: true })
    if (signal.aborted) leave()
    return {
      read: async () => {
        while (turn.state === 'reading') await news(turn)
        return turn.readMs - turn.beganMs
      },
      more: async (known) => {
        while (turn.state === 'speaking' && turn.said <= known) await news(turn)
        return turn.said
      },
      spokenMs: () => (turn.state === 'over' ? turn.overMs : this.#clock.now()) - turn.readMs,
      [Symbol.dispose]: () => {
        signal.removeEventListener('abort', leave)
        leave()
      },
    }
  }

  #leave(turn: Turn): void {
    if (turn.state === 'over' || turn.state === 'left') return
    this.#catchUp()
    this.#remove(turn, 'left')
    turn.heard()
    this.#wakeNext()
  }

  #remove(turn: Turn, state: 'over' | 'left'): void {
    turn.state = state
    const at = this.#turns.indexOf(turn)
    if (at >= 0) this.#turns.splice(at, 1)
  }

  /** Everything that was due until now, in its order and at its moment. */
  #catchUp(): void {
    const nowMs = this.#clock.now()
    if (nowMs - this.#lookedMs > standstillMs * this.#settings.clockSpeed) this.#lookedMs = nowMs
    for (;;) {
      const next = this.#next()
      const dueMs = this.#lookedMs + (next?.inMs ?? Number.POSITIVE_INFINITY)
      const toMs = Math.min(nowMs, dueMs)
      this.#advance(toMs - this.#lookedMs)
      this.#lookedMs = Math.max(this.#lookedMs, toMs)
      if (!next || dueMs > nowMs) return
      this.#due(next.turn, dueMs)
    }
  }

  #advance(ms: number): void {
    if (ms <= 0) return
    const readers = this.#readers()
    for (const turn of this.#turns)
      turn.left = Math.max(0, turn.left - ms * this.#ratePerMs(turn, readers))
  }

  #due(turn: Turn, atMs: number): void {
    const { answerTokens } = turn.work
    if (turn.state === 'reading') {
      turn.state = 'speaking'
      turn.readMs = atMs
      turn.left = answerTokens
      // The first token is drawn from what reading the prompt has left behind.
      turn.said = Math.min(1, answerTokens)
    } else {
      turn.left = this.#boundary(turn)
      turn.said = answerTokens - turn.left
    }
    if (turn.left === 0) {
      turn.overMs = atMs
      this.#remove(turn, 'over')
    }
    turn.heard()
  }

  /** What is left of a speaker at its next write: whole writes from the beginning on. */
  #boundary({ work, said }: Turn): number {
    const { tokensPerWrite } = this.#settings
    const writes = Math.floor(said / tokensPerWrite) + 1
    return Math.max(0, work.answerTokens - writes * tokensPerWrite)
  }

  #next(): { turn: Turn; inMs: number } | undefined {
    const readers = this.#readers()
    let next: { turn: Turn; inMs: number } | undefined
    for (const turn of this.#turns) {
      const until = turn.state === 'reading' ? 0 : this.#boundary(turn)
      const inMs = Math.max(0, turn.left - until) / this.#ratePerMs(turn, readers)
      if (next === undefined || inMs < next.inMs) next = { turn, inMs }
    }
    return next
  }

  /** Tokens a millisecond with the present company. */
  #ratePerMs({ state, work }: Turn, readers: number): number {
    const { prefillTokensPerSecond, decodeTokensPerSecond, slowdownAlpha } = this.#settings
    const readPerMs = (prefillTokensPerSecond * work.speed) / 1_000 / this.#slowness
    if (state === 'reading') return readPerMs / readers
    const aloneMs = (1_000 * this.#slowness) / (decodeTokensPerSecond * work.speed)
    const stepMs = aloneMs * (1 + slowdownAlpha * (this.#turns.length - readers - 1))
    return 1 / (readers === 0 ? stepMs : stepMs + this.#settings.prefillBatchTokens / readPerMs)
  }

  #readers(): number {
    let readers = 0
    for (const { state } of this.#turns) if (state === 'reading') readers++
    return readers
  }

  #wakeNext(): void {
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
    const next = this.#next()
    if (!next) return
    const dueMs = this.#lookedMs + next.inMs - this.#clock.now()
    // Often enough to see a standstill, however long the next thing takes.
    const delayMs = Math.min(Math.max(0, dueMs), (standstillMs / 2) * this.#settings.clockSpeed)
    this.#timer = this.#clock.after(delayMs, () => {
      this.#catchUp()
      this.#wakeNext()
    })
  }
}

function nothing(): void {}

function news(turn: Turn): Promise<void> {
  return new Promise((resolve) => {
    turn.heard = resolve
  })
}
