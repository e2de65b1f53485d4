import type { Clock } from '../../core/clock.ts'
import { type ModelName, readModelName } from '../../core/model-name.ts'
import type { Observer } from '../../core/observer.ts'
import type { Outcome } from '../../core/outcome.ts'
import { Recent } from '../../core/recent.ts'
import type { RunnerKey } from '../../core/runner-options.ts'
import type { Settings } from '../../core/settings.ts'
import type { Endpoint } from '../../pool/endpoint.ts'
import type { Pool } from '../../pool/pool.ts'
import type { Residency, Waiters } from '../../routing/residency/residency.ts'
import type { LoadKeeper, LoadResult, Loads, LoadWish, SendOwn } from '../loads.ts'
import { hostOf } from './hosts.ts'
import { keepWarm } from './keep-warm.ts'
import { makeRoom } from './room.ts'
import type { LearnedTimes } from './times.ts'

const lookEveryMs = 1_000
/** So many looks until what should be where is thought over. */
const looksToPlan = 5
const looksToWarm = 60
/** A load that has taken so many times what was expected, and this at least, is asked about. */
const patienceTimes = 3
const patienceMsMin = 60_000
/** Sooner than this no load is asked for again. */
const againMsMin = 5_000
/** Where a load turned out to be only slow, more patience is had the next time; remembered for so many. */
const slowMax = 256
const patienceMsMax = 1_800_000

export interface KeeperDoors {
  readonly pool: Pool
  readonly clock: Clock
  readonly observer: Observer
  readonly settings: Settings
  readonly residency: Residency
  readonly times: LearnedTimes
  readonly send: SendOwn
  readonly refresh: (endpoint: Endpoint) => Promise<void>
  /** How many wait in line, by model. */
  readonly waiters: () => Waiters
}

/** Looks after what servers have in memory: acts on what residency decides, and notices loads that hang. */
export class Keeper implements LoadKeeper, Disposable {
  readonly #doors: KeeperDoors
  readonly #patienceMs = new Recent<string, number>(slowMax)
  #loads: Loads | undefined
  #timer: Disposable | undefined
  #looks = 0

  constructor(doors: KeeperDoors) {
    this.#doors = doors
  }

  /** From now on it acts by these. */
  start(loads: Loads): void {
    this.#loads = loads
    this.#beat()
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
  }

  /** How things stand at this moment. */
  look(): void {
    const { pool, clock, residency, waiters } = this.#doors
    const hosts = pool.endpoints.map((endpoint) => hostOf(endpoint, this.#waiting, clock))
    residency.look(hosts, waiters(), clock.now())
  }

  /** Loads a model there of our own accord; `why` for the log. */
  async load(endpoint: Endpoint, model: string, why: string): Promise<LoadResult> {
    const wish = wishFor(model)
    if (!this.#loads || !wish)
      return { kind: 'failed', outcome: { kind: 'clientLeft' }, answer: undefined }
    const loaded = await this.#loads.wish(endpoint, wish)
    if (loaded.kind === 'loaded')
      this.#doors.observer.residencyMoved(endpoint.name, model, 'loaded', why)
    // Who waits for it hears at once.
    this.#doors.pool.learned()
    return loaded
  }

  /** Empties one model out of a memory. */
  async unload(endpoint: Endpoint, model: string): Promise<void> {
    this.look()
    const host = hostOf(endpoint, this.#waiting, this.#doors.clock)
    const victims = host.residents.filter(({ names }) => names.includes(model))
    await makeRoom(endpoint, victims, always, { ...this.#doors, waiting: this.#waiting })
  }

  began(endpoint: Endpoint, model: string): void {
    this.#doors.residency.loadBegan(endpoint.name, model)
  }

  async makeRoom(
    endpoint: Endpoint,
    { model, runner }: { readonly model: string; readonly runner: RunnerKey },
    isWanted: () => boolean,
  ): Promise<void> {
    const { residency, settings } = this.#doors
    if (!settings.residency.on) return
    // Nobody knows that it differs: the load will tell, and cost nothing if it does not.
    if (endpoint.residentAs(model) && endpoint.runsAs(model, runner) !== 'other') return
    this.look()
    const victims = residency.victimsFor(endpoint.name, model)
    if (victims.length === 0) return
    await makeRoom(endpoint, victims, isWanted, { ...this.#doors, waiting: this.#waiting })
  }

  ended(endpoint: Endpoint, model: string, tookMs: number, outcome: Outcome): void {
    const { residency, clock, observer, times, refresh } = this.#doors
    residency.loadEnded(endpoint.name, model, tookMs / 1_000, clock.now())
    if (outcome.kind !== 'answered') return
    times.loaded(endpoint.name, model, tookMs / 1_000)
    // What it has pushed out is known at once, and not taken for loaded until the next look.
    void refresh(endpoint)
    if (!endpoint.wedge.isWedged) return
    endpoint.wedge.clear()
    observer.loadsHung(endpoint.name, model, false)
  }

  againMs(endpoint: Endpoint, model: string): number {
    return Math.max(
      againMsMin,
      patienceTimes * 1_000 * this.#doors.times.loadS(endpoint.name, model),
    )
  }

  patienceMs(endpoint: Endpoint, model: string): number {
    const usual = patienceTimes * 1_000 * this.#doors.times.loadS(endpoint.name, model)
    const slow = this.#patienceMs.peek(`${endpoint.name}\n${model}`) ?? 0
    return Math.max(patienceMsMin, usual, slow)
  }

  /**
   * It is not listed among what is loaded or being loaded, though the server answers; and somebody else can load it,
   * or nothing would be won by giving it up.
   */
  hasHung(endpoint: Endpoint, model: string): boolean {
    const { pool, clock, observer } = this.#doors
    if (!endpoint.ready || endpoint.residentAs(model)) return false
    const others = pool.endpoints.some(
      (other) =>
        other !== endpoint &&
        other.enabled &&
        !other.loadsHang &&
        other.model(model)?.admitting &&
        other.ready,
    )
    if (!others && !endpoint.wedge.isWedged) return false
    this.#morePatience(endpoint, model)
    if (!endpoint.wedge.isWedged) observer.loadsHung(endpoint.name, model, true)
    endpoint.wedge.hangs(clock.now())
    // Who waits for another load there looks for another place.
    pool.learned()
    return true
  }

  readonly #waiting = (endpoint: Endpoint, model: string): number =>
    this.#loads?.waitingFor(endpoint, model) ?? 0

  /** Should it only have been slow, it is not given up as soon again. */
  #morePatience(endpoint: Endpoint, model: string): void {
    const key = `${endpoint.name}\n${model}`
    const nextMs = Math.min(patienceMsMax, 2 * this.patienceMs(endpoint, model))
    this.#patienceMs.set(key, nextMs)
  }

  #beat(): void {
    this.#timer = this.#doors.clock.after(lookEveryMs, () => {
      this.look()
      this.#looks++
      this.#tryHung()
      if (this.#doors.settings.residency.on) {
        if (this.#looks % looksToPlan === 0) this.#act()
        if (this.#doors.settings.residency.keepAlive && this.#looks % looksToWarm === 0)
          void keepWarm(this.#doors)
      }
      this.#beat()
    })
  }

  #act(): void {
    const { residency, pool, clock } = this.#doors
    for (const { host, model, why } of residency.plan(clock.now())) {
      const endpoint = pool.endpoint(host)
      if (endpoint && (this.#loads?.underWay(endpoint) ?? 0) === 0)
        void this.load(endpoint, model, why)
    }
  }

  /** Now and then the smallest model is loaded where loads hang, to see whether they still do. */
  #tryHung(): void {
    const { pool, clock } = this.#doors
    for (const endpoint of pool.endpoints) {
      if (!endpoint.wedge.isTryDue(clock.now()) || !endpoint.ready) continue
      endpoint.wedge.tries(clock.now())
      const smallest = smallestCold(endpoint)
      if (smallest !== undefined && (this.#loads?.underWay(endpoint) ?? 0) === 0)
        void this.load(endpoint, smallest, 'try')
    }
  }
}

const always = () => true

function smallestCold(endpoint: Endpoint): string | undefined {
  let smallest: { canonical: string; bytes: number } | undefined
  for (const { canonical, remote, sizeBytes } of endpoint.onDisk.values()) {
    if (remote || endpoint.residentAs(canonical)) continue
    const bytes = sizeBytes ?? Number.POSITIVE_INFINITY
    if (!smallest || bytes < smallest.bytes) smallest = { canonical, bytes }
  }
  return smallest?.canonical
}

function wishFor(model: string): LoadWish | undefined {
  const name: ModelName | undefined = readModelName(model)
  if (!name) return undefined
  return { name, modelText: model, op: 'generate', runner: {}, keepAlive: undefined }
}
