import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { TraceEntry } from '../../../backends/simulator/trace.ts'
import { type Child, start } from '../../lib/child.ts'
import { cpuSeconds } from '../../lib/proc.ts'
import type { MachineSpec, ModelSpec } from '../engine/specs.ts'
import { type Pace, simulatorArguments } from './configs.ts'

const file = fileURLToPath(new URL('../../../backends/simulator/main.ts', import.meta.url))
const startMs = 20_000

/** A machine of the study as a process, with all that can befall it. What befalls it is done one after the other. */
export class RealMachine implements AsyncDisposable {
  readonly spec: MachineSpec
  readonly port: number
  readonly #models: readonly ModelSpec[]
  readonly #pace: Pace
  #child: Child | undefined
  #isFrozen = false
  /** Of processes that were killed. */
  readonly #buried: TraceEntry[] = []
  #buriedCpuS = 0
  #line: Promise<unknown> = Promise.resolve()

  constructor(spec: MachineSpec, port: number, models: readonly ModelSpec[], pace: Pace) {
    this.spec = spec
    this.port = port
    this.#models = models
    this.#pace = pace
  }

  /** `models`: indices of those that are in memory before anybody comes. */
  begin(models: readonly number[]): Promise<void> {
    return this.#next(async () => {
      const place = { port: this.port, pace: this.#pace, preloaded: models }
      const args = simulatorArguments(this.spec, this.#models, place)
      this.#child = await start({ program: process.execPath, args: [file, ...args] })
      await this.#child.line('ready ', startMs)
    })
  }

  /** SIGKILL; what it knew is asked for before. */
  kill(): Promise<void> {
    return this.#next(async () => {
      this.#buried.push(...(await this.#entries()))
      this.#buriedCpuS += this.#ownCpuSeconds()
      const child = this.#child!
      process.kill(child.pid, 'SIGKILL')
      while (child.alive) await sleep(1)
    })
  }

  freeze(): Promise<void> {
    return this.#next(async () => {
      this.#isFrozen = true
      process.kill(this.#child!.pid, 'SIGSTOP')
    })
  }

  thaw(): Promise<void> {
    return this.#next(async () => this.#thaw())
  }

  failAll(isFailing: boolean): Promise<void> {
    const faults = isFailing ? [{ kind: 'status', status: 500, text: 'failing' }] : []
    return this.#next(() => this.#call('PUT', '/sim/faults', faults))
  }

  slowDown(slowness: number): Promise<void> {
    return this.#next(() => this.#call('PUT', '/sim/pace', { slowness }))
  }

  /** What it was asked to infer since it began. */
  async entries(): Promise<readonly TraceEntry[]> {
    await this.#line
    return [...this.#buried, ...(this.#child?.alive ? await this.#entries() : [])]
  }

  get cpuSeconds(): number {
    return this.#buriedCpuS + this.#ownCpuSeconds()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#line
    this.#thaw()
    await this.#child?.[Symbol.asyncDispose]()
  }

  async #next(act: () => Promise<unknown>): Promise<void> {
    const done = this.#line.then(act)
    // Whoever asked hears of a failure; the next one is not kept from its turn.
    this.#line = done.catch(() => {})
    await done
  }

  #thaw(): void {
    if (!this.#isFrozen) return
    this.#isFrozen = false
    process.kill(this.#child!.pid, 'SIGCONT')
  }

  #ownCpuSeconds(): number {
    return this.#child?.alive ? cpuSeconds(this.#child.pid) : 0
  }

  async #entries(): Promise<TraceEntry[]> {
    const { entries } = (await this.#call('GET', '/sim/trace')) as { entries: TraceEntry[] }
    return entries.filter(({ method }) => method === 'POST')
  }

  async #call(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await fetch(`http://127.0.0.1:${this.port}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (!answer.ok)
      throw new Error(`${this.spec.name} answered ${answer.status} to ${method} ${path}`)
    return await answer.json()
  }
}
