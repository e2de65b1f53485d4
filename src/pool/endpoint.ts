import type { Backend } from '../core/backend.ts'
import type { Clock } from '../core/clock.ts'
import type { Dice } from '../core/dice.ts'
import type { EndpointView, ModelView } from '../core/endpoint-view.ts'
import { Ewma } from '../core/ewma.ts'
import type { LoadReport } from '../core/load-report.ts'
import { matchesModel, soundsLikeEmbedding } from '../core/model-name.ts'
import type { Observer } from '../core/observer.ts'
import type { Outcome } from '../core/outcome.ts'
import { Roster } from '../core/roster.ts'
import { compareRunner, type RunnerKey } from '../core/runner-options.ts'
import type { BreakerSettings } from '../core/settings.ts'
import { admits, type Breaker, breakerAfter, breakerEntered, freshBreaker } from './breaker.ts'
import type { ModelInMemory, ModelOnDisk } from './catalogue.ts'
import { freshHealth, type Health } from './health.ts'
import { Lease } from './lease.ts'
import { LoadWedge } from './load-wedge.ts'
import { Losses } from './losses.ts'
import { Memory, type Occupant } from './memory.ts'
import { type Seat, Seats } from './seats.ts'
import { Returning, wholeServer } from './slow-start.ts'
import { Tally } from './tally.ts'
import { Told } from './told.ts'

/** What an endpoint is given by the pool that it is part of. */
export interface EndpointDoors {
  readonly clock: Clock
  readonly dice: Dice
  readonly observer: Observer
  readonly breaker: BreakerSettings
  /** A seat came free, or something else changed that a waiter may have waited for. */
  readonly changed: () => void
}

/**
 * A Backend in service. Live state of a server stands here and nowhere else, and three voices are kept apart: the
 * operator (`enabled`), the probes (`health`) and the outcomes of real traffic (the breakers).
 */
export class Endpoint implements EndpointView {
  backend: Backend
  /** Since when the operator wants it to be empty, or has taken it out; undefined while it is enabled. */
  drainingSinceMs: number | undefined
  health: Health = freshHealth
  /** Its agent has sent no heartbeat for too long. */
  silent = false
  /** The newest that its agent has said; undefined where there is none. */
  told: Told | undefined
  version: string | undefined
  inFlight = 0
  /** When it last answered a probe, on the clock's `now`. */
  seenMs: number | undefined
  lastError: string | undefined
  /** Tokens a second of single streams, newest counting most; what people read, not what routing uses. */
  readonly tokensPerSecond = new Ewma(0.2)
  readonly firstByteMs = new Ewma(0.2)
  readonly leases = new Roster<Lease>()
  readonly losses = new Losses()
  readonly memory: Memory
  readonly wedge = new LoadWedge()
  /** Models that are emptied, to make room for another: they take nobody any more. */
  readonly parting = new Set<string>()
  readonly tally = new Tally()
  /** Names whose deletion this backend missed: not shown any more, and deleted on its return. */
  readonly owedDeletes = new Set<string>()

  readonly #doors: EndpointDoors
  #onDisk = new Map<string, ModelOnDisk>()
  #inMemory = new Map<string, ModelInMemory>()
  /** When a load of ours ended: an answer to an older question does not know of it yet. */
  readonly #loadedAtMs = new Map<string, number>()
  /** Digests in memory: a model loaded under one name serves every other name of the same weights. */
  #digestsInMemory = new Set<string>()
  /** Since when each has been seen in memory. */
  readonly #inMemorySinceMs = new Map<string, number>()
  /** Loaded by us, as far as we know, and on none of its lists yet. */
  readonly #unseen = new Set<string>()
  /** Runner options of our own load of what is in memory. */
  readonly #loadedWith = new Map<string, RunnerKey>()
  readonly #served = new Map<string, ServedModel>()
  readonly #seats = new Map<string, Seats>()
  #breaker: Breaker = freshBreaker
  readonly #modelBreakers = new Map<string, Breaker>()
  /** Of models that are on its disk. */
  readonly #contextLearned = new Map<string, number>()
  readonly #returning = new Returning()

  constructor(backend: Backend, doors: EndpointDoors) {
    this.backend = backend
    this.#doors = doors
    this.memory = new Memory(doors.clock.now)
  }

  get name(): string {
    return this.backend.name
  }

  get enabled(): boolean {
    return this.drainingSinceMs === undefined
  }

  set enabled(enabled: boolean) {
    this.drainingSinceMs = enabled ? undefined : (this.drainingSinceMs ?? this.now)
  }

  get weight(): number {
    return this.backend.weight
  }

  get labels(): readonly string[] {
    return this.backend.labels
  }

  /** Whether the operator lets it serve this model. */
  takes(canonical: string): boolean {
    const { models } = this.backend
    if (models === undefined) return true
    const { allow, deny } = models
    return (allow.length === 0 || matchesModel(canonical, allow)) && !matchesModel(canonical, deny)
  }

  get ready(): boolean {
    return this.health.state === 'ready'
  }

  get contextDefault(): number {
    return this.backend.contextDefault ?? contextSmallest
  }

  get admitting(): boolean {
    return admitsNow(this.#breaker, this.#doors.clock)
  }

  get breakerState(): Breaker['state'] {
    return this.#breaker.state
  }

  get onDisk(): ReadonlyMap<string, ModelOnDisk> {
    return this.#onDisk
  }

  get inMemory(): ReadonlyMap<string, ModelInMemory> {
    return this.#inMemory
  }

  /** Seats by model, for those who show them. */
  *seatRows(): Iterable<{ model: string; used: number; limit: number; learned: boolean }> {
    for (const [model, served] of this.#served) {
      const seats = this.#seats.get(served.seatKey)
      if (seats) yield { model, used: seats.used, limit: seats.limit, learned: seats.learned }
    }
  }

  /** Seats of what is loaded, names of the same weights counted once; at least the one that a load would make. */
  get capacity(): number {
    const rows = new Set<Seats>()
    for (const canonical of this.#inMemory.keys()) {
      const served = this.#served.get(canonical)
      if (served && !served.remote) rows.add(this.seatsOf(served))
    }
    let seats = 0
    for (const row of rows) seats += row.limit
    return Math.max(1, Math.min(seats, this.backend.slotsTotal ?? seats))
  }

  model(canonical: string): ServedModel | undefined {
    return this.#served.get(canonical)
  }

  /** When the earliest rest that keeps this model out ends; undefined when nothing rests. */
  restUntilMs(canonical: string): number | undefined {
    const breakers = [this.#breaker, this.#modelBreakers.get(canonical) ?? freshBreaker]
    const resting = breakers.filter(({ state }) => state === 'resting')
    return resting.length === 0 ? undefined : Math.max(...resting.map((each) => each.restUntilMs))
  }

  /** The models on disk, freshly listed. */
  learnOnDisk(listed: readonly ModelOnDisk[]): void {
    const models = listed.filter(({ canonical }) => !this.owedDeletes.has(canonical))
    this.#onDisk = new Map(models.map((model) => [model.canonical, model]))
    for (const model of models) {
      const served = this.#served.get(model.canonical)
      if (served) served.disk = model
      else this.#served.set(model.canonical, new ServedModel(this, model))
    }
    for (const name of this.#served.keys()) if (!this.#onDisk.has(name)) this.#served.delete(name)
    this.#fixSeats()
    // What is gone for good leaves no row behind; what is still held stays until it is given back.
    const keys = new Set([...this.#served.values()].map((served) => served.seatKey))
    for (const [key, seats] of this.#seats)
      if (!keys.has(key) && seats.used === 0) this.#seats.delete(key)
    for (const name of this.#modelBreakers.keys())
      if (!this.#onDisk.has(name)) this.#modelBreakers.delete(name)
    for (const name of this.#contextLearned.keys())
      if (!this.#onDisk.has(name)) this.#contextLearned.delete(name)
    this.#returning.keepOnly(this.#onDisk)
  }

  /** The models in memory, as the server saw it at some moment after `askedMs`. */
  learnInMemory(models: readonly ModelInMemory[], askedMs = this.now): void {
    const before = this.#inMemory
    this.#inMemory = new Map(models.map((model) => [model.canonical, model]))
    for (const [canonical, loadedMs] of this.#loadedAtMs) {
      const own = before.get(canonical)
      if (loadedMs < askedMs || this.#inMemory.has(canonical)) this.#loadedAtMs.delete(canonical)
      else if (own) this.#inMemory.set(canonical, own)
    }
    this.#digestsInMemory = new Set(
      [...this.#inMemory.values()].flatMap((model) => model.digest ?? []),
    )
    this.#learnMemory(before, models)
  }

  /** What came and went tells what fits. */
  #learnMemory(before: ReadonlyMap<string, ModelInMemory>, listed: readonly ModelInMemory[]): void {
    const now = this.#inMemory
    this.memory.bytesMax = this.memoryBytes
    const came = listed.filter(
      ({ canonical }) => this.#unseen.delete(canonical) || !before.has(canonical),
    )
    for (const { canonical } of came) this.#inMemorySinceMs.set(canonical, this.now)
    const gone = [...before.values()].filter(({ canonical }) => !now.has(canonical))
    // Loaded by us, and pushed out again before it was ever listed.
    const passedBy = gone.some(({ canonical }) => this.#unseen.has(canonical))
    for (const { canonical } of gone) {
      this.#inMemorySinceMs.delete(canonical)
      this.#loadedWith.delete(canonical)
      this.#unseen.delete(canonical)
    }
    const hasCome = came.length > 0 || passedBy
    const wallMs = this.#doors.clock.wall()
    // Had it time left, and was not asked to leave, it was pushed out; where nobody says what time it had, only if
    // something else is there instead.
    const isPushed = ({ canonical, expiresAt }: ModelInMemory) =>
      !this.parting.has(canonical) &&
      (expiresAt === undefined ? hasCome : Date.parse(expiresAt) > wallMs + expiryMsUnclear)
    // Only what it lists is there together: a load of ours that is not on it yet may have pushed something out.
    this.memory.looked(
      listed.map(occupantOf),
      hasCome,
      gone.map((model) => ({ ...occupantOf(model), hadToLeave: isPushed(model) })),
    )
  }

  /** Since when it has been seen in memory, on the clock's `now`. */
  inMemorySinceMs(canonical: string): number {
    return this.#inMemorySinceMs.get(canonical) ?? Number.NEGATIVE_INFINITY
  }

  /** Whether a request with these runner options takes the loaded runner as it is. */
  runsAs(canonical: string, wanted: RunnerKey): 'same' | 'other' | 'unknown' {
    return compareRunner(wanted, {
      loadedWith: this.#loadedWith.get(canonical),
      contextLoaded: this.contextLoaded(canonical),
      contextTrained: this.#onDisk.get(canonical)?.contextTrained,
      contextDefault: this.backend.contextDefault,
    })
  }

  /** Its loads hang: it serves what it has, and nothing else. */
  get loadsHang(): boolean {
    return this.wedge.isWedged
  }

  /** What /api/show told about these weights, where the list itself did not say. */
  learnDetails(
    digest: string,
    details: Pick<ModelOnDisk, 'capabilities' | 'contextTrained'>,
  ): void {
    for (const served of this.#served.values()) {
      const { disk } = served
      if (disk.digest !== digest || disk.capabilities !== undefined) continue
      served.disk = {
        ...disk,
        capabilities: details.capabilities,
        contextTrained: details.contextTrained ?? disk.contextTrained,
      }
      this.#onDisk.set(disk.canonical, served.disk)
    }
    this.#fixSeats()
  }

  /** A load that we made has ended well: known at once, not only at the next look. */
  learnLoaded(canonical: string, runner?: RunnerKey): void {
    if (runner !== undefined) this.#loadedWith.set(canonical, runner)
    this.wedge.clear()
    if (this.residentAs(canonical)) return
    this.#inMemorySinceMs.set(canonical, this.now)
    this.#unseen.add(canonical)
    const disk = this.#onDisk.get(canonical)
    this.#loadedAtMs.set(canonical, this.now)
    this.#inMemory.set(canonical, {
      canonical,
      digest: disk?.digest,
      sizeBytes: disk?.sizeBytes,
      sizeVramBytes: undefined,
      contextLoaded: undefined,
      expiresAt: undefined,
      entry: { ...disk?.entry },
    })
    if (disk?.digest) this.#digestsInMemory.add(disk.digest)
  }

  /** The server answered that it has no such model: believed until the next list says otherwise. */
  forget(canonical: string): void {
    this.#onDisk.delete(canonical)
    this.#served.delete(canonical)
  }

  residentAs(canonical: string): boolean {
    if (this.#inMemory.has(canonical)) return true
    const digest = this.#onDisk.get(canonical)?.digest
    return digest !== undefined && this.#digestsInMemory.has(digest)
  }

  /** The server does not say how much context this model gets, but its counts did. */
  learnContext(canonical: string, tokens: number): void {
    if (this.#onDisk.has(canonical)) this.#contextLearned.set(canonical, tokens)
  }

  /** Tokens of context of the runner in memory, as it says or as was learned; undefined: neither. */
  contextLoaded(canonical: string): number | undefined {
    return this.contextTold(canonical) ?? this.#contextLearned.get(canonical)
  }

  /** The same, as the server says. */
  contextTold(canonical: string): number | undefined {
    const direct = this.#inMemory.get(canonical)
    if (direct) return direct.contextLoaded
    const digest = this.#onDisk.get(canonical)?.digest
    if (digest === undefined) return undefined
    for (const model of this.#inMemory.values())
      if (model.digest === digest) return model.contextLoaded
    return undefined
  }

  admittingModel(canonical: string): boolean {
    if (!this.admitting) return false
    const breaker = this.#modelBreakers.get(canonical)
    return breaker === undefined || admitsNow(breaker, this.#doors.clock)
  }

  /** The seats that a model shares with every other name of the same weights. */
  seatsOf(served: ServedModel): Seats {
    let seats = this.#seats.get(served.seatKey)
    if (!seats) {
      seats = new Seats(this.#fixedSeats(served.seatKey))
      this.#seats.set(served.seatKey, seats)
    }
    return seats
  }

  get room(): number {
    return (this.backend.slotsTotal ?? Number.POSITIVE_INFINITY) - this.inFlight
  }

  /** A load of so many bytes would push another model out. Unsaid sizes and limits rule nothing out. */
  mustEvict(canonical: string, bytes: number | undefined): boolean {
    if (this.#inMemory.size === 0 || this.residentAs(canonical)) return false
    this.memory.bytesMax = this.memoryBytes
    return !this.memory.fits(
      (bytes ?? 0) + bytesOf(this.#inMemory.values()),
      this.#inMemory.size + 1,
    )
  }

  /** Room under `slots_total`, which holds over all models. */
  get roomInTotal(): boolean {
    return this.backend.slotsTotal === undefined || this.inFlight < this.backend.slotsTotal
  }

  /** It came back a moment ago, and has as much to do with this model, or in all, as it should for now. */
  heldBack(served: ServedModel): boolean {
    if (this.#returning.nobody) return false
    const windowMs = this.#doors.breaker.slowStartMs
    if (windowMs === undefined) return false
    const { used, limit } = this.seatsOf(served)
    const seats = Math.max(this.capacity, limit)
    const { canonical } = served.disk
    return (
      this.#returning.enough(canonical, used, limit, this.now, windowMs) ||
      this.#returning.enough(wholeServer, this.inFlight, seats, this.now, windowMs)
    )
  }

  get now(): number {
    return this.#doors.clock.now()
  }

  /** Choosing and counting are one act: either a seat is held from here on, or nothing happened. */
  take(canonical: string, want: { seat: boolean; asTry: boolean }): Lease | undefined {
    const now = this.now
    const served = this.#served.get(canonical)
    if (want.seat && served === undefined) return undefined
    const counted = want.seat && served !== undefined && !served.remote
    if (counted && !this.roomInTotal) return undefined
    const seat = counted ? this.seatsOf(served).take(now, want.asTry) : undefined
    if (counted && seat === undefined) return undefined
    const host = this.#entered(this.#breaker)
    const probes = { host: host !== this.#breaker, model: false }
    this.#breaker = this.#turn(this.#breaker, host, undefined)
    const before = this.#modelBreakers.get(canonical)
    if (before) {
      const model = this.#turn(before, this.#entered(before), canonical)
      probes.model = model !== before
      this.#modelBreakers.set(canonical, model)
    }
    if (counted) this.inFlight++
    const lease = new Lease(this, canonical, seat, probes)
    this.leases.add(lease)
    return lease
  }

  /** Called once by a lease when it is settled. */
  settled(lease: Lease): void {
    this.leases.delete(lease)
    if (lease.seat) this.inFlight--
    this.#doors.changed()
  }

  /**
   * What an outcome says of this backend and of the model there. While one is on probation only its probe is heard:
   * who was let in before the rest tells nothing about what came after it.
   */
  judge(
    canonical: string,
    outcome: Outcome,
    verdict: Verdict,
    lease?: { probes: Probes; seat: Seat | undefined },
  ): void {
    // The host is well when it says no in HTTP; the model may be in trouble there.
    const ofHost = verdict === 'bad' && outcome.kind === 'refused' ? 'good' : verdict
    if (lease === undefined || lease.probes.host || this.#breaker.state === 'admitting')
      this.#breaker = this.#turn(this.#breaker, this.#after(this.#breaker, ofHost), undefined)
    const served = this.#served.get(canonical)
    if (served) {
      const before = this.#modelBreakers.get(canonical) ?? freshBreaker
      // A model whose runner always dies can still be shown.
      const idle = lease !== undefined && lease.seat === undefined && !served.remote
      const ofModel = verdict === 'good' && idle ? 'nothing' : verdict
      if (lease === undefined || lease.probes.model || before.state === 'admitting') {
        const after = this.#turn(before, this.#after(before, ofModel), canonical)
        if (after === freshBreaker) this.#modelBreakers.delete(canonical)
        else this.#modelBreakers.set(canonical, after)
      }
    }
    if (lease?.seat && verdict !== 'nothing')
      this.tally.add(verdict === 'good', this.now - lease.seat.takenMs)
    if (verdict === 'bad') {
      this.lastError = sayOutcome(outcome)
      this.#doors.observer.backendErred(this.name, outcome.kind)
    }
  }

  #entered(breaker: Breaker): Breaker {
    return admitsNow(breaker, this.#doors.clock) ? breakerEntered(breaker) : breaker
  }

  #after(breaker: Breaker, verdict: Verdict): Breaker {
    return breakerAfter(breaker, verdict, this.now, this.#doors.breaker, this.#doors.dice)
  }

  #turn(before: Breaker, after: Breaker, model: string | undefined): Breaker {
    if (before.state === after.state) return after
    this.#doors.observer.breakerTurned(this.name, model, after.state)
    if (after.state === 'admitting') this.#returning.begin(model ?? wholeServer, this.now)
    // Somebody may wait for exactly this rest to end.
    if (after.state === 'resting')
      this.#doors.clock.after(after.restUntilMs - this.now + 1, this.#doors.changed)
    return after
  }

  /** The smallest number that holds for any of the names of these weights. */
  #fixedSeats(seatKey: string): number | undefined {
    const { slots } = this.backend
    let fixed: number | undefined
    for (const [canonical, served] of this.#served) {
      if (served.seatKey !== seatKey) continue
      if (served.embeddingOnly) return 1 // Ollama forces these to one slot, whatever is set
      const own =
        (typeof slots === 'number' ? slots : slots?.get(canonical)) ?? this.#toldSeats(canonical)
      if (own !== undefined) fixed = Math.min(own, fixed ?? own)
    }
    return fixed
  }

  #fixSeats(): void {
    const served = new Set([...this.#served.values()].map(({ seatKey }) => seatKey))
    for (const [key, seats] of this.#seats) if (served.has(key)) seats.fix(this.#fixedSeats(key))
    if (this.told) this.#tellSeats(this.told)
  }

  /** What the agent knows for sure. */
  #toldSeats(canonical: string): number | undefined {
    const slots = this.told?.slots.get(canonical)
    return slots && !slots.learned && slots.limit > 0 ? slots.limit : undefined
  }

  /** What the agent has learned so far: it goes on learning. */
  #tellSeats({ slots }: Told): void {
    for (const [canonical, { limit, learned }] of slots) {
      const served = this.#served.get(canonical)
      if (learned && limit > 0 && served) this.seatsOf(served).tell(limit)
    }
  }

  /** Memory for models in bytes: as the operator said, else as its agent does. */
  get memoryBytes(): number | undefined {
    return this.backend.memoryBytes ?? this.told?.memoryBytes
  }

  /** Requests that wait at its agent, as far as the last word of it still counts. */
  get waitingThere(): number {
    return this.told?.isFresh(this.now) ? this.told.report.queue : 0
  }

  /** Its agent has told how it is: its number of slots holds, unless the operator gave one. */
  learnLoad(report: LoadReport): void {
    this.told = new Told(report, this.now)
    this.#fixSeats()
    this.#doors.changed()
  }

  /** The part that comes with every answer. */
  learnLoadNow(figures: Pick<LoadReport, 'free_slots' | 'queue' | 'active' | 'hidden'>): void {
    if (this.told) this.told = this.told.withFigures(figures, this.now)
  }

  /** After a reload: what the operator changed holds from now on; seats in use stay in use. */
  reconfigure(backend: Backend): void {
    this.backend = backend
    this.#fixSeats()
  }

  /** Its agent was heard: failures to reach it are over, and those of another run of it were not its own. */
  forgive(): void {
    this.#breaker = this.#turn(this.#breaker, freshBreaker, undefined)
    for (const [model, breaker] of this.#modelBreakers) this.#turn(breaker, freshBreaker, model)
    this.#modelBreakers.clear()
  }

  /** It is back: perhaps started anew, with another number of slots. */
  returned(): void {
    for (const seats of this.#seats.values()) seats.unlearn()
    this.#contextLearned.clear()
    this.memory.forget()
    this.wedge.clear()
    this.#loadedWith.clear()
    this.#returning.begin(wholeServer, this.now)
  }
}

/** Whether an attempt was the one let in after a rest: of the backend, of the model there. */
export interface Probes {
  readonly host: boolean
  readonly model: boolean
}

type Verdict = 'good' | 'bad' | 'nothing'

/** Asks for the time only where it matters. */
function admitsNow(breaker: Breaker, clock: Clock): boolean {
  return breaker.state === 'admitting' || admits(breaker, clock.now())
}

/** One model at one endpoint, as routing sees it: every answer is computed when asked, never stored. */
export class ServedModel implements ModelView {
  readonly #endpoint: Endpoint
  #disk: ModelOnDisk
  #seats: Seats | undefined

  constructor(endpoint: Endpoint, disk: ModelOnDisk) {
    this.#endpoint = endpoint
    this.#disk = disk
  }

  get disk(): ModelOnDisk {
    return this.#disk
  }

  set disk(disk: ModelOnDisk) {
    if (disk.digest !== this.#disk.digest) this.#seats = undefined
    this.#disk = disk
  }

  get seatKey(): string {
    return this.#disk.digest ?? this.#disk.canonical
  }

  get digest(): string | undefined {
    return this.#disk.digest
  }

  get capabilities(): ReadonlySet<string> | undefined {
    return this.#disk.capabilities
  }

  /** Served by an account elsewhere: there is nothing to load and no slot to wait for. */
  get remote(): boolean {
    return this.#disk.remote
  }

  get embeddingOnly(): boolean {
    const { capabilities, canonical } = this.#disk
    if (capabilities === undefined || capabilities.size === 0) return soundsLikeEmbedding(canonical)
    return capabilities.has('embedding') && !capabilities.has('completion')
  }

  get resident(): boolean {
    return this.#disk.remote || this.#endpoint.residentAs(this.#disk.canonical)
  }

  get contextLoaded(): number | undefined {
    return this.#endpoint.contextLoaded(this.#disk.canonical)
  }

  get admitting(): boolean {
    return this.#endpoint.admittingModel(this.#disk.canonical)
  }

  get seatFree(): boolean {
    if (this.#disk.remote) return true
    return !this.#parts && this.#endpoint.roomInTotal && this.#row.free
  }

  get seatToTry(): boolean {
    return !this.#parts && this.#endpoint.roomInTotal && this.#row.mayTry(this.#endpoint.now)
  }

  get seatsUsed(): number {
    return this.#row.used
  }

  get seatsLimit(): number {
    return this.#row.limit
  }

  get sizeBytes(): number | undefined {
    return this.#disk.sizeBytes
  }

  /** Asks for nothing where nobody leaves, which is nearly always. */
  get #parts(): boolean {
    const { parting } = this.#endpoint
    return parting.size > 0 && parting.has(this.#disk.canonical)
  }

  runsAs(wanted: RunnerKey): 'same' | 'other' | 'unknown' {
    return this.#endpoint.runsAs(this.#disk.canonical, wanted)
  }

  get evicts(): boolean {
    return this.#endpoint.mustEvict(this.#disk.canonical, this.#disk.sizeBytes)
  }

  get heldBack(): boolean {
    return this.#endpoint.heldBack(this)
  }

  get #row(): Seats {
    this.#seats ??= this.#endpoint.seatsOf(this)
    return this.#seats
  }
}

/** Graphics memory where the server tells the two apart, else all of it. */
function bytesOf(models: Iterable<ModelInMemory>): number {
  let bytes = 0
  for (const model of models) bytes += occupantOf(model).bytes
  return bytes
}

function occupantOf({ canonical, sizeVramBytes, sizeBytes }: ModelInMemory): Occupant {
  return { name: canonical, bytes: sizeVramBytes || (sizeBytes ?? 0) }
}

/** A server's clock differs from ours; what would have left about now may have left by itself. */
const expiryMsUnclear = 15_000

/** Ollama's smallest default context (below 23 GiB of VRAM), assumed where nobody said more. */
const contextSmallest = 4_096

/** An outcome in a few words, for `last_error` and logs: no addresses, no bodies. */
export function sayOutcome(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'answered':
      return `answered ${outcome.status}`
    case 'refused':
      return `refused ${outcome.status} ${outcome.why}`
    case 'unreachable':
      return `unreachable: ${outcome.text}`
    case 'timedOut':
      return `timed out: ${outcome.limit}`
    case 'brokeOff':
      return `broke off ${outcome.afterFirstByte ? 'in the middle of' : 'before'} its answer`
    case 'moved':
      return 'moved elsewhere'
    case 'overtaken':
      return 'overtaken by another backend'
    case 'clientLeft':
      return 'client left'
  }
}
