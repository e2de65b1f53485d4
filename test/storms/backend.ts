import type { SimulatorSettings } from '../../backends/simulator/server.ts'
import { takenPort } from '../help/ports.ts'
import type { BackendOrder, BackendReply } from './backend-host.ts'
import { ToldProcess } from './told-processes.ts'

type State = 'up' | 'frozen' | 'down'

/** A backend of a storm over all of its lives: killed, it comes back as a new process on the same port. */
export class StormBackend {
  readonly name: string
  readonly #settings: Partial<SimulatorSettings>
  readonly #behindGate: boolean
  #process: ToldProcess<BackendOrder, BackendReply> | undefined
  #state: State = 'down'
  #port = 0
  /** What it is told happens one after another: nobody is thawed before he is there. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(name: string, settings: Partial<SimulatorSettings>, behindGate: boolean) {
    this.name = name
    this.#settings = settings
    this.#behindGate = behindGate
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  start(): Promise<void> {
    return this.#then(async () => {
      if (this.#state !== 'down') return
      if (this.#port === 0) this.#port = await lastingPort()
      const process = new ToldProcess<BackendOrder, BackendReply>(
        './backend-host.ts',
        [],
        () => false,
      )
      this.#process = process
      const start = { settings: this.#settings, port: this.#port, behindGate: this.#behindGate }
      await process.tell({ kind: 'start', start })
      this.#state = 'up'
    })
  }

  kill(): Promise<void> {
    return this.#then(async () => {
      this.#state = 'down'
      await this.#process?.kill()
    })
  }

  freeze(): Promise<void> {
    return this.#then(async () => {
      if (this.#state !== 'up') return
      this.#state = 'frozen'
      this.#process?.signal('SIGSTOP')
    })
  }

  thaw(): Promise<void> {
    return this.#then(async () => {
      if (this.#state !== 'frozen') return
      this.#state = 'up'
      this.#process?.signal('SIGCONT')
    })
  }

  /** Undefined where nobody is there to hear it. */
  tell(order: BackendOrder): Promise<BackendReply | undefined> {
    return this.#then(async () =>
      this.#state === 'up' ? await this.#process?.tell(order) : undefined,
    )
  }

  /** Up, thawed, honest and without a fault. */
  async behave(): Promise<void> {
    await this.thaw()
    await this.start()
    await this.tell({ kind: 'behave' })
  }

  async end(): Promise<void> {
    await this.thaw()
    await this.kill()
  }

  #then<Thing>(act: () => Promise<Thing>): Promise<Thing> {
    const acted = this.#last.then(act)
    this.#last = acted.catch(() => {})
    return acted
  }
}

/** Below those that the system gives to whoever calls out: while its owner is dead nobody else shall have it. */
async function lastingPort(): Promise<number> {
  for (let tries = 0; ; tries++) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    try {
      await using _taken = await takenPort(port)
      return port
    } catch (error) {
      if (tries > 100) throw error
    }
  }
}
