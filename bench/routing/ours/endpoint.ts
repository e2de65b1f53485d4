import type { Dice } from '../../../src/core/dice.ts'
import type { EndpointView, ModelView } from '../../../src/core/endpoint-view.ts'
import {
  admits,
  type Breaker,
  breakerAfter,
  breakerEntered,
  freshBreaker,
} from '../../../src/pool/breaker.ts'
import { freshHealth, type Health, healthAfter } from '../../../src/pool/health.ts'
import { Memory, type Occupant } from '../../../src/pool/memory.ts'
import { Seats } from '../../../src/pool/seats.ts'
import { Returning, wholeServer } from '../../../src/pool/slow-start.ts'
import type { Machine } from '../engine/machine.ts'
import type { Switch } from '../engine/world.ts'
import { usual } from './usual.ts'

const bytesPerSecond = 1e9

/** A virtual machine seen through the window that routing has: seats and breaker are those of the product. */
export class VirtualEndpoint implements EndpointView {
  readonly name: string
  readonly weight = 1
  readonly labels: readonly string[] = []
  readonly enabled = true
  readonly contextDefault = 131_072
  readonly room = Number.POSITIVE_INFINITY
  readonly machine: Machine
  inFlight = 0
  awaySinceMs = Number.NaN
  /** Models that have to leave the memory: nobody new is sent there for them. */
  readonly parting = new Set<string>()
  /** When each model came into memory, as far as that was seen. */
  readonly arrivedMs = new Map<string, number>()
  readonly #models = new Map<string, VirtualModel>()
  readonly #view: Switch
  readonly #returning = new Returning()
  #breaker: Breaker = freshBreaker
  #health: Health = { ...freshHealth, state: 'ready' }
  readonly #wereThere = new Set<string>()
  /** What fits there, learned by looking as `pool/endpoint` does. */
  readonly memory: Memory
  #listed = new Set<VirtualModel>()

  /** `slots`: what the operator has said of them; undefined: they are found out. */
  constructor(machine: Machine, view: Switch, slots: number | undefined) {
    this.name = machine.spec.name
    this.machine = machine
    this.#view = view
    this.memory = new Memory(() => view.nowMs)
    for (const [index, { name, loadSeconds }] of view.models.entries())
      this.#models.set(
        name,
        new VirtualModel(this, view, index, loadSeconds * bytesPerSecond, slots),
      )
  }

  get models(): ReadonlyMap<string, VirtualModel> {
    return this.#models
  }

  get admitting(): boolean {
    return admits(this.#breaker, this.#view.nowMs)
  }

  get ready(): boolean {
    return this.#health.state === 'ready'
  }

  /** It came back a moment ago and has enough for now. */
  get heldBack(): boolean {
    const { slowStartMs } = usual.breaker
    if (this.#returning.nobody || slowStartMs === undefined) return false
    let seats = 0
    for (const { seatsLimit } of this.#models.values()) seats = Math.max(seats, seatsLimit)
    const { nowMs } = this.#view
    return this.#returning.enough(wholeServer, this.inFlight, seats, nowMs, slowStartMs)
  }

  model(canonical: string): VirtualModel | undefined {
    return this.#models.get(canonical)
  }

  entered(): void {
    this.inFlight++
    this.#breaker = breakerEntered(this.#breaker)
  }

  left(verdict: 'good' | 'bad' | 'nothing', dice: Dice): void {
    this.inFlight--
    const { nowMs } = this.#view
    const before = this.#breaker.state
    this.#breaker = breakerAfter(this.#breaker, verdict, nowMs, usual.breaker, dice)
    const { state } = this.#breaker
    if (state !== before && state === 'admitting') this.#returning.begin(wholeServer, nowMs)
  }

  /** Models that have left the memory since it was asked the last time. */
  *unloaded(): Iterable<string> {
    for (const [name, { index }] of this.#models) {
      const isThere = this.machine.isResident(index)
      if (this.#wereThere.has(name) && !isThere) yield name
      if (isThere) this.#wereThere.add(name)
      else this.#wereThere.delete(name)
    }
  }

  /** What came and went tells what fits. */
  learnMemory(): void {
    const listed = new Set([...this.#models.values()].filter(({ resident }) => resident))
    const before = this.#listed
    this.#listed = listed
    const gone = [...before].filter((model) => !listed.has(model))
    this.memory.looked(
      [...listed].map(occupantOf),
      [...listed].some((model) => !before.has(model)),
      gone.map((model) => ({
        ...occupantOf(model),
        hadToLeave: !this.parting.has(model.digest),
      })),
    )
  }

  /** Gives true when it was ready and is no longer, or the other way round. */
  probe(): boolean {
    const answers = this.machine.isAlive && !this.machine.isFrozen
    const { nowMs } = this.#view
    const before = this.ready
    const look = answers ? ({ ok: true } as const) : ({ ok: false, reason: 'no answer' } as const)
    this.#health = healthAfter(this.#health, look, nowMs, usual.probes)
    if (before && !this.ready) this.awaySinceMs = nowMs
    if (!before && this.ready) this.#returning.begin(wholeServer, nowMs)
    this.learnMemory()
    return before !== this.ready
  }
}

function occupantOf({ digest, sizeBytes }: VirtualModel): Occupant {
  return { name: digest, bytes: sizeBytes }
}

function bytesOf(models: Iterable<VirtualModel>): number {
  let bytes = 0
  for (const { sizeBytes } of models) bytes += sizeBytes
  return bytes
}

export class VirtualModel implements ModelView {
  readonly index: number
  readonly digest: string
  readonly capabilities = undefined
  readonly contextLoaded = undefined
  readonly sizeBytes: number
  readonly seats: Seats
  readonly #endpoint: VirtualEndpoint
  readonly #view: Switch

  constructor(
    endpoint: VirtualEndpoint,
    view: Switch,
    index: number,
    sizeBytes: number,
    slots: number | undefined,
  ) {
    this.index = index
    this.digest = view.models[index]!.name
    this.sizeBytes = sizeBytes
    this.seats = new Seats(slots)
    this.#endpoint = endpoint
    this.#view = view
  }

  get resident(): boolean {
    return this.#endpoint.machine.isResident(this.index)
  }
  get evicts(): boolean {
    if (this.resident) return false
    const there = [...this.#endpoint.models.values()].filter(({ resident }) => resident)
    return !this.#endpoint.memory.fits(this.sizeBytes + bytesOf(there), there.length + 1)
  }
  get admitting(): boolean {
    return this.#endpoint.admitting
  }
  get heldBack(): boolean {
    return this.#endpoint.heldBack
  }
  get parting(): boolean {
    return this.#endpoint.parting.has(this.digest)
  }
  get seatFree(): boolean {
    return this.seats.free
  }
  get seatToTry(): boolean {
    return !this.parting && this.seats.mayTry(this.#view.nowMs)
  }
  get seatsUsed(): number {
    return this.seats.used
  }
  get seatsLimit(): number {
    return this.seats.limit
  }
}
