import type { Agenda } from './agenda.ts'
import { Engine } from './engine.ts'
import { PromptCache } from './prompt-cache.ts'
import { Runner } from './runner.ts'
import type { MachineSpec, ModelSpec, Request } from './specs.ts'
import type { Visit } from './visit.ts'
import type { Fault } from './world.ts'

/** Who hears what becomes of a visit. */
export interface Listener {
  first(visit: Visit): void
  granted(visit: Visit): void
  ended(visit: Visit): void
  failed(visit: Visit, fault: Fault): void
}

/** OLLAMA_KEEP_ALIVE as it comes. */
const keepAliveMs = 300_000
/** Until the memory of an unloaded model is free again, as it often is on graphics cards. */
const recoveryMs = 1_000

/**
 * Ollama on a virtual machine, as far as a balancer can tell: a loaded model takes requests as they come; every other
 * request stands in one queue, whose head holds up all behind it while it waits for room and for its load.
 */
export class Machine {
  readonly index: number
  readonly spec: MachineSpec
  readonly #models: readonly ModelSpec[]
  readonly #agenda: Agenda
  readonly #listener: Listener
  readonly #engine: Engine
  readonly #runners = new Map<number, Runner>()
  #pending: Visit[] = []
  #serving: Visit | undefined
  /** Of loads and waits for room; what belongs to an older one is no longer wanted. */
  #serveVersion = 0
  #loadingSince = Number.NaN
  /** When the memory of the last one that left is free again. */
  #roomFromMs = 0
  #isAlive = true
  #isFrozen = false
  #isFailing = false
  #slots: number
  #afterThaw: (() => void)[] = []
  loads = 0
  loadMs = 0

  constructor(
    index: number,
    spec: MachineSpec,
    models: readonly ModelSpec[],
    agenda: Agenda,
    listener: Listener,
  ) {
    this.index = index
    this.spec = spec
    this.#models = models
    this.#agenda = agenda
    this.#listener = listener
    this.#slots = spec.slots
    this.#engine = new Engine(spec, models, agenda, (visit) => this.#phaseOver(visit))
  }

  get isAlive(): boolean {
    return this.#isAlive
  }
  get isFrozen(): boolean {
    return this.#isFrozen
  }
  get slots(): number {
    return this.#slots
  }
  get busyMs(): number {
    this.#engine.look()
    return this.#engine.busyMs
  }
  /** The models in memory, as /api/ps lists them. */
  get resident(): Iterable<number> {
    return this.#runners.keys()
  }
  isResident(model: number): boolean {
    return this.#runners.has(model)
  }
  /** The model whose load is under way. */
  get loading(): number | undefined {
    return Number.isNaN(this.#loadingSince) ? undefined : this.#serving?.request.model
  }

  /** Everything that it has taken and not ended, for those who are allowed to look inside. */
  visits(model: number): readonly Visit[] {
    const runner = this.#runners.get(model)
    return runner ? [...runner.seated, ...runner.waiting] : []
  }
  /** Tokens of the prompt that its cache holds now. */
  cachedTokens(request: Request): number {
    return this.#runners.get(request.model)?.cache.known(request) ?? 0
  }

  /** As an operator who warms it up before the doors open. */
  preload(model: number): void {
    this.#runners.set(model, new Runner(model, this.#slots, keepAliveMs))
  }

  take(visit: Visit): void {
    if (!this.#isAlive || this.#isFailing) {
      const fault = this.#isAlive ? 'error' : 'refused'
      this.#agenda.at(this.#agenda.nowMs + 1, () => this.#fail(visit, fault))
      return
    }
    const runner = this.#runners.get(visit.request.model)
    if (runner) return this.#grant(visit, runner)
    this.#pending.push(visit)
    this.#pump()
  }

  /** The client's side was closed: the slot is free at once, a load under way is lost. */
  cancel(visit: Visit): void {
    if (visit.isOver) return
    if (this.#serving === visit) this.#giveUpServing()
    else if (visit.state === 'pending') this.#pending.splice(this.#pending.indexOf(visit), 1)
    else this.#leave(visit)
    visit.state = 'failed'
    visit.endMs = this.#agenda.nowMs
  }

  kill(): void {
    this.#isAlive = false
    const lost = [...this.#pending, ...(this.#serving ? [this.#serving] : [])]
    for (const runner of this.#runners.values()) lost.push(...runner.seated, ...runner.waiting)
    this.#pending = []
    this.#serving = undefined
    this.#serveVersion++
    this.#loadingSince = Number.NaN
    for (const visit of lost) this.#engine.leave(visit)
    this.#runners.clear()
    for (const visit of lost) this.#fail(visit, 'broken')
  }

  revive(): void {
    this.#isAlive = true
  }

  freeze(): void {
    this.#isFrozen = true
    this.#engine.slowDown(Number.POSITIVE_INFINITY)
  }

  thaw(): void {
    this.#isFrozen = false
    this.#engine.slowDown(1)
    for (const act of this.#afterThaw.splice(0)) act()
  }

  /** Answers everything with a 500 at once, and so looks idle. */
  failAll(isFailing: boolean): void {
    this.#isFailing = isFailing
  }

  slowDown(times: number): void {
    this.#engine.slowDown(times)
  }

  /** As an empty request with keep_alive 0 does it: gone as soon as nobody uses it. */
  unload(model: number): void {
    const runner = this.#runners.get(model)
    if (!runner) return
    runner.keepAliveMs = 0
    if (runner.users === 0) this.#remove(runner)
  }

  /** OLLAMA_NUM_PARALLEL is another from now on; what runs goes on. */
  setSlots(slots: number): void {
    this.#slots = slots
    for (const runner of this.#runners.values()) {
      runner.slots = slots
      // Who has a slot of the old ones keeps it; nothing is remembered of the new ones.
      runner.cache = new PromptCache(Math.max(slots, runner.seated.length))
      for (const visit of runner.seated) visit.slot = -1
      this.#seatNext(runner)
    }
  }

  /** `said` of those that speak is as of now afterwards. */
  look(): void {
    this.#engine.look()
  }

  #fail(visit: Visit, fault: Fault): void {
    if (visit.isOver) return
    this.look()
    visit.left = visit.state === 'speaking' ? visit.left : visit.outputTokens
    const said = visit.said
    visit.state = 'failed'
    visit.endMs = this.#agenda.nowMs
    // What is left says how far it came, for one who goes on elsewhere.
    visit.left = visit.outputTokens - said
    this.#listener.failed(visit, fault)
  }

  #grant(visit: Visit, runner: Runner): void {
    visit.grantedMs = this.#agenda.nowMs
    if (visit.promptTokens === 0) return this.#answerEmpty(visit, runner)
    visit.state = 'waiting'
    runner.idleVersion++
    runner.waiting.push(visit)
    this.#seatNext(runner)
    // Later in the same moment: who hears of it may send something here.
    if (visit.grantedMs > visit.sentMs)
      this.#agenda.at(this.#agenda.nowMs, () => this.#listener.granted(visit))
  }

  /** An empty request only loads. */
  #answerEmpty(visit: Visit, runner: Runner): void {
    visit.state = 'ended'
    visit.endMs = this.#agenda.nowMs
    if (runner.users === 0) this.#idle(runner)
    this.#agenda.at(this.#agenda.nowMs, () => this.#listener.ended(visit))
  }

  #seatNext(runner: Runner): void {
    while (runner.waiting.length > 0 && runner.seated.length < runner.slots) {
      const visit = runner.waiting.shift()!
      const seat = runner.cache.seat(visit.request, this.#agenda.nowMs)
      visit.slot = seat.slot
      visit.cachedTokens = Math.min(seat.cached, visit.promptTokens - 1)
      visit.seatedMs = this.#agenda.nowMs
      visit.state = 'reading'
      visit.left = visit.promptTokens - visit.cachedTokens
      runner.seated.push(visit)
      this.#engine.begin(visit)
    }
  }

  #phaseOver(visit: Visit): void {
    if (visit.state === 'reading') {
      visit.firstMs = this.#agenda.nowMs
      if (visit.outputTokens > 0) {
        this.#engine.turn(visit, visit.outputTokens)
        this.#listener.first(visit)
        return
      }
      this.#listener.first(visit)
    }
    this.#leave(visit)
    visit.state = 'ended'
    visit.endMs = this.#agenda.nowMs
    this.#listener.ended(visit)
  }

  #leave(visit: Visit): void {
    const runner = this.#runners.get(visit.request.model)
    this.#engine.leave(visit)
    if (!runner) return
    const waitingAt = runner.waiting.indexOf(visit)
    if (waitingAt >= 0) runner.waiting.splice(waitingAt, 1)
    const seatedAt = runner.seated.indexOf(visit)
    if (seatedAt >= 0) runner.seated.splice(seatedAt, 1)
    const hasRead = visit.state === 'speaking'
    if (visit.slot >= 0)
      runner.cache.release(
        ...[visit.slot, visit.request, hasRead, hasRead && visit.left === 0, this.#agenda.nowMs],
      )
    this.#seatNext(runner)
    if (runner.users === 0) this.#idle(runner)
  }

  #idle(runner: Runner): void {
    if (runner.keepAliveMs <= 0) return this.#remove(runner)
    const version = ++runner.idleVersion
    this.#agenda.at(this.#agenda.nowMs + runner.keepAliveMs, () => {
      if (version === runner.idleVersion) this.#remove(runner)
    })
  }

  #remove(runner: Runner): void {
    if (this.#runners.get(runner.model) !== runner) return
    this.#runners.delete(runner.model)
    this.#roomFromMs = this.#agenda.nowMs + recoveryMs
    // The head of the queue may have waited for this.
    if (this.#serving && Number.isNaN(this.#loadingSince)) this.#later(recoveryMs, 'serve')
  }

  #pump(): void {
    if (this.#serving) return
    this.#serving = this.#pending.shift()
    if (this.#serving) this.#serve()
  }

  #serve(): void {
    const visit = this.#serving!
    const runner = this.#runners.get(visit.request.model)
    if (runner) {
      this.#serving = undefined
      this.#grant(visit, runner)
      return this.#pump()
    }
    if (this.#runners.size < this.spec.modelsMax) {
      const waitMs = this.#roomFromMs - this.#agenda.nowMs
      return waitMs > 0 ? this.#later(waitMs, 'serve') : this.#load(visit)
    }
    const victim = this.#victim()
    victim.keepAliveMs = 0
    // Who asks for a victim in use still gets it, and can put this off for ever.
    if (victim.users === 0) this.#remove(victim)
  }

  /** The idle one with the shortest keep_alive, else the busy one with the shortest; by name among equals. */
  #victim(): Runner {
    const ranked = [...this.#runners.values()].sort(
      (one, other) =>
        one.keepAliveMs - other.keepAliveMs ||
        (this.#models[one.model]!.name < this.#models[other.model]!.name ? -1 : 1),
    )
    return ranked.find(({ users }) => users === 0) ?? ranked[0]!
  }

  #load(visit: Visit): void {
    this.#loadingSince = this.#agenda.nowMs
    const seconds = this.#models[visit.request.model]!.loadSeconds * this.spec.loadFactor
    visit.hasLoaded = true
    this.loads++
    this.#later(seconds * 1_000, 'loaded')
  }

  #later(delayMs: number, what: 'serve' | 'loaded'): void {
    const version = ++this.#serveVersion
    const act = () => {
      if (version !== this.#serveVersion) return
      if (this.#isFrozen) this.#afterThaw.push(act)
      else if (what === 'loaded') this.#loaded()
      else this.#serve()
    }
    this.#agenda.at(this.#agenda.nowMs + delayMs, act)
  }

  #loaded(): void {
    const visit = this.#serving!
    this.loadMs += this.#agenda.nowMs - this.#loadingSince
    this.#loadingSince = Number.NaN
    this.#serving = undefined
    const { model } = visit.request
    const runner = new Runner(model, this.#slots, keepAliveMs)
    this.#runners.set(model, runner)
    this.#grant(visit, runner)
    this.#pump()
  }

  #giveUpServing(): void {
    this.#serveVersion++
    this.#loadingSince = Number.NaN
    this.#serving = undefined
    this.#pump()
  }
}
