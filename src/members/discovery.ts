import { promises as dns } from 'node:dns'
import PQueue from 'p-queue'
import { derived } from '../config/backend-name.ts'
import type { Backend } from '../core/backend.ts'
import type { Clock } from '../core/clock.ts'
import type { Observer } from '../core/observer.ts'
import type { DiscoverSettings } from '../core/settings.ts'
import { originOf } from './addresses.ts'
import type { CallAddress } from './calls.ts'
import { DnsNames, type ResolveSrv } from './dns-names.ts'
import type { Source } from './fleet.ts'
import { Folder } from './folder.ts'
import { type Announced, type Browse, browse as browseMdns } from './mdns.ts'
import type { Arrival } from './member.ts'
import type { Resolve } from './place.ts'
import { scan, versionAt } from './scan.ts'

/** Announcements that are looked into at the same time, a second each at most. */
const asksAtOnce = 32
/** As many as mDNS keeps; who announces more at once plays with names. */
const asksWaitingMax = 1_000

export interface DiscoveryDoors {
  readonly clock: Clock
  readonly env: Readonly<Record<string, string | undefined>>
  readonly noticed: Observer['noticed']
  readonly call: CallAddress
  readonly resolve: Resolve
  readonly resolveSrv?: ResolveSrv | undefined
  readonly browse?: Browse | undefined
  readonly isOwn: (address: string, port: number) => boolean
  /** Nothing that is there could become a backend. */
  readonly isBarred: (address: string, port: number) => boolean
  /** Somebody was found of whom the operator has said nothing. */
  readonly found: (server: Omit<Arrival, 'labels' | 'agent'>, accept: boolean) => void
  readonly lost: (origin: string) => void
  /** What the operator's names and files say has changed. */
  readonly changed: () => void
}

/**
 * Backends beside the configuration. Names and files are the operator's own words and serve at once; who answers a scan
 * or announces itself is only a candidate.
 */
export class Discovery implements Source, Disposable {
  readonly #doors: DiscoveryDoors
  readonly #names: DnsNames
  readonly #folder: Folder
  #settings: DiscoverSettings | undefined
  /** Servers that announced themselves and are asked whether they are there. */
  readonly #asks = new PQueue({ concurrency: asksAtOnce })
  #scan: Disposable | undefined
  #mdns: { wanted: boolean; browsing: Promise<Disposable | undefined> } | undefined

  constructor(doors: DiscoveryDoors) {
    this.#doors = doors
    this.#names = new DnsNames({ ...doors, resolveSrv: doors.resolveSrv ?? dns.resolveSrv })
    this.#folder = new Folder(doors)
  }

  /** Ends when names and files have been read once; what is on the network comes when it comes. */
  async reconfigure(settings: DiscoverSettings): Promise<void> {
    if (settings === this.#settings) return
    this.#settings = settings
    this.#scanSoon()
    this.#browse(settings.mdns)
    await Promise.all([
      this.#names.reconfigure(settings),
      this.#folder.reconfigure(settings.folder),
    ])
  }

  backends(): readonly Backend[] {
    return [...this.#folder.backends(), ...this.#names.backends()]
  }

  [Symbol.dispose](): void {
    this.#settings = undefined
    this.#scan?.[Symbol.dispose]()
    this.#browse(false)
    this.#names[Symbol.dispose]()
    this.#folder[Symbol.dispose]()
  }

  #scanSoon(): void {
    this.#scan?.[Symbol.dispose]()
    this.#scan = undefined
    const settings = this.#settings
    if (!settings || settings.scan.length === 0) return
    void this.#scanNow(settings)
  }

  async #scanNow(settings: DiscoverSettings): Promise<void> {
    const isWanted = () => this.#settings === settings
    const servers = await scan(settings.scan, settings.port, this.#doors.call, isWanted)
    if (!isWanted()) return
    for (const { origin, version } of servers) this.#found(origin, 'scan', version)
    this.#scan = this.#doors.clock.after(settings.scanEveryMs, () => this.#scanSoon())
  }

  #browse(wanted: boolean): void {
    if ((this.#mdns?.wanted ?? false) === wanted) return
    if (!wanted) {
      void this.#mdns?.browsing.then((browsing) => browsing?.[Symbol.dispose]())
      this.#mdns = undefined
      return
    }
    const begin = this.#doors.browse ?? browseMdns
    const failed = (why: string) =>
      this.#doors.noticed('discover.mdns hears nothing any more', { why })
    const browsing = begin({
      found: (server) => this.#announced(server),
      gone: ({ address, port }) => this.#doors.lost(originOf(address, port)),
      failed,
    }).catch((error: unknown) => {
      failed(error instanceof Error ? error.message : String(error))
      return undefined
    })
    this.#mdns = { wanted, browsing }
  }

  /**
   * An announcement is anybody's word: it counts when an Ollama answers there, and makes us call nobody whom we would
   * not let in.
   */
  #announced({ address, port }: Announced): void {
    if (this.#doors.isBarred(address, port) || this.#asks.size >= asksWaitingMax) return
    void this.#asks.add(async () => {
      if (!this.#settings?.mdns) return
      const origin = originOf(address, port)
      const version = await versionAt(origin, this.#doors.call)
      if (version !== undefined && this.#settings?.mdns) this.#found(origin, 'mdns', version)
    })
  }

  #found(origin: string, how: 'mdns' | 'scan', version: string): void {
    const { hostname, port } = new URL(origin)
    const name = derived({ host: hostname, port: Number(port) || 80, pathPrefix: '' })
    this.#doors.found({ name, origin, how, version }, this.#settings?.accept === 'all')
  }
}
