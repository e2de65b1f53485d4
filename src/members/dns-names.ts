import type { SrvRecord } from 'node:dns'
import PQueue from 'p-queue'
import { derived } from '../config/backend-name.ts'
import { type Backend, backendAt } from '../core/backend.ts'
import type { Clock } from '../core/clock.ts'
import type { Observer } from '../core/observer.ts'
import { originOf, plainAddress } from './addresses.ts'
import type { Source } from './fleet.ts'
import type { Resolve } from './place.ts'

export type ResolveSrv = (name: string) => Promise<readonly SrvRecord[]>

/** Of all names together; a fleet of more addresses than this has somebody who writes its configuration. */
const addressesMax = 256
/** The system asks on threads that the files need too. */
const asksAtOnce = 2
/** Targets of one SRV name that are looked up. */
const targetsMax = 64

export interface DnsDoors {
  readonly clock: Clock
  readonly resolve: Resolve
  readonly resolveSrv: ResolveSrv
  readonly noticed: Observer['noticed']
  readonly isOwn: (address: string, port: number) => boolean
  readonly changed: () => void
}

interface Settings {
  readonly dns: readonly string[]
  readonly dnsEveryMs: number
  readonly port: number
}

/**
 * Names of the operator whose every address is a backend, as headless services have them. Looked up again and again;
 * while a name can not be looked up its last addresses stay, since a server does not go away because DNS does.
 */
export class DnsNames implements Source, Disposable {
  readonly #doors: DnsDoors
  readonly #asks = new PQueue({ concurrency: asksAtOnce })
  readonly #known = new Map<string, readonly string[]>()
  /** Names in trouble, each said once. */
  readonly #said = new Set<string>()
  #settings: Settings = { dns: [], dnsEveryMs: 0, port: 0 }
  #timer: Disposable | undefined
  #round = 0
  #isFull = false
  /** What others were last told of. */
  #shown = '[]'

  constructor(doors: DnsDoors) {
    this.#doors = doors
  }

  /** Ends when each name has been looked up once. */
  async reconfigure(settings: Settings): Promise<void> {
    this.#settings = settings
    for (const name of this.#known.keys())
      if (!settings.dns.includes(name)) this.#known.delete(name)
    await this.#look()
  }

  backends(): readonly Backend[] {
    const origins = [...new Set([...this.#known.values()].flat())]
    return origins.slice(0, addressesMax).map((origin) => {
      const { hostname, port } = new URL(origin)
      return backendAt(
        derived({ host: hostname, port: Number(port) || 80, pathPrefix: '' }),
        origin,
      )
    })
  }

  [Symbol.dispose](): void {
    this.#round++
    this.#timer?.[Symbol.dispose]()
    this.#asks.clear()
  }

  async #look(): Promise<void> {
    const round = ++this.#round
    this.#timer?.[Symbol.dispose]()
    this.#timer = undefined
    const { dns, port, dnsEveryMs } = this.#settings
    const before = this.#shown
    await Promise.all(
      dns.map((name) =>
        this.#asks.add(() => this.#lookUp(name, port, () => round === this.#round)),
      ),
    )
    if (round !== this.#round) return
    this.#sayFull()
    this.#shown = JSON.stringify([...this.#known.values()])
    if (this.#shown !== before) this.#doors.changed()
    if (dns.length > 0) this.#timer = this.#doors.clock.after(dnsEveryMs, () => void this.#look())
  }

  /** Never throws. */
  async #lookUp(name: string, port: number, isWanted: () => boolean): Promise<void> {
    try {
      const found = await originsOf(name, port, this.#doors)
      if (!isWanted()) return
      if (found.length === 0) throw Object.assign(new Error('no address'), { code: 'ENODATA' })
      this.#known.set(name, found)
      this.#said.delete(name)
    } catch (error) {
      if (!isWanted() || this.#said.has(name)) return
      this.#said.add(name)
      const stays = this.#known.has(name) ? '; its last addresses stay in use' : ''
      this.#doors.noticed(`a name of discover.dns can not be looked up${stays}`, {
        name,
        code: (error as NodeJS.ErrnoException).code,
      })
    }
  }

  #sayFull(): void {
    const isFull = new Set([...this.#known.values()].flat()).size > addressesMax
    if (isFull && !this.#isFull)
      this.#doors.noticed('discover.dns has more addresses than can be used', { max: addressesMax })
    this.#isFull = isFull
  }
}

type Lookups = Pick<DnsDoors, 'resolve' | 'resolveSrv' | 'isOwn'>

/** Where the servers of a name are; in one order, whatever the order of the answer. */
export async function originsOf(name: string, port: number, doors: Lookups): Promise<string[]> {
  const places = name.startsWith('_')
    ? (await doors.resolveSrv(name)).slice(0, targetsMax)
    : [{ name, port }]
  const origins = await Promise.all(
    places.map(async (place) => {
      const found = await doors.resolve(place.name)
      return found.flatMap(({ address }) => {
        const plain = plainAddress(address)
        if (plain === undefined || doors.isOwn(plain, place.port)) return []
        return [originOf(plain, place.port)]
      })
    }),
  )
  return [...new Set(origins.flat())].sort().slice(0, addressesMax)
}
