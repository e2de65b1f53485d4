import { setTimeout as sleep } from 'node:timers/promises'
import type { MachineSpec } from '../engine/specs.ts'
import type { Address } from './configs.ts'

/** What a server says of itself at /api/tags and /api/ps. */
export interface Listed {
  readonly tags: readonly { readonly model: string; readonly size: number }[]
  readonly ps: readonly {
    readonly model: string
    readonly size: number
    readonly digest: string
    readonly context_length: number
  }[]
}

/** In seconds of the study, as the agent comes. */
const everyS = 5
/** So long its client waits for Ollama; in the meantime nothing is said of the machine. */
const patienceS = 300
/** Gigabytes a second of the fastest; the others in proportion to their tokens a second, which memory bounds. */
const fastestGbps = 800
/** What ollama-herd sets aside for each request at once. */
const requestGb = 2
const gibibyte = 2 ** 30
const nothing: Listed = { tags: [], ps: [] }

/**
 * What ollama-herd's agent would post from a machine. The agent itself cannot stand here: six of it on one machine would
 * all tell of that machine.
 */
export function heartbeatOf(
  { name, port }: Address,
  spec: MachineSpec,
  fastest: number,
  { tags, ps }: Listed,
): Record<string, unknown> {
  return {
    node_id: name,
    arch: 'linux',
    ollama_host: `http://127.0.0.1:${port}`,
    lan_ip: '127.0.0.1',
    cpu: { cores_physical: 8, utilization_pct: 10 },
    memory: memoryOf(spec, tags),
    memory_bandwidth_gbps: (fastestGbps * spec.decodePerSecond) / fastest,
    ollama: {
      models_loaded: ps.map(({ model, size, digest, context_length }) => ({
        ...{ name: model, size_gb: size / gibibyte, digest, context_length },
      })),
      models_available: tags.map(({ model }) => model),
      models_available_sizes: Object.fromEntries(
        tags.map(({ model, size }) => [model, size / 1e9]),
      ),
      max_loaded_models: spec.modelsMax,
      num_parallel: spec.slots,
    },
  }
}

/**
 * Room for one model more than the card of the machine holds, and for as many requests as it has slots. Memory that is
 * full where the card is full would be less: ollama-herd never has a model unloaded, so none would ever move, and it
 * reckons requests at once by memory that is free beside the model, which would be one.
 */
function memoryOf({ modelsMax, slots }: MachineSpec, tags: Listed['tags']) {
  const largest = Math.max(0, ...tags.map(({ size }) => size / 1e9))
  const gigabytes = (modelsMax + 1) * largest + requestGb * slots
  return { total_gb: gigabytes, used_gb: 0, available_gb: gigabytes }
}

/** The agents of all machines. */
export class HerdHeartbeats implements AsyncDisposable {
  readonly #machines: readonly Address[]
  readonly #specs: readonly MachineSpec[]
  readonly #scale: number
  readonly #url: string
  readonly #stop = new AbortController()
  readonly #fastest: number
  #loops: Promise<void>[] = []

  constructor(
    port: number,
    machines: readonly Address[],
    specs: readonly MachineSpec[],
    scale: number,
  ) {
    this.#url = `http://127.0.0.1:${port}/heartbeat`
    this.#machines = machines
    this.#specs = specs
    this.#scale = scale
    this.#fastest = Math.max(...specs.map(({ decodePerSecond }) => decodePerSecond))
  }

  /** Comes back when every machine is known: one after the other, since of equals it takes the first that came. */
  async begin(): Promise<void> {
    for (const [index, { name }] of this.#machines.entries())
      if (!(await this.#beat(index))) throw new Error(`the heartbeat of ${name} was not taken`)
    this.#loops = this.#machines.map((_, index) => this.#goOn(index))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#loops)
  }

  async #goOn(index: number): Promise<void> {
    const { signal } = this.#stop
    // The six do not begin in the same moment.
    await this.#pause((everyS * index) / this.#machines.length)
    while (!signal.aborted) {
      await this.#beat(index)
      await this.#pause(everyS)
    }
  }

  async #pause(seconds: number): Promise<void> {
    const { signal } = this.#stop
    await sleep((1_000 * seconds) / this.#scale, undefined, { signal }).catch(() => {})
  }

  /** An agent whose Ollama does not answer goes on, with nothing to list. */
  async #beat(index: number): Promise<boolean> {
    const machine = this.#machines[index]!
    const listed = await this.#listedBy(machine.port).catch(() => nothing)
    const body = heartbeatOf(machine, this.#specs[index]!, this.#fastest, listed)
    const answer = await fetch(this.#url, {
      ...{ method: 'POST', body: JSON.stringify(body), signal: this.#limit() },
      headers: { 'Content-Type': 'application/json' },
    }).catch(() => undefined)
    await answer?.text().catch(() => {})
    return answer?.ok ?? false
  }

  async #listedBy(port: number): Promise<Listed> {
    const [tags, ps] = await Promise.all(
      ['tags', 'ps'].map(async (path) => {
        const answer = await fetch(`http://127.0.0.1:${port}/api/${path}`, {
          signal: this.#limit(),
        })
        return ((await answer.json()) as { models: never[] }).models
      }),
    )
    return { tags: tags!, ps: ps! }
  }

  #limit(): AbortSignal {
    return AbortSignal.any([
      this.#stop.signal,
      AbortSignal.timeout(Math.ceil((1_000 * patienceS) / this.#scale)),
    ])
  }
}
