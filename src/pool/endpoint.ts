import type { Backend } from '../core/backend.ts'
import type { EndpointView } from '../core/endpoint-view.ts'
import { Ewma } from '../core/ewma.ts'
import type { LoadReport } from '../core/load-report.ts'
import { matchesModel } from '../core/model-name.ts'
import type { Outcome } from '../core/outcome.ts'
import { Roster } from '../core/roster.ts'
import type { RunnerKey } from '../core/runner-options.ts'
import type { Breaker } from './breaker.ts'
import { Breakers, type Probes, type Verdict } from './breakers.ts'
import type { ModelInMemory, ModelOnDisk } from './catalogue.ts'
import type { EndpointDoors } from './endpoint-doors.ts'
import { freshHealth, type Health } from './health.ts'
import { InMemory } from './in-memory.ts'
import { Lease } from './lease.ts'
import { LoadWedge } from './load-wedge.ts'
import { Losses } from './losses.ts'
import { Memory } from './memory.ts'
import { bytesOf, departedOf, occupantOf } from './occupants.ts'
import { OnDisk } from './on-disk.ts'
import { sayOutcome } from './outcome-words.ts'
import { Runners } from './runners.ts'
import { Seating, type SeatRow, type SeatSources } from './seating.ts'
import type { Seat, Seats } from './seats.ts'
import type { ModelHost, ServedModel } from './served-model.ts'
import { Returning, wholeServer } from './slow-start.ts'
import { Tally } from './tally.ts'
import { Told } from './told.ts'

/** Ollama's smallest default context (below 23 GiB of VRAM), assumed where nobody said more. */
const contextSmallest = 4_096

/**
 * A Backend in service. Live state of a server stands here and nowhere else, each piece of it with the one leaf that
 * knows what it means. Three voices say whether it can serve, and are kept apart: the operator (`enabled`), the probes
 * (`health`) and the outcomes of real traffic (the breakers). An agent, where there is one, tells the rest (`told`).
 */
export class Endpoint implements EndpointView, ModelHost, SeatSources {
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
  readonly #breakers: Breakers
  readonly #returning = new Returning()
  readonly #onDisk: OnDisk
  readonly #inMemory: InMemory
  readonly #runners: Runners
  readonly #seating: Seating

  constructor(backend: Backend, doors: EndpointDoors) {
    this.backend = backend
    this.#doors = doors
    this.memory = new Memory(doors.clock.now)
    this.#breakers = new Breakers(backend.name, doors, this.#returning)
    this.#onDisk = new OnDisk(this)
    this.#inMemory = new InMemory(this.#onDisk)
    this.#runners = new Runners(this.#onDisk, this.#inMemory)
    this.#seating = new Seating(this, this.#onDisk.served)
  }

  get now(): number {
    return this.#doors.clock.now()
  }

  // What the operator says.

  get name(): string {
    return this.backend.name
  }

  get weight(): number {
    return this.backend.weight
  }

  get labels(): readonly string[] {
    return this.backend.labels
  }

  get contextDefault(): number {
    return this.backend.contextDefault ?? contextSmallest
  }

  get enabled(): boolean {
    return this.drainingSinceMs === undefined
  }

  set enabled(enabled: boolean) {
    this.drainingSinceMs = enabled ? undefined : (this.drainingSinceMs ?? this.now)
  }

  /** Whether the operator lets it serve this model. */
  takes(canonical: string): boolean {
    const { models } = this.backend
    if (models === undefined) return true
    const { allow, deny } = models
    return (allow.length === 0 || matchesModel(canonical, allow)) && !matchesModel(canonical, deny)
  }

  /** After a reload: what the operator changed holds from now on; seats in use stay in use. */
  reconfigure(backend: Backend): void {
    this.backend = backend
    this.#seating.fix()
  }

  // What the probes say.

  get ready(): boolean {
    return this.health.state === 'ready'
  }

  /** It is back: perhaps started anew, with another number of slots. */
  returned(): void {
    this.#seating.unlearn()
    this.#runners.forget()
    this.memory.forget()
    this.wedge.clear()
    this.#returning.begin(wholeServer, this.now)
  }

  // What its agent says, where it has one.

  /** Its agent has told how it is: its number of slots holds, unless the operator gave one. */
  learnLoad(report: LoadReport): void {
    this.told = new Told(report, this.now)
    this.#seating.fix()
    this.#doors.changed()
  }

  /** The part that comes with every answer. */
  learnLoadNow(figures: Pick<LoadReport, 'free_slots' | 'queue' | 'active' | 'hidden'>): void {
    if (this.told) this.told = this.told.withFigures(figures, this.now)
  }

  /** Requests that wait at its agent, as far as the last word of it still counts. */
  get waitingThere(): number {
    return this.told?.isFresh(this.now) ? this.told.report.queue : 0
  }

  /** Memory for models in bytes: as the operator said, else as its agent does. */
  get memoryBytes(): number | undefined {
    return this.backend.memoryBytes ?? this.told?.memoryBytes
  }

  // What the outcomes say.

  get admitting(): boolean {
    return this.#breakers.admitting
  }

  get breakerState(): Breaker['state'] {
    return this.#breakers.state
  }

  admittingModel(canonical: string): boolean {
    return this.#breakers.admittingModel(canonical)
  }

  /** When this model is kept out by no rest any more; undefined when nothing rests. */
  restUntilMs(canonical: string): number | undefined {
    return this.#breakers.restUntilMs(canonical)
  }

  /** What an outcome says of this backend and of the model there; without a lease it is heard in any case. */
  judge(
    canonical: string,
    outcome: Outcome,
    verdict: Verdict,
    lease?: { probes: Probes; seat: Seat | undefined },
  ): void {
    // The host is well when it says no in HTTP; the model may be in trouble there.
    const ofHost = verdict === 'bad' && outcome.kind === 'refused' ? 'good' : verdict
    this.#breakers.hearHost(ofHost, lease?.probes)
    const served = this.model(canonical)
    if (served) {
      // A model whose runner always dies can still be shown.
      const idle = lease !== undefined && lease.seat === undefined && !served.remote
      const ofModel = verdict === 'good' && idle ? 'nothing' : verdict
      this.#breakers.hearModel(canonical, ofModel, lease?.probes)
    }
    if (lease?.seat && verdict !== 'nothing')
      this.tally.add(verdict === 'good', this.now - lease.seat.takenMs)
    if (verdict === 'bad') {
      this.lastError = sayOutcome(outcome)
      this.#doors.observer.backendErred(this.name, outcome.kind)
    }
  }

  /** Its agent was heard: failures to reach it are over, and those of another run of it were not its own. */
  forgive(): void {
    this.#breakers.forgive()
  }

  // What it has on disk.

  get onDisk(): ReadonlyMap<string, ModelOnDisk> {
    return this.#onDisk.listed
  }

  model(canonical: string): ServedModel | undefined {
    return this.#onDisk.served.get(canonical)
  }

  /** The models on disk, freshly listed. */
  learnOnDisk(listed: readonly ModelOnDisk[]): void {
    this.#onDisk.learn(listed.filter(({ canonical }) => !this.owedDeletes.has(canonical)))
    this.#seating.fix()
    this.#seating.dropGone()
    this.#breakers.keepOnly(this.onDisk)
    this.#runners.keepOnly(this.onDisk)
    this.#returning.keepOnly(this.onDisk)
  }

  /** What /api/show told about these weights, where the list itself did not say. */
  learnDetails(
    digest: string,
    details: Pick<ModelOnDisk, 'capabilities' | 'contextTrained'>,
  ): void {
    this.#onDisk.learnDetails(digest, details)
    this.#seating.fix()
  }

  /** The server answered that it has no such model: believed until the next list says otherwise. */
  forget(canonical: string): void {
    this.#onDisk.forget(canonical)
  }

  // What it has in memory, how that runs, and what would fit beside it.

  get inMemory(): ReadonlyMap<string, ModelInMemory> {
    return this.#inMemory.models
  }

  residentAs(canonical: string): boolean {
    return this.#inMemory.holds(canonical)
  }

  /** Since when it has been seen in memory, on the clock's `now`. */
  inMemorySinceMs(canonical: string): number {
    return this.#inMemory.sinceMs(canonical)
  }

  /** The models in memory, as the server saw it at some moment after `askedMs`: what came and went tells what fits. */
  learnInMemory(listed: readonly ModelInMemory[], askedMs = this.now): void {
    const { hasCome, gone } = this.#inMemory.looked(listed, askedMs, this.now)
    for (const { canonical } of gone) this.#runners.left(canonical)
    const wallMs = this.#doors.clock.wall()
    this.memory.bytesMax = this.memoryBytes
    // Only what it lists is there together: a load of ours that is not on it yet may have pushed something out.
    this.memory.looked(
      listed.map(occupantOf),
      hasCome,
      gone.map((model) => departedOf(model, hasCome, this.parting, wallMs)),
    )
  }

  /** A load that we made has ended well: known at once, not only at the next look. */
  learnLoaded(canonical: string, runner?: RunnerKey): void {
    this.#runners.loaded(canonical, runner)
    this.wedge.clear()
    this.#inMemory.loaded(canonical, this.now)
  }

  /** Its loads hang: it serves what it has, and nothing else. */
  get loadsHang(): boolean {
    return this.wedge.isWedged
  }

  /** A load of so many bytes would push another model out. Unsaid sizes and limits rule nothing out. */
  mustEvict(canonical: string, bytes: number | undefined): boolean {
    const { models } = this.#inMemory
    if (models.size === 0 || this.residentAs(canonical)) return false
    this.memory.bytesMax = this.memoryBytes
    return !this.memory.fits((bytes ?? 0) + bytesOf(models.values()), models.size + 1)
  }

  /** Whether a request with these runner options takes the loaded runner as it is. */
  runsAs(canonical: string, wanted: RunnerKey): 'same' | 'other' | 'unknown' {
    return this.#runners.compare(canonical, wanted, this.backend.contextDefault)
  }

  /** Tokens of context of the runner in memory, as it says or as was learned; undefined: neither. */
  contextLoaded(canonical: string): number | undefined {
    return this.#runners.contextOf(canonical)
  }

  /** The same, as the server says. */
  contextTold(canonical: string): number | undefined {
    return this.#runners.contextTold(canonical)
  }

  /** The server does not say how much context this model gets, but its counts did. */
  learnContext(canonical: string, tokens: number): void {
    this.#runners.learnContext(canonical, tokens)
  }

  // How many it can serve at once, and who holds a place.

  /** The seats that a model shares with every other name of the same weights. */
  seatsOf(served: ServedModel): Seats {
    return this.#seating.of(served)
  }

  /** Seats by model, for those who show them. */
  seatRows(): Iterable<SeatRow> {
    return this.#seating.shown()
  }

  /** Seats of what is loaded, names of the same weights counted once; at least the one that a load would make. */
  get capacity(): number {
    const seats = this.#seating.limitOf(this.inMemory.keys())
    return Math.max(1, Math.min(seats, this.backend.slotsTotal ?? seats))
  }

  get room(): number {
    return (this.backend.slotsTotal ?? Number.POSITIVE_INFINITY) - this.inFlight
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

  /** Choosing and counting are one act: either a seat is held from here on, or nothing happened. */
  take(canonical: string, want: { seat: boolean; asTry: boolean }): Lease | undefined {
    const served = this.model(canonical)
    if (want.seat && served === undefined) return undefined
    const counted = want.seat && served !== undefined && !served.remote
    if (counted && !this.roomInTotal) return undefined
    const seat = counted ? this.seatsOf(served).take(this.now, want.asTry) : undefined
    if (counted && seat === undefined) return undefined
    const probes = this.#breakers.enter(canonical)
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
}
