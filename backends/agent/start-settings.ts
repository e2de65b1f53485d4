import type { Endpoint } from '../../src/pool/endpoint.ts'
import {
  environmentOfListener,
  firstSaid,
  type OllamaEnvironment,
  readVariables,
} from './ollama-environment.ts'
import { slotsByModel } from './slots.ts'

export interface StartSettingsDoors {
  readonly url: URL
  /** The Ollama runs on this machine: its process may be looked at. */
  readonly isHere: boolean
  readonly env: NodeJS.ProcessEnv
  /** As the operator said it: then nobody else is asked. */
  readonly slots: number | undefined
}

/** What the Ollama was told when it was started, and the number of seats that follows from it. */
export class StartSettings {
  readonly #doors: StartSettingsDoors
  #environment: OllamaEnvironment
  #source: string
  #listed: unknown
  #fixedTo: number | undefined

  constructor(doors: StartSettingsDoors) {
    this.#doors = doors
    this.#environment = readVariables(doors.env)
    this.#source = 'OLLAMA_NUM_PARALLEL'
  }

  get modelsLoadedMax(): number | undefined {
    return this.#environment.modelsLoadedMax
  }

  get modelsDir(): string | undefined {
    return this.#environment.modelsDir
  }

  get slots(): number | undefined {
    return this.#doors.slots ?? this.#environment.slots
  }

  /** For people: the number, and who said it. */
  get slotsSaid(): string {
    const { slots } = this
    if (slots === undefined) return 'learned from its answers'
    return `${slots} for each model (${this.#doors.slots === undefined ? this.#source : '--slots'})`
  }

  /** At the start, and whenever the server has come back: it may have been told something else. */
  async learn(): Promise<void> {
    const { url, isHere, env } = this.#doors
    const own = readVariables(env)
    const theirs = isHere ? await environmentOfListener(Number(url.port) || 80) : readVariables({})
    this.#environment = firstSaid(own, theirs)
    this.#source = own.slots === undefined ? 'its OLLAMA_NUM_PARALLEL' : 'OLLAMA_NUM_PARALLEL'
  }

  /** Seats by model, where a number is known: the models may have changed, or the number. */
  fix(endpoint: Endpoint): void {
    const { slots } = this
    if (endpoint.onDisk === this.#listed && slots === this.#fixedTo) return
    this.#listed = endpoint.onDisk
    this.#fixedTo = slots
    const fixed = slotsByModel(endpoint.onDisk.values(), slots)
    endpoint.reconfigure({ ...endpoint.backend, slots: fixed })
  }
}
