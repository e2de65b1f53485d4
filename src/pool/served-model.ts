import type { ModelView } from '../core/endpoint-view.ts'
import { soundsLikeEmbedding } from '../core/model-name.ts'
import type { RunnerKey } from '../core/runner-options.ts'
import type { ModelOnDisk } from './catalogue.ts'
import type { Seats } from './seats.ts'

/** What a model asks of the endpoint that it is at. */
export interface ModelHost {
  readonly now: number
  /** Models that are emptied, to make room for another. */
  readonly parting: ReadonlySet<string>
  /** Room under what holds over all models. */
  readonly roomInTotal: boolean
  seatsOf(served: ServedModel): Seats
  admittingModel(canonical: string): boolean
  residentAs(canonical: string): boolean
  contextLoaded(canonical: string): number | undefined
  runsAs(canonical: string, wanted: RunnerKey): 'same' | 'other' | 'unknown'
  mustEvict(canonical: string, bytes: number | undefined): boolean
  heldBack(served: ServedModel): boolean
}

/** One model at one endpoint, as routing sees it: every answer is computed when asked, never stored. */
export class ServedModel implements ModelView {
  readonly #host: ModelHost
  #disk: ModelOnDisk
  #seats: Seats | undefined

  constructor(host: ModelHost, disk: ModelOnDisk) {
    this.#host = host
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
    return this.#disk.remote || this.#host.residentAs(this.#disk.canonical)
  }

  get contextLoaded(): number | undefined {
    return this.#host.contextLoaded(this.#disk.canonical)
  }

  get admitting(): boolean {
    return this.#host.admittingModel(this.#disk.canonical)
  }

  get seatFree(): boolean {
    if (this.#disk.remote) return true
    return !this.#parts && this.#host.roomInTotal && this.#row.free
  }

  get seatToTry(): boolean {
    return !this.#parts && this.#host.roomInTotal && this.#row.mayTry(this.#host.now)
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
    const { parting } = this.#host
    return parting.size > 0 && parting.has(this.#disk.canonical)
  }

  runsAs(wanted: RunnerKey): 'same' | 'other' | 'unknown' {
    return this.#host.runsAs(this.#disk.canonical, wanted)
  }

  get evicts(): boolean {
    return this.#host.mustEvict(this.#disk.canonical, this.#disk.sizeBytes)
  }

  get heldBack(): boolean {
    return this.#host.heldBack(this)
  }

  get #row(): Seats {
    this.#seats ??= this.#host.seatsOf(this)
    return this.#seats
  }
}
