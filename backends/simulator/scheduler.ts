import { type Clock, sleep } from '../../src/core/clock.ts'
import { type Dice, jittered } from '../../src/core/dice.ts'
import type { Faults } from './faults.ts'
import type { StoredModel } from './models.ts'
import type { Occupancy } from './occupancy.ts'
import { clientLeft, Refusal } from './refusal.ts'
import { type Fingerprint, Runner, slotsOf } from './runner.ts'
import type { SimulatorSettings } from './settings.ts'
import type { SharedEngine } from './shared-engine.ts'
import type { Trace, TraceEntry } from './trace.ts'

/** What a request needs from the scheduler. */
export interface Wish {
  readonly model: StoredModel
  readonly fingerprint: Fingerprint
  /** The request's own keep_alive; undefined: the server's. */
  readonly keepAliveMs: number | undefined
  readonly signal: AbortSignal
  readonly entry: TraceEntry
}

/** A runner that is held; giving it back starts its idle time. */
export interface Hold extends Disposable {
  readonly runner: Runner
}

interface Pending {
  readonly wish: Wish
  readonly settle: (runner: Runner) => void
  readonly refuse: (refusal: unknown) => void
}

/** How often a queue that stands still looks whether it may go on. */
const hangLookMs = 20
/** Only this share of the free memory is planned with, as estimates are estimates. */
const memoryShare = 0.8

/**
 * One load at a time. A request for a loaded model passes by; every other one stands in one queue, and its head holds
 * up all behind it while it waits for room and for its load.
 */
export class Scheduler {
  readonly #settings: SimulatorSettings
  readonly #clock: Clock
  readonly #dice: Dice
  readonly #trace: Trace
  readonly #faults: Faults
  readonly #occupancy: Occupancy
  readonly #engine: SharedEngine | undefined
  readonly #runners = new Map<string, Runner>()
  readonly #seenWeights = new Set<string>()
  #pending: Pending[] = []
  #serving: Pending | undefined
  #onUnload: (() => void)[] = []
  readonly #closed = new AbortController()

  constructor(surroundings: {
    settings: SimulatorSettings
    clock: Clock
    dice: Dice
    trace: Trace
    faults: Faults
    occupancy: Occupancy
    engine: SharedEngine | undefined
  }) {
    this.#settings = surroundings.settings
    this.#clock = surroundings.clock
    this.#dice = surroundings.dice
    this.#trace = surroundings.trace
    this.#faults = surroundings.faults
    this.#occupancy = surroundings.occupancy
    this.#engine = surroundings.engine
  }

  runners(): Runner[] {
    return [...this.#runners.values()]
  }
  pending(): { model: string; loading: boolean; gone: boolean }[] {
    const all = this.#serving ? [this.#serving, ...this.#pending] : this.#pending
    return all.map(({ wish }, index) => ({
      model: wish.model.name,
      loading: index === 0 && this.#serving !== undefined,
      gone: wish.signal.aborted,
    }))
  }

  async take(wish: Wish): Promise<Hold> {
    const loaded = this.#runners.get(wish.model.weights)
    if (loaded && !needsReload(loaded, wish)) return this.#hold(loaded, wish)

    if (this.#pending.length >= this.#settings.maxQueue)
      throw new Refusal(503, 'server busy, please try again.  maximum pending requests exceeded')
    if (wish.signal.aborted) throw clientLeft()
    wish.entry.queuedAt = this.#trace.now()
    const runner = await new Promise<Runner>((resolve, reject) => {
      const leave = () => reject(clientLeft())
      wish.signal.addEventListener('abort', leave, { once: true })
      const settle = (found: Runner) => {
        wish.signal.removeEventListener('abort', leave)
        resolve(found)
      }
      // A client that leaves is answered at once; its entry keeps its place until it is reached.
      this.#pending.push({ wish, settle, refuse: reject })
      void this.#pump()
    })
    return this.#holdOf(runner)
  }

  /** In memory at once, beside anything that is going on. */
  preload(model: StoredModel, fingerprint: Fingerprint): void {
    const runner = this.#newRunner({ model, fingerprint, keepAliveMs: undefined })
    this.#runners.set(model.weights, runner)
    runner.refcount++
    this.#release(runner)
  }

  /** `ollama stop`: ends as soon as nobody uses it any more; 200 also when it was never there. */
  unload(model: StoredModel): void {
    const runner = this.#runners.get(model.weights)
    if (runner) this.#expire(runner)
  }

  /**
   * The process behind a runner dies: all its streams fail. Nobody notices otherwise, and /api/ps goes on listing it,
   * until its time is over or the next request finds it dead and loads again.
   */
  crash(weights: string): boolean {
    const runner = this.#runners.get(weights)
    if (!runner || runner.died.signal.aborted) return false
    runner.died.abort()
    return true
  }

  close(): void {
    this.#closed.abort()
    for (const { refuse } of this.#pending) refuse(clientLeft())
    this.#pending = []
    for (const runner of this.runners()) this.#remove(runner)
  }

  #hold(runner: Runner, wish: Wish): Hold {
    this.#use(runner, wish)
    return this.#holdOf(runner)
  }

  #use(runner: Runner, wish: Wish): void {
    runner.refcount++
    runner.idleTimer?.[Symbol.dispose]()
    runner.idleTimer = undefined
    if (wish.keepAliveMs !== undefined) runner.keepAliveMs = wish.keepAliveMs
  }

  #holdOf(runner: Runner): Hold {
    let held = true
    return {
      runner,
      [Symbol.dispose]: () => {
        if (!held) return
        held = false
        this.#release(runner)
      },
    }
  }

  #release(runner: Runner): void {
    runner.refcount--
    if (runner.refcount > 0 || this.#runners.get(runner.model.weights) !== runner) return
    if (runner.keepAliveMs <= 0) {
      this.#remove(runner)
      return
    }
    runner.idleTimer?.[Symbol.dispose]()
    runner.idleTimer = undefined
    runner.expiresAt = this.#clock.wall() + runner.keepAliveMs
    if (Number.isFinite(runner.keepAliveMs))
      runner.idleTimer = this.#clock.after(runner.keepAliveMs, () => {
        if (runner.refcount === 0) this.#remove(runner)
      })
  }

  #expire(runner: Runner): void {
    runner.idleTimer?.[Symbol.dispose]()
    runner.idleTimer = undefined
    runner.keepAliveMs = 0
    if (runner.refcount <= 0) this.#remove(runner)
  }

  #remove(runner: Runner): void {
    if (this.#runners.get(runner.model.weights) !== runner) return
    runner.idleTimer?.[Symbol.dispose]()
    this.#runners.delete(runner.model.weights)
    runner.died.abort()
    for (const wake of this.#onUnload.splice(0)) wake()
  }

  async #pump(): Promise<void> {
    if (this.#serving) return
    for (;;) {
      const next = this.#pending.shift()
      if (!next) break
      if (next.wish.signal.aborted) continue
      this.#serving = next
      try {
        const runner = await this.#serve(next.wish)
        if (runner) next.settle(runner)
      } catch (refusal) {
        next.refuse(refusal)
      }
      this.#serving = undefined
    }
  }

  async #serve(wish: Wish): Promise<Runner | undefined> {
    while (this.#faults.loadsHang && !this.#closed.signal.aborted)
      await sleep(this.#clock, hangLookMs, this.#closed.signal)
    for (;;) {
      if (wish.signal.aborted || this.#closed.signal.aborted) throw clientLeft()
      const loaded = this.#runners.get(wish.model.weights)
      if (loaded && !needsReload(loaded, wish)) {
        this.#use(loaded, wish)
        return loaded
      }
      const inTheWay = loaded ?? (this.#hasRoom(wish) ? undefined : this.#victim())
      if (!inTheWay) return this.#load(wish)
      await this.#makeWay(inTheWay)
    }
  }

  /** Waits until the runner is gone. Whoever asks for it meanwhile still gets it, and can put this off for ever. */
  async #makeWay(runner: Runner): Promise<void> {
    const unloaded = new Promise<void>((resolve) => {
      this.#onUnload.push(resolve)
      this.#closed.signal.addEventListener('abort', () => resolve(), { once: true })
    })
    this.#expire(runner)
    await unloaded
    const { unloadRecoveryMs } = this.#settings
    if (unloadRecoveryMs > 0) await sleep(this.#clock, unloadRecoveryMs, this.#closed.signal)
  }

  #hasRoom(wish: Wish): boolean {
    const { maxLoaded, memoryBytes } = this.#settings
    if (this.#runners.size === 0) return true
    if (maxLoaded > 0 && this.#runners.size >= maxLoaded) return false
    if (memoryBytes === undefined) return true
    const used = this.runners().reduce((sum, runner) => sum + runner.sizeBytes, 0)
    return this.#predictedBytes(wish) <= memoryShare * Math.max(0, memoryBytes - used)
  }

  /** The idle one with the shortest keep_alive, else the busy one with the shortest. Not the least recently used. */
  #victim(): Runner | undefined {
    const ranked = this.runners().sort(
      (one, other) =>
        compare(one.keepAliveMs, other.keepAliveMs) ||
        compare(one.model.weights, other.model.weights),
    )
    return ranked.find((runner) => runner.refcount === 0) ?? ranked[0]
  }

  #predictedBytes(wish: Pick<Wish, 'model' | 'fingerprint'>): number {
    const slots = slotsOf(wish.model, this.#settings)
    return (
      wish.model.sizeBytes + this.#settings.kvBytesPerToken * wish.fingerprint.contextTokens * slots
    )
  }

  #loadMs(wish: Wish): number {
    const { loadMs, loadOverheadMs, loadBytesPerSecond, warmLoadFactor, jitter } = this.#settings
    const warm = this.#seenWeights.has(wish.model.weights) ? Math.max(1, warmLoadFactor) : 1
    const byRate = loadOverheadMs + (wish.model.sizeBytes / loadBytesPerSecond / warm) * 1000
    const ms = wish.model.loadMs ?? loadMs ?? byRate
    return jittered(this.#dice, ms, jitter)
  }

  /** The client that asked owns the load: when it leaves, the load is killed and the next in the queue starts over. */
  async #load(wish: Wish): Promise<Runner> {
    const { entry } = wish
    entry.loadStart = this.#trace.now()
    const stop = AbortSignal.any([wish.signal, this.#closed.signal])
    await sleep(this.#clock, this.#loadMs(wish), stop)
    const failure = this.#faults.loadFailure(wish.model.canonical)
    if (failure && !stop.aborted) {
      const outOfMemory = /memory/i.test(failure)
      if (!outOfMemory) throw new Refusal(500, failure)
      // Out of memory is tried once more, with everything else thrown out.
      for (const runner of this.runners()) if (runner.refcount === 0) this.#remove(runner)
      await sleep(this.#clock, this.#loadMs(wish), stop)
      const again = this.#faults.loadFailure(wish.model.canonical)
      if (again && !stop.aborted) throw new Refusal(500, again)
    }
    if (stop.aborted) {
      entry.cancelReason ??= 'client left while loading'
      throw clientLeft()
    }
    this.#seenWeights.add(wish.model.weights)
    const runner = this.#newRunner(wish)
    this.#runners.set(wish.model.weights, runner)
    this.#use(runner, wish)
    entry.loadEnd = this.#trace.now()
    return runner
  }

  #newRunner(wish: Pick<Wish, 'model' | 'fingerprint' | 'keepAliveMs'>): Runner {
    return new Runner(
      wish.model,
      wish.fingerprint,
      wish.keepAliveMs ?? this.#settings.keepAliveMs,
      this.#predictedBytes(wish),
      {
        settings: this.#settings,
        clock: this.#clock,
        dice: this.#dice,
        trace: this.#trace,
        occupancy: this.#occupancy,
        engine: this.#engine,
      },
    )
  }
}

function compare(one: number | string, other: number | string): number {
  return one < other ? -1 : one > other ? 1 : 0
}

function needsReload(runner: Runner, wish: Wish): boolean {
  if (runner.died.signal.aborted) return true
  const { fingerprint: had } = runner
  const { fingerprint: wanted } = wish
  if (had.contextTokens !== wanted.contextTokens || had.others !== wanted.others) return true
  const layers = wanted.gpuLayers
  return layers !== undefined && layers >= 0 && layers !== had.gpuLayers
}
