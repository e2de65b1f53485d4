import type { ResidencySettings } from '../../../src/core/settings.ts'
import { secondsOf } from '../../../src/routing/costs/costs.ts'
import { blankRates } from '../../../src/routing/costs/rates.ts'
import type { Dispatcher } from '../../../src/routing/dispatcher.ts'
import type { Host, OnDisk, Resident, Times } from '../../../src/routing/residency/host.ts'
import { Residency, type Waiters } from '../../../src/routing/residency/residency.ts'
import type { Switch } from '../engine/world.ts'
import type { VirtualEndpoint } from './endpoint.ts'

const lookEveryMs = 1_000
const looksToPlan = 5
const drainedEveryMs = 50
/** Nobody waits longer for a model to leave; then the server is left to see to it. */
const goneMsMax = 10_000

interface Doors {
  readonly view: Switch
  readonly endpoints: readonly VirtualEndpoint[]
  /** It knows the keeper, and is asked only once all are there. */
  readonly dispatcher: () => Dispatcher
  readonly waiters: () => Waiters
  /** Seconds of reading that are lost with a model; undefined: nobody keeps count. */
  readonly prefixS: Times['prefixS']
  /** Something is in memory that was not, or has left it. */
  readonly changed: () => void
}

type Done = (isThere: boolean) => void

/** What the product's keeper does, in virtual time: acts on what residency decides, one load at a time each. */
export class VirtualKeeper {
  readonly residency: Residency
  readonly #doors: Doors
  /** Who waits for the load of a model at an endpoint. */
  readonly #loads = new Map<VirtualEndpoint, { model: string; waiting: Done[] }>()
  #looks = 0

  constructor(settings: ResidencySettings, doors: Doors) {
    this.#doors = doors
    const rates = blankRates()
    const servedBy = (host: string, model: string) => {
      const served = this.#endpointOf(host).model(model)!
      return { endpoint: host, weights: served.digest, sizeBytes: served.sizeBytes }
    }
    const { prefixS } = doors
    this.residency = new Residency(settings, {
      ...(prefixS && { prefixS }),
      loadS: (host, model) =>
        doors.dispatcher().costs.loadS(servedBy(host, model), doors.view.nowMs),
      serviceS(host, model, streams) {
        const { costs } = doors.dispatcher()
        costs.ratesOf(rates, servedBy(host, model))
        return secondsOf(costs.usualOf(model), rates, Math.max(1, streams))
      },
    })
    if (settings.on) doors.view.after(lookEveryMs, () => this.#beat())
    this.look()
  }

  look(): void {
    const { endpoints, waiters, view } = this.#doors
    this.residency.look(endpoints.map(hostOf), waiters(), view.nowMs)
  }

  /** Makes room and loads; who asks for what is on its way waits for that. */
  load(endpoint: VirtualEndpoint, model: string, done: Done): void {
    const going = this.#loads.get(endpoint)
    if (going?.model === model) {
      going.waiting.push(done)
      return
    }
    // One at a time: the next begins when this one is over.
    if (going) {
      going.waiting.push(() => this.load(endpoint, model, done))
      return
    }
    const { view } = this.#doors
    if (endpoint.model(model)!.resident) {
      view.after(0, () => done(true))
      return
    }
    this.#loads.set(endpoint, { model, waiting: [done] })
    this.residency.loadBegan(endpoint.name, model)
    this.look()
    const victims = this.residency.victimsFor(endpoint.name, model).flatMap(({ names }) => names)
    for (const name of victims) endpoint.parting.add(name)
    const untilMs = view.nowMs + 60_000
    const drain = () => {
      const isUsed = victims.some((name) => endpoint.model(name)!.seats.used > 0)
      if (isUsed && endpoint.ready && view.nowMs < untilMs) view.after(drainedEveryMs, drain)
      else this.#emptied(endpoint, model, victims)
    }
    drain()
  }

  isLoading(endpoint: VirtualEndpoint): boolean {
    return this.#loads.has(endpoint)
  }

  #emptied(endpoint: VirtualEndpoint, model: string, victims: readonly string[]): void {
    const { view } = this.#doors
    for (const name of victims) endpoint.machine.unload(endpoint.model(name)!.index)
    const untilMs = view.nowMs + goneMsMax
    const gone = () => {
      const isThere = victims.some((name) =>
        endpoint.machine.isResident(endpoint.model(name)!.index),
      )
      if (isThere && view.nowMs < untilMs) {
        view.after(drainedEveryMs, gone)
        return
      }
      endpoint.learnMemory()
      for (const name of victims) endpoint.parting.delete(name)
      const fromMs = view.nowMs
      view.load(endpoint.machine.index, endpoint.model(model)!.index, (isLoaded) =>
        this.#over(endpoint, model, (view.nowMs - fromMs) / 1_000, isLoaded),
      )
    }
    gone()
  }

  #over(endpoint: VirtualEndpoint, model: string, seconds: number, isThere: boolean): void {
    const { view } = this.#doors
    const { waiting } = this.#loads.get(endpoint)!
    this.#loads.delete(endpoint)
    endpoint.learnMemory()
    if (isThere) {
      const { digest, sizeBytes } = endpoint.model(model)!
      const served = { endpoint: endpoint.name, weights: digest, sizeBytes }
      this.#doors.dispatcher().costs.learnLoad(served, seconds, view.nowMs)
      endpoint.arrivedMs.set(model, view.nowMs)
    }
    this.residency.loadEnded(endpoint.name, model, seconds, view.nowMs)
    this.look()
    for (const done of waiting) done(isThere)
    this.#doors.changed()
  }

  #beat(): void {
    const { view, changed } = this.#doors
    this.look()
    if (++this.#looks % looksToPlan === 0)
      for (const { host, model } of this.residency.plan(view.nowMs)) {
        const endpoint = this.#endpointOf(host)
        if (!this.#loads.has(endpoint)) this.load(endpoint, model, changed)
      }
    view.after(lookEveryMs, () => this.#beat())
  }

  #endpointOf(name: string): VirtualEndpoint {
    return this.#doors.endpoints.find((each) => each.name === name)!
  }
}

function hostOf(endpoint: VirtualEndpoint): Host {
  const { name, ready, admitting, inFlight, memory } = endpoint
  const models = new Map<string, OnDisk>()
  const residents: Resident[] = []
  for (const [model, { sizeBytes, seatsLimit, seats, resident }] of endpoint.models) {
    models.set(model, { bytes: sizeBytes, seats: seatsLimit })
    if (!resident) continue
    const sinceMs = endpoint.arrivedMs.get(model) ?? 0
    residents.push({
      ...{ names: [model], bytes: sizeBytes, sinceMs, keptMs: undefined },
      // Who waits for the load has a seat, but runs on nothing yet.
      inUse: seats.used,
    })
  }
  return { name, serves: ready && admitting, inFlight, residents, models, memory }
}
