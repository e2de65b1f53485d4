import { fileURLToPath } from 'node:url'
import { type Child, start } from '../lib/child.ts'
import { Caller } from './caller.ts'

/** A simulated server: how fast it is, and what befalls it. */
export interface MachineSpec {
  readonly name: string
  /** What one part takes there, as it is set; what it really takes is measured. */
  readonly partMs: number
  /** The model is not in memory, and loading it takes so long; 0: it is there. */
  readonly loadMs: number
  /** Killed so long after the beginning of a round. */
  readonly diesAtMs: number | undefined
  /** For embeddings: what one text takes. */
  readonly itemMs?: number
}

/** What the simulator remembers of a request, as far as it matters here. */
interface TraceRow {
  readonly route: string
  readonly arrival: number
  readonly arrivalWall: number
  readonly slotAt?: number
  readonly end?: number
  readonly loadStart?: number
  readonly loadEnd?: number
  readonly status?: number
  readonly cancelReason?: string
  readonly headers: readonly (readonly [string, string])[]
  readonly bodyBytes: number
}

/** A request that had a slot, in milliseconds of the date, so that machines can be compared. */
export interface Served {
  readonly fromMs: number
  /** Undefined: it never ended. */
  readonly toMs: number | undefined
  readonly isGood: boolean
  readonly isLoad: boolean
  /** As the sender numbered it; '' when it did not. */
  readonly requestId: string
  readonly bodyBytes: number
}

export const partModel = 'llama3.2'
export const embedModel = 'all-minilm'
/** Few steps a part: each is a timer, and eight machines share two cores with everybody. */
const answerTokens = 4
/** Of texts to embed; the simulator counts four characters as one. */
export const itemTokens = 128
const startMs = 15_000
const file = fileURLToPath(new URL('../../backends/simulator/main.ts', import.meta.url))

/** A process of its own, so that it can be killed like one. */
export class Machine implements AsyncDisposable {
  readonly spec: MachineSpec
  #child: Child
  #port = 0
  #caller: Caller | undefined

  private constructor(spec: MachineSpec, child: Child) {
    this.spec = spec
    this.#child = child
  }

  /** Started, not ready yet: many of them start side by side. */
  static async start(spec: MachineSpec): Promise<Machine> {
    return new Machine(spec, await spawnIt(spec))
  }

  get port(): number {
    return this.#port
  }

  get caller(): Caller {
    if (!this.#caller) throw new Error(`${this.spec.name} is not ready`)
    return this.#caller
  }

  /** As it is to be at the beginning of a round: alive, its model in memory or not, with nothing remembered. */
  async prepare(): Promise<void> {
    if (!this.#child.alive) {
      this.#caller?.[Symbol.dispose]()
      this.#caller = undefined
      this.#child = await spawnIt(this.spec)
    }
    if (!this.#caller) {
      const line = await this.#child.line('ready ', startMs)
      this.#port = Number(line.slice(line.lastIndexOf(':') + 1))
      this.#caller = new Caller(this.#port)
    }
    await this.#load(partModel, this.spec.loadMs === 0)
    if (this.spec.itemMs !== undefined)
      await this.caller.ask('/api/embed', { model: embedModel, input: 'warm', keep_alive: -1 })
    await this.forget()
  }

  /** Into memory for ever, or out of it. */
  async #load(model: string, isIn: boolean): Promise<void> {
    await this.caller.ask('/api/generate', { model, stream: false, keep_alive: isIn ? -1 : 0 })
  }

  async forget(): Promise<void> {
    await this.caller.delete('/sim/trace')
  }

  /** What had a slot there since it was told to forget, the oldest first. */
  async served(route: '/api/generate' | '/api/embed'): Promise<Served[]> {
    const { entries } = await this.caller.ask<{ entries: TraceRow[] }>('/sim/trace')
    return entries
      .filter((row) => row.route === route)
      .flatMap((row) => {
        const dateOf = (moment: number) => row.arrivalWall + moment - row.arrival
        const isLoad = row.loadStart !== undefined
        const from = row.slotAt ?? row.loadStart
        if (from === undefined) return []
        // Of a request for many texts the last slot is noted; it has them all from its arrival on.
        const fromMs = dateOf(route === '/api/embed' ? row.arrival : from)
        const isGood = row.status === 200 && row.cancelReason === undefined
        const toMs = row.end === undefined ? undefined : dateOf(row.end)
        const requestId = row.headers.find(([name]) => name === 'X-Request-Id')?.[1] ?? ''
        return [{ fromMs, toMs, isGood, isLoad, requestId, bodyBytes: row.bodyBytes }]
      })
  }

  /** As when somebody pulls the plug. */
  kill(): void {
    process.kill(this.#child.pid, 'SIGKILL')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#caller?.[Symbol.dispose]()
    await this.#child[Symbol.asyncDispose]()
  }
}

function spawnIt({ name, partMs, loadMs, itemMs }: MachineSpec): Promise<Child> {
  const settings: Record<string, string | number> = {
    name,
    models: `${partModel},${embedModel}`,
    slots: 1,
    'answer-tokens': answerTokens,
    speed: (1000 * answerTokens) / partMs,
    'load-seconds': loadMs / 1000,
    'keep-alive': -1,
    // Moving old prompts to and fro would be time that no schedule can be blamed for.
    set: 'promptCacheBytes=0',
    ...(itemMs === undefined ? {} : { prefill: (1000 * itemTokens) / itemMs }),
  }
  const args = Object.entries(settings).map(([option, value]) => `--${option}=${value}`)
  return start({ program: process.execPath, args: [file, ...args] })
}
