import { setImmediate as turn } from 'node:timers/promises'
import type { FailureCode } from '../../src/core/failure.ts'
import type { AskInside, InnerAnswer, InnerCall } from '../../src/core/inner-call.ts'
import type { Holder } from '../../src/split/fleet.ts'
import { type HandClock, handClock } from '../help/clock.ts'

/** What a call meets at a backend. */
export type Fate =
  | { readonly kind: 'answers' }
  | { readonly kind: 'fails'; readonly status: number; readonly code?: FailureCode }
  | { readonly kind: 'babbles' }
  | { readonly kind: 'hangs' }

export interface FakeBackend {
  readonly name: string
  readonly seats: number
  readonly msPerToken: number
}

interface Waiting {
  readonly call: InnerCall
  readonly take: (backend: string) => void
}

/** Seats, a queue and time in memory: what the fan-out sees of the proxy, with every fate of every call in our hands. */
export class FakeFleet {
  readonly clock: HandClock = handClock()
  readonly calls: { backend: string; prompt: string; outcome: string }[] = []
  cancelled = 0
  mostAtOnce = 0
  #taken = 0
  readonly #backends: readonly FakeBackend[]
  /** `taken`: how many calls took a seat before this one; each has its own, so that no pattern repeats itself for ever. */
  readonly #fateOf: (backend: string, prompt: string, taken: number) => Fate
  readonly #used = new Map<string, number>()
  #waiting: Waiting[] = []

  constructor(
    backends: readonly FakeBackend[],
    fateOf: (backend: string, prompt: string, taken: number) => Fate = () => ({ kind: 'answers' }),
  ) {
    this.#backends = backends
    this.#fateOf = fateOf
  }

  get seatsUsed(): number {
    return [...this.#used.values()].reduce((sum, used) => sum + used, 0)
  }

  get waiting(): number {
    return this.#waiting.length
  }

  holders(except: ReadonlySet<string> = new Set()): Holder[] {
    return this.#backends
      .filter(({ name }) => !except.has(name))
      .map(({ name, seats }) => ({
        name,
        seats,
        context: 4_096,
        seatFree: (this.#used.get(name) ?? 0) < seats,
        resident: true,
      }))
  }

  readonly ask: AskInside = (call) => {
    const running = { backend: '', onSeatSinceMs: undefined as number | undefined }
    const { promise, resolve } = Promise.withResolvers<InnerAnswer>()
    const { prompt } = JSON.parse(call.body.toString('utf8')) as { prompt: string }
    let over = false
    let timer: Disposable | undefined
    const settle = (answer: Partial<InnerAnswer> & { status: number }) => {
      if (over) return
      over = true
      timer?.[Symbol.dispose]()
      this.#waiting = this.#waiting.filter((each) => each.call !== call)
      const servedMs =
        running.onSeatSinceMs === undefined ? 0 : this.clock.now() - running.onSeatSinceMs
      if (running.backend !== '') {
        this.#used.set(running.backend, this.#used.get(running.backend)! - 1)
        this.calls.push({ backend: running.backend, prompt, outcome: String(answer.status) })
      }
      resolve({
        body: Buffer.alloc(0),
        code: undefined,
        backend: running.backend,
        attempts: 1,
        waitMs: 0,
        servedMs,
        figures: undefined,
        ...answer,
      })
      queueMicrotask(() => this.#dealSeats())
    }
    const take = (backend: string) => {
      running.backend = backend
      running.onSeatSinceMs = this.clock.now()
      this.#used.set(backend, (this.#used.get(backend) ?? 0) + 1)
      this.mostAtOnce = Math.max(this.mostAtOnce, this.seatsUsed)
      const { msPerToken } = this.#backends.find(({ name }) => name === backend)!
      const fate = this.#fateOf(backend, prompt, this.#taken++)
      const tookMs = msPerToken * prompt.length
      if (fate.kind === 'hangs') return
      timer = this.clock.after(fate.kind === 'fails' ? tookMs / 2 : tookMs, () => {
        if (fate.kind === 'fails') settle({ status: fate.status, code: fate.code })
        else if (fate.kind === 'babbles') settle({ status: 200, body: Buffer.from('{"resp') })
        else {
          const body = Buffer.from(JSON.stringify({ response: answerTo(prompt), done: true }))
          settle({ status: 200, body })
        }
      })
    }
    this.#waiting.push({ call, take })
    queueMicrotask(() => this.#dealSeats())
    return {
      get backend() {
        return running.backend
      },
      get onSeatSinceMs() {
        return running.onSeatSinceMs
      },
      answer: promise,
      cancel: () => {
        if (!over) this.cancelled++
        settle({ status: 499 })
      },
    }
  }

  /** Time goes on until there is a result; what waits for promises gets its turn in between. */
  async until<T>(result: Promise<T>, stepMs = 10, stepsMax = 20_000): Promise<T> {
    let settled = false
    const done = () => {
      settled = true
    }
    result.then(done, done)
    for (let step = 0; step < stepsMax && !settled; step++) {
      await turn()
      if (!settled) this.clock.pass(stepMs)
    }
    if (!settled) throw new Error('it never ended')
    return await result
  }

  #dealSeats(): void {
    for (const waiting of [...this.#waiting]) {
      const free = this.holders(waiting.call.except).find(({ seatFree }) => seatFree)
      if (!free) continue
      this.#waiting = this.#waiting.filter((each) => each !== waiting)
      waiting.take(free.name)
    }
  }
}

export function answerTo(prompt: string): string {
  return `<${prompt}>`
}
