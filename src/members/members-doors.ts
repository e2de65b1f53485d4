import type { Backend } from '../core/backend.ts'
import type { Clock } from '../core/clock.ts'
import type { LoadReport } from '../core/load-report.ts'
import type { Observer } from '../core/observer.ts'
import type { Settings } from '../core/settings.ts'
import type { CallAddress } from './calls.ts'
import type { Memory } from './memory.ts'
import type { Resolve } from './place.ts'

/** What the members are given by those who put the house together. */
export interface MembersDoors {
  readonly clock: Clock
  readonly observer: Pick<Observer, 'backendTurned' | 'noticed'>
  readonly settings: Pick<Settings, 'join'>
  readonly memory: Memory
  readonly call: CallAddress
  readonly resolve: Resolve
  /** 16 bytes that nobody can guess, in hex. */
  readonly nonce: () => string
  /** The name of this proxy in Via. */
  readonly hop: string
  readonly ownAddresses: () => readonly string[]
  readonly ownPort: () => number
  /** Backends that are no members. */
  readonly others: () => readonly Backend[]
  /** Which members serve has changed. */
  readonly changed: () => void
  readonly service: Service
}

/** The members as backends in service: what is heard of them means something there. */
export interface Service {
  /** It has said nothing for too long. */
  silent(name: string): void
  /** It is heard again; `anew`: another run of its process. */
  back(name: string, anew: boolean): void
  load(name: string, report: LoadReport): void
  /** The operator wants no new requests there. */
  isDrained(name: string): boolean
  /** Work still runs there although it is out of service. */
  isBusy(name: string): boolean
}
