import type { ResidencySettings } from '../../core/settings.ts'
import type { Keeping, Pressure } from '../field.ts'
import { SwapBudget } from './budget.ts'
import { Demand } from './demand.ts'
import { type Eviction, evictionFor, type PriceDoors, priceOf } from './eviction.ts'
import { type Host, type Resident, residentAs, type Times } from './host.ts'
import { lossOf, lossWork } from './loss.ts'
import { bestMove, factsOf, type Move, type MoveDoors, placesOf } from './moves.ts'
import { type ColdPlace, isWorthLoading } from './ski-rental.ts'

/** The last copy of what was asked for within this stays. */
const keptForMs = 1_800_000
/** Who waits counts as demand as if it came within so long. */
const drainedWithinS = 60
/** What can not be made to fit costs as much as a request may wait. */
const impossibleS = 600
/**
 * Above this nothing is pushed out ahead of demand: those who wait say better than any estimate what is worth a swap.
 * Measured with six models on six machines (24 seeds): with a bound of 0.4 there were 20.1 and 21.0 loads in 1,000
 * requests at loads of 0.5 and 0.65, and the slowest of a hundred took 35 and 52 s; with this one 18.0 and 18.3, 36 and 49 s.
 */
const calmLoad = 0.2
/** The fleet's load is that of the last half minute. */
const loadShareOfLook = 0.1

/** How many wait for each model. */
export type Waiters = Readonly<Record<string, number>>

/**
 * Which models stay in memory where: what a load would push out and cost, whether it is worth it now, and what should
 * be loaded before anybody waits for it. Pure but for what it remembers; time comes with every call, and whoever acts
 * tells what it did.
 */
export class Residency implements Keeping {
  #settings: ResidencySettings
  readonly #times: Times
  readonly #demand = new Demand()
  #budget: SwapBudget
  #hosts = new Map<string, Host>()
  #copies = new Map<string, number>()
  readonly #evictions = new Map<string, Map<string, Eviction | undefined>>()
  readonly #cold = new Map<string, Map<string, ColdPlace>>()
  /** The one load of each host that goes on, or for which room is made. */
  readonly #loading = new Map<string, string>()
  /** What the last plan wants there: who leaves for it was weighed against all the others. */
  readonly #planned = new Map<string, Move>()
  #waiters: Waiters = {}
  #fleetLoad = 0
  #lookedMs = 0
  readonly #doors: MoveDoors

  constructor(settings: ResidencySettings, times: Times) {
    this.#settings = settings
    this.#times = times
    this.#budget = new SwapBudget({ share: settings.swapShare, adaptive: settings.swapsAdapt })
    const perSecond = (model: string) => this.#demand.perSecond(model, this.#lookedMs)
    const price: PriceDoors = {
      times,
      perSecond,
      copies: (model) => this.#copies.get(model) ?? 0,
      mayLeave: (host, resident) => this.#mayLeave(host, resident),
      isYoung: (host, resident) => this.#isYoung(host, resident, this.#lookedMs),
    }
    this.#doors = {
      ...price,
      wantedPerSecond: (model) => perSecond(model) + (this.#waiters[model] ?? 0) / drainedWithinS,
      mayCome: (host, model) => this.#mayCome(host, model),
      isKept: (model) => this.#lookedMs - this.#demand.lastMs(model) < keptForMs,
      maySwap: true,
      dearness: (host, model) =>
        this.#budget.dearness(host, times.loadS(host, model), this.#fleetLoad, this.#lookedMs),
    }
  }

  reconfigure(settings: ResidencySettings): void {
    if (settings === this.#settings) return
    this.#settings = settings
    this.#budget = new SwapBudget({ share: settings.swapShare, adaptive: settings.swapsAdapt })
    this.#evictions.clear()
    this.#cold.clear()
  }

  arrived(model: string, nowMs: number): void {
    this.#demand.arrived(model, nowMs)
  }

  /** How things stand; to be called every second or so, and when models have come or gone. */
  look(hosts: Iterable<Host>, waiters: Waiters, nowMs: number): void {
    this.#hosts = new Map()
    this.#copies = new Map()
    this.#evictions.clear()
    this.#cold.clear()
    this.#waiters = waiters
    this.#lookedMs = nowMs
    let used = 0
    let serving = 0
    for (const host of hosts) {
      this.#hosts.set(host.name, host)
      if (!host.serves) continue
      serving++
      used += usedShare(host)
      for (const { names } of host.residents)
        for (const name of names) this.#copies.set(name, (this.#copies.get(name) ?? 0) + 1)
    }
    if (serving > 0) this.#fleetLoad += loadShareOfLook * (used / serving - this.#fleetLoad)
  }

  /** Seconds that it costs the fleet to load the model there, beside the load itself. */
  evictionPriceS(host: string, model: string): number {
    if (!this.#settings.on) return 0
    const eviction = this.#evictionAt(host, model)
    return eviction ? eviction.priceS : impossibleS
  }

  evicts(host: string, model: string): boolean {
    const eviction = this.#evictionAt(host, model)
    return eviction === undefined || eviction.victims.length > 0
  }

  /** Whether those who wait may have the model loaded there. */
  mayLoad(
    host: string,
    model: string,
    pressure: Pressure,
    nowMs: number,
    isIdle: boolean,
  ): boolean {
    if (!this.#settings.on) return true
    const place = this.#hosts.get(host)
    if (!place) return true
    const loading = this.#loading.get(host)
    if (loading !== undefined) return loading === model
    const cold = this.#coldAt(place, model, nowMs)
    return (isIdle && cold.alone) || isWorthLoading(cold, pressure)
  }

  /** A copy of it is on its way into memory. */
  isSwapping(model: string): boolean {
    for (const loading of this.#loading.values()) if (loading === model) return true
    return false
  }

  /** Who has to leave before the model is loaded there, itself where it has another runner; none where nobody knows. */
  victimsFor(host: string, model: string): readonly Resident[] {
    const planned = this.#planned.get(host)
    if (planned?.model !== model) return this.#evictionAt(host, model)?.victims ?? []
    const leaving = planned.victims.flatMap(({ names }) => names)
    const { residents = [] } = this.#hosts.get(host) ?? {}
    return residents.filter(({ names }) => names.some((name) => leaving.includes(name)))
  }

  /**
   * What should be loaded now, best first, one for each host at most; each as if those before it were done already.
   * Nothing for a model that only one host could hold: there is nothing to choose then, and its server does as well.
   */
  plan(nowMs: number): Move[] {
    const moves = this.#moves(nowMs, false)
    this.#planned.clear()
    for (const move of moves) this.#planned.set(move.host, move)
    return moves
  }

  /** The same for somebody who looks and decides for himself: small gains too, and whatever the budget says. */
  suggest(nowMs: number): Move[] {
    return this.#moves(nowMs, true)
  }

  /** An order for the next load there: who leaves for it was decided already. */
  order(move: Move): void {
    this.#planned.set(move.host, move)
  }

  /**
   * Seconds that all requests of one second would take longer without each host; negative: they would be done sooner.
   * Of all at once, since the figures that it is computed from are the same for each.
   */
  worths(nowMs: number): ReadonlyMap<string, number> {
    this.#lookedMs = nowMs
    const hosts = [...this.#hosts.values()]
    // Names that somebody asked for and nobody has would only take time.
    const models = [...this.#demand.models()].filter((model) =>
      hosts.some(({ models: has }) => has.has(model)),
    )
    const facts = factsOf(hosts, models, this.#doors)
    const has = placesOf(hosts, models)
    const work = lossWork(facts)
    const allS = lossOf(facts, has, work)
    return new Map(
      hosts.map(({ name }, host) => {
        const [from, to] = [host * models.length, (host + 1) * models.length]
        const aloneS = facts.aloneS.slice().fill(0, from, to)
        const without = lossOf({ ...facts, aloneS }, has.slice().fill(0, from, to), work)
        return [name, without - allS]
      }),
    )
  }

  #moves(nowMs: number, isKeen: boolean): Move[] {
    this.#lookedMs = nowMs
    const { hosts, copies } = { hosts: [...this.#hosts.values()], copies: this.#copies }
    const moves = this.#ordered(hosts)
    const models = [...this.#demand.models()].filter(
      (model) =>
        this.#demand.isUsual(model, nowMs) &&
        hosts.filter(({ serves, models: has }) => serves && has.has(model)).length > 1,
    )
    this.#copies = new Map(copies)
    if (!isKeen && this.#budget.isBraked(hosts.length, nowMs)) models.length = 0
    let imagined: readonly Host[] = hosts.filter(
      ({ name }) => !moves.some(({ host }) => host === name),
    )
    const taken = new Set(moves.map(({ host }) => host))
    while (models.length > 0) {
      const mayCome = (host: Host, model: string) =>
        !taken.has(host.name) && this.#mayCome(host, model, countOf(moves, model))
      const doors = { ...this.#doors, mayCome, maySwap: isKeen || this.#fleetLoad < calmLoad }
      const move = bestMove(imagined, models, doors, isKeen)
      if (!move) break
      taken.add(move.host)
      moves.push(move)
      imagined = imagined.map((host) => (host.name === move.host ? after(host, move, nowMs) : host))
      this.#count(move)
    }
    this.#copies = copies
    return moves
  }

  /** Room is made for it, or it is being loaded: nothing else may be there meanwhile. */
  loadBegan(host: string, model: string): void {
    this.#loading.set(host, model)
  }

  /** It is over, well or not. */
  loadEnded(host: string, model: string, seconds: number, nowMs: number): void {
    if (this.#loading.get(host) === model) this.#loading.delete(host)
    if (this.#planned.get(host)?.model === model) this.#planned.delete(host)
    this.#budget.spent(host, seconds, this.#fleetLoad, nowMs)
    this.#cold.clear()
  }

  perSecond(model: string, nowMs: number): number {
    return this.#demand.perSecond(model, nowMs)
  }

  lastAskedMs(model: string): number {
    return this.#demand.lastMs(model)
  }

  get models(): Iterable<string> {
    return this.#demand.models()
  }

  get fleetLoad(): number {
    return this.#fleetLoad
  }

  copiesOf(model: string): number {
    return this.#copies.get(model) ?? 0
  }

  forget(host: string): void {
    this.#budget.forget(host)
    this.#planned.delete(host)
    this.#loading.delete(host)
  }

  /** What the operator has ordered and is not there. */
  #ordered(hosts: readonly Host[]): Move[] {
    const moves: Move[] = []
    for (const host of hosts) {
      if (!host.serves || this.#loading.has(host.name)) continue
      const pinned = this.#settings.pins[host.name]?.find(
        (model) => host.models.has(model) && !residentAs(host, model),
      )
      const move = pinned === undefined ? undefined : this.#orderedAt(host, pinned, 'pinned')
      if (move) moves.push(move)
    }
    for (const [model, { min }] of Object.entries(this.#settings.replicas)) {
      if (this.copiesOf(model) + countOf(moves, model) >= min) continue
      const free = hosts
        .filter((host) => host.serves && host.models.has(model) && !residentAs(host, model))
        .filter(({ name }) => !this.#loading.has(name) && !moves.some(({ host }) => host === name))
        .flatMap((host) => this.#orderedAt(host, model, 'fewest') ?? [])
        .sort((one, other) => one.victims.length - other.victims.length)
      if (free[0]) moves.push(free[0])
    }
    return moves
  }

  #orderedAt(host: Host, model: string, why: Move['why']): Move | undefined {
    const eviction = evictionFor(host, model, this.#doors)
    if (!eviction) return undefined
    const { victims } = eviction
    return { host: host.name, model, victims, gainS: Number.POSITIVE_INFINITY, why }
  }

  /** As of the last look, which is a second ago at most: it is asked for with every decision. */
  #coldAt(host: Host, model: string, nowMs: number): ColdPlace {
    let known = this.#cold.get(host.name)
    if (!known) {
      known = new Map()
      this.#cold.set(host.name, known)
    }
    let cold = known.get(model)
    if (cold) return cold
    const eviction = this.#evictionAt(host.name, model)
    const loadS = this.#times.loadS(host.name, model)
    cold = {
      loadS,
      evictionS: this.#settings.evictionWeight * this.evictionPriceS(host.name, model),
      evicts: eviction === undefined || eviction.victims.length > 0,
      alone: residentAs(host, model) !== undefined && this.#onlyOneWith(model),
      idle: host.inFlight === 0,
      tooYoung: eviction?.victims.some((each) => this.#isYoung(host.name, each, nowMs)) ?? true,
      dearness: this.#budget.dearness(host.name, loadS, this.#fleetLoad, nowMs),
      braked: this.#budget.isBraked(this.#hosts.size, nowMs),
    }
    known.set(model, cold)
    return cold
  }

  #onlyOneWith(model: string): boolean {
    let count = 0
    for (const { serves, models } of this.#hosts.values()) if (serves && models.has(model)) count++
    return count <= 1
  }

  /** Where it is there already, it is asked for with another runner: loading it pushes itself out. */
  #evictionAt(host: string, model: string): Eviction | undefined {
    const place = this.#hosts.get(host)
    if (!place) return { victims: [], priceS: 0 }
    let known = this.#evictions.get(host)
    if (!known) {
      known = new Map()
      this.#evictions.set(host, known)
    }
    if (known.has(model)) return known.get(model)
    const own = residentAs(place, model)
    const eviction = own
      ? { victims: [own], priceS: priceOf(place, own, this.#doors) }
      : evictionFor(place, model, this.#doors)
    known.set(model, eviction)
    return eviction
  }

  #mayLeave(host: string, { names }: Resident): boolean {
    const { pins, replicas } = this.#settings
    if (names.some((name) => pins[host]?.includes(name))) return false
    return names.every((name) => (this.#copies.get(name) ?? 0) > (replicas[name]?.min ?? 0))
  }

  #mayCome(host: Host, model: string, coming = 0): boolean {
    const { only, replicas } = this.#settings
    if (this.#loading.has(host.name)) return false
    if (only[host.name]?.includes(model) === false) return false
    return (
      (this.#copies.get(model) ?? 0) + coming < (replicas[model]?.max ?? Number.POSITIVE_INFINITY)
    )
  }

  /** It came a short time ago: pushed out now, its load was for nothing. */
  #isYoung(host: string, { names, sinceMs }: Resident, nowMs: number): boolean {
    const loadS = this.#times.loadS(host, names[0] ?? '')
    return nowMs - sinceMs < Math.max(this.#settings.minResidencyMs, 3_000 * loadS)
  }

  /** Who leaves is gone at once, who comes is not there yet: what is planned in one go is not done in one. */
  #count({ victims }: Move): void {
    for (const { names } of victims)
      for (const name of names) this.#copies.set(name, (this.#copies.get(name) ?? 1) - 1)
  }
}

function countOf(moves: readonly Move[], model: string): number {
  return moves.filter((move) => move.model === model).length
}

function usedShare({ inFlight, residents, models }: Host): number {
  let seats = 1
  for (const { names } of residents) seats = Math.max(seats, models.get(names[0] ?? '')?.seats ?? 1)
  return Math.min(1, inFlight / seats)
}

/** The host when a move has been made. */
function after(host: Host, { model, victims }: Move, nowMs: number): Host {
  const arrived: Resident = {
    names: [model],
    bytes: host.models.get(model)?.bytes,
    inUse: 0,
    sinceMs: nowMs,
    keptMs: undefined,
  }
  return {
    ...host,
    residents: [...host.residents.filter((each) => !victims.includes(each)), arrived],
  }
}
