import { type Clock, sleep } from '../../src/core/clock.ts'
import type { Looks } from './looks.ts'
import type { Supervisor } from './manage/supervisor.ts'
import type { Permit } from './permit.ts'

export interface RestartDoors {
  readonly permit: Pick<Permit, 'hold' | 'goOn' | 'whenIdle'>
  readonly supervisor: Pick<Supervisor, 'restart'>
  readonly looks: Pick<Looks, 'preload'>
  readonly clock: Clock
  /** What still runs then is cut. */
  readonly drainMs: () => number
  readonly resident: () => Iterable<string>
  /** A fresh look at the server's lists. */
  readonly look: () => Promise<void>
  readonly say: (sentence: string) => void
}

/** Restarts the Ollama in order: what runs there ends, who comes meanwhile waits, what was in memory is loaded again. */
export class Restarts {
  readonly #doors: RestartDoors
  #underWay = false

  constructor(doors: RestartDoors) {
    this.#doors = doors
  }

  /** A second order while one is carried out means the same. */
  begin(): void {
    if (this.#underWay) return
    this.#underWay = true
    const restarted = this.#restart().finally(() => {
      this.#underWay = false
      this.#doors.permit.goOn()
    })
    // A load takes as long as it takes, or for ever: the next order does not wait for it.
    void restarted.then((models) => this.#doors.looks.preload(models))
  }

  /** The models that were in memory and can be loaded again. */
  async #restart(): Promise<readonly string[]> {
    const { permit, supervisor, clock, drainMs, resident, look, say } = this.#doors
    say('restarts its Ollama; what runs there ends first')
    permit.hold()
    const before = [...resident()]
    await Promise.race([permit.whenIdle('waiting may'), sleep(clock, drainMs())])
    const answers = await supervisor.restart()
    await look()
    say(answers ? 'has restarted its Ollama' : 'has restarted its Ollama, which does not answer')
    return answers ? before : []
  }
}
