import type { Backend } from '../core/backend.ts'
import { Seats } from './seats.ts'
import type { ServedModel } from './served-model.ts'
import type { Told } from './told.ts'

/** Who says how many seats there are: the operator before the agent, and the agent before what is found out. */
export interface SeatSources {
  readonly backend: Backend
  readonly told: Told | undefined
}

/** One model's seats, for those who show them. */
export interface SeatRow {
  readonly model: string
  readonly used: number
  readonly limit: number
  readonly learned: boolean
}

/** All seats at one backend: a row for each set of weights, which all of its names share. */
export class Seating {
  readonly #sources: SeatSources
  /** The models that are served there, by canonical name. */
  readonly #served: ReadonlyMap<string, ServedModel>
  /** By the models' `seatKey`. */
  readonly #rows = new Map<string, Seats>()

  constructor(sources: SeatSources, served: ReadonlyMap<string, ServedModel>) {
    this.#sources = sources
    this.#served = served
  }

  /** The seats that a model shares with every other name of the same weights. */
  of({ seatKey }: ServedModel): Seats {
    let seats = this.#rows.get(seatKey)
    if (!seats) {
      seats = new Seats(this.#fixedOf(seatKey))
      this.#rows.set(seatKey, seats)
    }
    return seats
  }

  *shown(): Iterable<SeatRow> {
    for (const [model, served] of this.#served) {
      const seats = this.#rows.get(served.seatKey)
      if (seats) yield { model, used: seats.used, limit: seats.limit, learned: seats.learned }
    }
  }

  /** Seats of these models together, names of the same weights counted once. */
  limitOf(names: Iterable<string>): number {
    const rows = new Set<Seats>()
    for (const canonical of names) {
      const served = this.#served.get(canonical)
      if (served && !served.remote) rows.add(this.of(served))
    }
    let seats = 0
    for (const row of rows) seats += row.limit
    return seats
  }

  /** Models came or went, or somebody says another number: it holds from now on, and seats in use stay in use. */
  fix(): void {
    const inUse = this.#keys()
    for (const [key, seats] of this.#rows) if (inUse.has(key)) seats.fix(this.#fixedOf(key))
    this.#tell()
  }

  /** What is gone for good leaves no row behind; what is still held stays until it is given back. */
  dropGone(): void {
    const inUse = this.#keys()
    for (const [key, seats] of this.#rows)
      if (!inUse.has(key) && seats.used === 0) this.#rows.delete(key)
  }

  /** Perhaps started anew, with another number. */
  unlearn(): void {
    for (const seats of this.#rows.values()) seats.unlearn()
  }

  #keys(): Set<string> {
    return new Set([...this.#served.values()].map(({ seatKey }) => seatKey))
  }

  /** The smallest number that holds for any of the names of these weights. */
  #fixedOf(seatKey: string): number | undefined {
    const { slots } = this.#sources.backend
    let fixed: number | undefined
    for (const [canonical, served] of this.#served) {
      if (served.seatKey !== seatKey) continue
      if (served.embeddingOnly) return 1 // Ollama forces these to one slot, whatever is set
      const own =
        (typeof slots === 'number' ? slots : slots?.get(canonical)) ?? this.#toldOf(canonical)
      if (own !== undefined) fixed = Math.min(own, fixed ?? own)
    }
    return fixed
  }

  /** What the agent knows for sure. */
  #toldOf(canonical: string): number | undefined {
    const slots = this.#sources.told?.slots.get(canonical)
    return slots && !slots.learned && slots.limit > 0 ? slots.limit : undefined
  }

  /** What the agent has learned so far: it goes on learning. */
  #tell(): void {
    const { told } = this.#sources
    if (!told) return
    for (const [canonical, { limit, learned }] of told.slots) {
      const served = this.#served.get(canonical)
      if (learned && limit > 0 && served) this.of(served).tell(limit)
    }
  }
}
