import { type Clock, sleep } from '../../src/core/clock.ts'
import { type Dice, jittered } from '../../src/core/dice.ts'
import type { StoredModel } from './models.ts'
import type { Occupancy } from './occupancy.ts'
import { PromptCache, type Seating, tokenCount } from './prompt-cache.ts'
import { clientLeft, Refusal, runnerStopped } from './refusal.ts'
import type { SimulatorSettings } from './settings.ts'
import type { EngineTurn, SharedEngine } from './shared-engine.ts'
import type { Trace, TraceEntry } from './trace.ts'

/** The options that make a runner; another set than the loaded one means loading again. */
export interface Fingerprint {
  readonly contextTokens: number
  /** The other runner options, as one text. */
  readonly others: string
  /** Negative or absent: chosen by the server, equal to whatever is loaded. */
  readonly gpuLayers: number | undefined
}

export interface Spent {
  readonly promptTokens: number
  readonly promptMs: number
  readonly outputTokens: number
  readonly outputMs: number
}

/** How far behind real time the pace may fall before what was missed is given up, in milliseconds of life. */
const backlogMsMax = 250
/** Pieces that are written in one go before other work gets its turn. */
const burstMax = 32

/** A loaded model: its slots, its prompt cache and the pace of one engine that all slots share. */
export class Runner {
  readonly model: StoredModel
  readonly fingerprint: Fingerprint
  readonly sizeBytes: number
  readonly slots: number
  /** Fires when the process behind this runner is gone. */
  readonly died = new AbortController()
  refcount = 0
  keepAliveMs: number
  expiresAt: number | undefined
  idleTimer: Disposable | undefined

  readonly #settings: SimulatorSettings
  readonly #clock: Clock
  readonly #dice: Dice
  readonly #trace: Trace
  readonly #occupancy: Occupancy
  readonly #engine: SharedEngine | undefined
  readonly #cache: PromptCache
  readonly #waiting: (() => void)[] = []
  #taken = 0
  #decoding = 0
  /** The engine reads a prompt batch until then; no slot gets a token before. */
  #readingUntil = 0

  constructor(
    model: StoredModel,
    fingerprint: Fingerprint,
    keepAliveMs: number,
    sizeBytes: number,
    surroundings: {
      settings: SimulatorSettings
      clock: Clock
      dice: Dice
      trace: Trace
      occupancy: Occupancy
      engine: SharedEngine | undefined
    },
  ) {
    this.model = model
    this.fingerprint = fingerprint
    this.keepAliveMs = keepAliveMs
    this.sizeBytes = sizeBytes
    this.#settings = surroundings.settings
    this.#clock = surroundings.clock
    this.#dice = surroundings.dice
    this.#trace = surroundings.trace
    this.#occupancy = surroundings.occupancy
    this.#engine = surroundings.engine
    this.slots = slotsOf(model, surroundings.settings)
    this.#cache = new PromptCache(surroundings.settings, this.slots)
  }

  get running(): number {
    return this.#taken
  }
  get waiting(): number {
    return this.#waiting.length
  }

  /**
   * Waits for a slot, reads the prompt and says the pieces at the engine's pace. `say` is awaited, so a client that
   * reads slowly holds its slot longer, as it does in life.
   */
  async work(
    job: { prompt: string; pieces: number; entry: TraceEntry; signal: AbortSignal },
    say: (index: number) => Promise<void>,
    saidText: () => string,
  ): Promise<Spent> {
    const { entry } = job
    const stop = new AbortController()
    const onClientLeft = () => stop.abort()
    const onDeath = () => stop.abort()
    job.signal.addEventListener('abort', onClientLeft, { once: true })
    this.died.signal.addEventListener('abort', onDeath, { once: true })
    if (job.signal.aborted || this.died.signal.aborted) stop.abort()
    const goOn = () => {
      if (job.signal.aborted) throw clientLeft()
      if (this.died.signal.aborted) throw new Refusal(500, runnerStopped)
    }
    let seating: Seating | undefined
    let seated = false
    try {
      entry.slotWaitAt = this.#trace.now()
      seated = await this.#queue(entry, stop.signal)
      goOn()
      seating = this.#cache.seat(job.prompt, this.#clock.now())
      entry.slotAt = this.#trace.now()
      entry.slot = seating.slot.index
      const promptTokens = tokenCount(job.prompt)
      entry.promptTokens = (entry.promptTokens ?? 0) + promptTokens
      entry.cachedTokens = (entry.cachedTokens ?? 0) + seating.cachedTokens

      if (seating.copyMs > 0) await sleep(this.#clock, seating.copyMs, stop.signal)
      const toRead = promptTokens - seating.cachedTokens
      using turn = this.#engine?.begin(
        { promptTokens: toRead, answerTokens: job.pieces, speed: this.model.speed },
        stop.signal,
      )
      const promptMs = turn ? await turn.read() : await this.#read(toRead, stop.signal)
      goOn()
      // From here on the prompt is in the slot, whatever becomes of the answer.
      seating.slot.held = job.prompt

      const from = this.#clock.now()
      if (turn) await this.#speakShared(turn, job.pieces, say, goOn, entry)
      else await this.#speak(job.pieces, say, stop.signal, goOn, entry)
      const outputMs = turn ? turn.spokenMs() : this.#clock.now() - from
      return { promptTokens, promptMs, outputTokens: job.pieces, outputMs }
    } finally {
      job.signal.removeEventListener('abort', onClientLeft)
      this.died.signal.removeEventListener('abort', onDeath)
      if (seating) {
        if (seating.slot.held === job.prompt) seating.slot.held = job.prompt + saidText()
        seating.slot.usedAt = this.#clock.now()
        seating.slot.busy = false
      }
      if (seated) {
        this.#occupancy.running(this.model.canonical, entry, -1)
        this.#give()
      }
    }
  }

  async #queue(entry: TraceEntry, signal: AbortSignal): Promise<boolean> {
    const { canonical } = this.model
    const waits = this.#taken >= this.slots
    if (waits) this.#occupancy.waiting(canonical, entry, 1)
    const seated = await this.#take(signal)
    if (waits && seated) this.#occupancy.seated(canonical, entry)
    else if (waits) this.#occupancy.waiting(canonical, entry, -1)
    else if (seated) this.#occupancy.running(canonical, entry, 1)
    return seated
  }

  /** First come, first served, without a limit. */
  #take(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false)
    if (this.#taken < this.slots) {
      this.#taken++
      return Promise.resolve(true)
    }
    return new Promise((resolve) => {
      const turn = () => {
        signal.removeEventListener('abort', leave)
        resolve(true)
      }
      const leave = () => {
        const at = this.#waiting.indexOf(turn)
        if (at >= 0) this.#waiting.splice(at, 1)
        resolve(false)
      }
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.push(turn)
    })
  }

  #give(): void {
    const next = this.#waiting.shift()
    // The slot goes from hand to hand, so that nobody who comes just now can take it from the one who waited.
    if (next) next()
    else this.#taken--
  }

  /** Prompts are read in batches, one batch at a time over all slots. */
  async #read(tokens: number, signal: AbortSignal): Promise<number> {
    const { prefillBatchTokens, prefillTokensPerSecond } = this.#settings
    let spentMs = 0
    for (let left = tokens; left > 0 && !signal.aborted; left -= prefillBatchTokens) {
      const batchMs = (Math.min(left, prefillBatchTokens) / prefillTokensPerSecond) * 1000
      const now = this.#clock.now()
      this.#readingUntil = Math.max(now, this.#readingUntil) + batchMs
      spentMs += batchMs
      await this.#until(this.#readingUntil, signal)
    }
    return spentMs
  }

  async #speak(
    pieces: number,
    say: (index: number) => Promise<void>,
    signal: AbortSignal,
    goOn: () => void,
    entry: TraceEntry,
  ): Promise<void> {
    const { decodeTokensPerSecond, slowdownAlpha, jitter, clockSpeed } = this.#settings
    const aloneMs = 1000 / decodeTokensPerSecond
    let due = this.#clock.now()
    let burst = 0
    this.#decoding++
    try {
      for (let index = 0; index < pieces; index++) {
        const stepMs = aloneMs * (1 + slowdownAlpha * (this.#decoding - 1))
        const now = this.#clock.now()
        // A process that was stopped does not hurry afterwards.
        if (now - due > backlogMsMax * clockSpeed) due = now
        due = Math.max(due, this.#readingUntil) + jittered(this.#dice, stepMs, jitter)
        if (due > now) {
          await sleep(this.#clock, due - now, signal)
          burst = 0
        } else if (++burst >= burstMax) {
          await sleep(this.#clock, 0, signal)
          burst = 0
        }
        goOn()
        entry.firstToken ??= this.#trace.now()
        entry.outputTokens = (entry.outputTokens ?? 0) + 1
        await say(index)
        goOn()
      }
    } finally {
      this.#decoding--
    }
  }

  /** Lines that are due together are written in one turn, and leave in one piece. */
  async #speakShared(
    turn: EngineTurn,
    pieces: number,
    say: (index: number) => Promise<void>,
    goOn: () => void,
    entry: TraceEntry,
  ): Promise<void> {
    let index = 0
    while (index < pieces) {
      const said = await turn.more(index)
      goOn()
      entry.firstToken ??= this.#trace.now()
      for (; index < said; index++) {
        entry.outputTokens = (entry.outputTokens ?? 0) + 1
        await say(index)
        goOn()
      }
    }
  }

  async #until(moment: number, signal: AbortSignal): Promise<void> {
    const ms = moment - this.#clock.now()
    if (ms > 0) await sleep(this.#clock, ms, signal)
  }
}

/** Some engines cannot work in parallel whatever OLLAMA_NUM_PARALLEL says. */
export function slotsOf(model: StoredModel, settings: SimulatorSettings): number {
  const single =
    !model.capabilities.includes('completion') ||
    /^(mllama|qwen3vl(moe)?|qwen35(moe)?|qwen3next|lfm2(moe)?|nemotron_h.*)$/.test(model.family)
  return single ? 1 : Math.max(1, settings.slots)
}
