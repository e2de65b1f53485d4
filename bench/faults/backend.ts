import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Fault } from '../../backends/simulator/faults.ts'
import type { TraceEntry } from '../../backends/simulator/trace.ts'
import { type Child, start } from '../lib/child.ts'
import { model } from './questions.ts'

export interface BackendSpec {
  readonly name: string
  /** Its own for the whole run, so that one that was killed comes back where everybody looks for it. */
  readonly port: number
  readonly seats: number
  /** Between two tokens of a stream. */
  readonly paceMs: number
}

/** A death: when it was ordered, when an idle connection heard of it, and what stood in the trace just before. */
export interface Death {
  readonly victim: string
  readonly killedWallMs: number
  readonly heardWallMs: number
  readonly entries: readonly TraceEntry[]
}

const startMs = 15_000
/** Longer than any answer here: a row says how many tokens it wants. */
export const answerTokensMax = 80
const file = fileURLToPath(new URL('../../backends/simulator/main.ts', import.meta.url))

/** A simulated server as a process, so that it can be killed and frozen like one. */
export class Backend implements AsyncDisposable {
  readonly spec: BackendSpec
  #child: Child | undefined
  #frozen = false

  constructor(spec: BackendSpec) {
    this.spec = spec
  }

  /** As it is to be at the beginning of a row: alive, its model in memory, with nothing remembered. */
  async prepare(): Promise<void> {
    this.thaw()
    if (!this.#child?.alive) await this.#start()
    await this.arm()
    // Into memory, for ever.
    await this.#call('POST', '/api/generate', { model, stream: false, keep_alive: -1 })
    await this.#call('DELETE', '/sim/trace')
  }

  /** The pace is a fault of the simulator too: a model as quick as that answers the proxy's own questions at once. */
  async arm(...faults: readonly Fault[]): Promise<void> {
    await this.#call('PUT', '/sim/faults', [{ kind: 'trickle', ms: this.spec.paceMs }, ...faults])
  }

  /** What it was asked to infer, the oldest first. */
  async entries(): Promise<TraceEntry[]> {
    if (!this.#child?.alive) return []
    const { entries } = (await this.#call('GET', '/sim/trace')) as { entries: TraceEntry[] }
    return entries.filter(({ method }) => method === 'POST')
  }

  /** SIGKILL; gives back what was there to know. */
  async kill(): Promise<Death> {
    // Nobody can do anything before the kernel has closed the dead one's sockets; this one closes among the first.
    const witness = connect({ host: '127.0.0.1', port: this.spec.port })
    witness.on('error', () => {})
    await new Promise((resolve) => witness.once('connect', resolve))
    const heard = new Promise<number>((resolve) =>
      witness.once('close', () => resolve(Date.now())).resume(),
    )
    const entries = await this.entries()
    const child = this.#child!
    const killedWallMs = Date.now()
    process.kill(child.pid, 'SIGKILL')
    const heardWallMs = await heard
    // Its connections close a moment before it is gone.
    while (child.alive) await sleep(1)
    return { victim: this.spec.name, killedWallMs, heardWallMs, entries }
  }

  /** SIGSTOP: its kernel still takes connections and bytes, and nobody answers. Gives back what was there to know. */
  async freeze(): Promise<TraceEntry[]> {
    const entries = await this.entries()
    this.#frozen = true
    process.kill(this.#child!.pid, 'SIGSTOP')
    return entries
  }

  thaw(): void {
    if (!this.#frozen) return
    this.#frozen = false
    process.kill(this.#child!.pid, 'SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.thaw()
    await this.#child?.[Symbol.asyncDispose]()
  }

  async #start(): Promise<void> {
    const { name, port, seats } = this.spec
    const settings: Record<string, string | number> = {
      ...{ name, port, models: model, slots: seats, 'answer-tokens': answerTokensMax },
      ...{ speed: 2_000, slowdown: 0, 'keep-alive': -1, set: 'promptCacheBytes=0' },
    }
    const args = Object.entries(settings).map(([option, value]) => `--${option}=${value}`)
    this.#child = await start({ program: process.execPath, args: [file, ...args] })
    await this.#child.line('ready ', startMs)
  }

  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await fetch(`http://127.0.0.1:${this.spec.port}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (!answer.ok)
      throw new Error(`${this.spec.name} answered ${answer.status} to ${method} ${path}`)
    return await answer.json()
  }
}

/** The client's own, which every front passes on, also with a later leg. */
export function idOf({ headers }: TraceEntry): string {
  return headers.find(([name]) => name.toLowerCase() === 'x-request-id')?.[1] ?? ''
}
