import { type Clock, sleep } from '../../../src/core/clock.ts'
import type { Child } from './child.ts'
import { afterEnd, diedSoonMax, type Fate, freshFate } from './pauses.ts'

/** From the polite signal to the other one. */
const killAfterMs = 10_000
const answerEveryMs = 100
/** A server that needs longer to open its port will not do it. */
const answerMsMax = 60_000

export interface SupervisorDoors {
  readonly clock: Clock
  readonly start: () => Child
  /** The server answers. */
  readonly answers: () => Promise<boolean>
  readonly say: (sentence: string) => void
}

/**
 * Keeps an Ollama running: one that ends is started again after a growing pause, one that ends at once five times in a
 * row is given up until somebody orders a restart. Owns the child, and ends it when it ends itself.
 */
export class Supervisor {
  readonly #doors: SupervisorDoors
  #child: Child | undefined
  #fate: Fate = freshFate
  #stopping = new AbortController()
  #watching: Promise<void> = Promise.resolve()
  #givenUp: string | undefined

  constructor(doors: SupervisorDoors) {
    this.#doors = doors
  }

  /** Why it is not started any more; undefined while it is looked after. */
  get givenUp(): string | undefined {
    return this.#givenUp
  }

  /** Starts it and waits until it answers, has been given up, or a minute is over. */
  async start(): Promise<boolean> {
    this.#stopping = new AbortController()
    this.#fate = freshFate
    this.#givenUp = undefined
    this.#watching = this.#watch(this.#stopping.signal)
    return await this.#answers()
  }

  async restart(): Promise<boolean> {
    await this.stop()
    return await this.start()
  }

  /** Ends it, with whatever it has started. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#child?.end(killAfterMs)
    await this.#watching
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { clock, start, say } = this.#doors
    while (!signal.aborted) {
      const startedMs = clock.now()
      this.#child = start()
      const how = await this.#child.ended
      this.#child = undefined
      if (signal.aborted) return
      const { fate, pauseMs } = afterEnd(this.#fate, clock.now() - startedMs)
      this.#fate = fate
      if (pauseMs === undefined) {
        this.#givenUp = `ollama serve ended at once ${diedSoonMax} times in a row (${how})`
        say(`${this.#givenUp}; it is not started again before a restart is ordered`)
        return
      }
      say(`ollama serve has ended (${how}); it is started again in ${pauseMs / 1_000} s`)
      await sleep(clock, pauseMs, signal)
    }
  }

  async #answers(): Promise<boolean> {
    const { clock, answers } = this.#doors
    const { signal } = this.#stopping
    const latestMs = clock.now() + answerMsMax
    while (!signal.aborted && this.#givenUp === undefined && clock.now() < latestMs) {
      if (await answers()) return true
      await sleep(clock, answerEveryMs, signal)
    }
    return false
  }
}
