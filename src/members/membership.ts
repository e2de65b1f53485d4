import { randomBytes } from 'node:crypto'
import { promises as dns } from 'node:dns'
import { networkInterfaces } from 'node:os'
import type { Backend } from '../core/backend.ts'
import { type Clock, sleep } from '../core/clock.ts'
import { canonicalName } from '../core/model-name.ts'
import type { Observer } from '../core/observer.ts'
import type { Settings } from '../core/settings.ts'
import type { Pool } from '../pool/pool.ts'
import type { Prober } from '../pool/prober.ts'
import { isOwnListener, plainAddress } from './addresses.ts'
import type { CallAddress } from './calls.ts'
import type { Discovery } from './discovery.ts'
import type { ResolveSrv } from './dns-names.ts'
import { fleetOf, type Source } from './fleet.ts'
import type { Browse } from './mdns.ts'
import type { Member } from './member.ts'
import { Members } from './members.ts'
import type { Service } from './members-doors.ts'
import { Memory } from './memory.ts'
import type { Resolve } from './place.ts'

/** How long the start waits for names and files. */
const openMsMax = 250

export interface MembershipDoors {
  readonly clock: Clock
  readonly observer: Observer
  readonly settings: Settings
  readonly pool: Pool
  readonly prober: Prober
  readonly hop: string
  readonly call: CallAddress
  readonly names: {
    readonly resolve?: Resolve
    readonly resolveSrv?: ResolveSrv
    readonly browse?: Browse
  }
  /** The demo is a fleet of its own: who served before is not in it, and nobody is looked for. */
  readonly demo: boolean
  /** Where this proxy listens. */
  readonly ownPort: () => number
  /** `backends()` has changed. */
  readonly changed: () => void
}

/** How the fleet comes about: what is configured, who joined, what is found. */
export class Membership implements Disposable {
  readonly members: Members
  readonly #doors: MembershipDoors
  readonly #memory: Memory
  readonly #resolve: Resolve
  /** Made when something is to be looked for: most fleets are written down. */
  #discovery: Discovery | undefined
  #discovering: Promise<void> = Promise.resolve()
  /** Names that two sources claim, each said once. */
  readonly #shadowed = new Set<string>()
  #over = false

  constructor(doors: MembershipDoors) {
    this.#doors = doors
    this.#resolve = doors.names.resolve ?? ((host) => dns.lookup(host, { all: true }))
    this.#memory = new Memory(doors.settings.dataDir, doors.observer.noticed)
    this.members = new Members({
      ...doors,
      memory: this.#memory,
      resolve: this.#resolve,
      nonce: () => randomBytes(16).toString('hex'),
      ownAddresses,
      others: () => fleetOf(this.#operatorsWords(), () => {}),
      service: serviceOf(doors, (name) => this.members.get(name)),
    })
  }

  /** Ends when it is known whom the operator had accepted, and what names and files say. */
  async open(): Promise<void> {
    if (this.#doors.demo) return
    await this.members.recall()
    this.reconfigure()
    // Who waits for a dead DNS server is not there for anybody else.
    await Promise.race([this.#discovering, sleep(this.#doors.clock, openMsMax)])
  }

  /** All backends; the configuration comes first, and members last. */
  backends(): Backend[] {
    return fleetOf([...this.#operatorsWords(), this.members], (backend, by) => {
      const key = `${backend.name} ${by.name}`
      if (this.#shadowed.has(key)) return
      this.#shadowed.add(key)
      this.#doors.observer.noticed('a server is in the fleet already under another word', {
        backend: backend.name,
        kept: by.name,
      })
    })
  }

  /** After a reload. Members stay. */
  reconfigure(): void {
    const { discover } = this.#doors.settings
    if (this.#doors.demo) return
    const { dns: names, folder, mdns, scan } = discover
    const isWanted = mdns || folder !== undefined || names.length + scan.length > 0
    if (!isWanted && !this.#discovery) return
    this.#discovering = this.#discovering.then(async () => {
      this.#discovery ??= await this.#makeDiscovery()
      if (this.#over) this.#discovery[Symbol.dispose]()
      else await this.#discovery.reconfigure(discover)
    })
  }

  /** Ends when what was said last is on disk. */
  async close(): Promise<void> {
    this[Symbol.dispose]()
    await this.#memory.written()
  }

  [Symbol.dispose](): void {
    this.#over = true
    this.members[Symbol.dispose]()
    this.#discovery?.[Symbol.dispose]()
  }

  async #makeDiscovery(): Promise<Discovery> {
    const { Discovery } = await import('./discovery.ts')
    const { clock, observer, call, names, ownPort, changed } = this.#doors
    return new Discovery({
      clock,
      env: process.env,
      noticed: observer.noticed,
      call,
      ...names,
      resolve: this.#resolve,
      isOwn: (address, port) =>
        isOwnListener(address, port, { ownAddresses: ownAddresses(), ownPort: ownPort() }),
      isBarred: (address, port) => this.members.isBarred(address, port),
      found: (server, accept) => this.members.found(server, accept),
      lost: (origin) => this.members.lost(origin),
      changed,
    })
  }

  /** What needs nobody's yes. */
  #operatorsWords(): Source[] {
    const { settings } = this.#doors
    const configured = { backends: () => settings.backends }
    return this.#discovery ? [configured, this.#discovery] : [configured]
  }
}

/**
 * What is heard of a member, told to its endpoint. It has none before it is accepted, and while a backend of the
 * configuration has its name.
 */
function serviceOf(
  { pool, prober }: Pick<MembershipDoors, 'pool' | 'prober'>,
  member: (name: string) => Pick<Member, 'origin'> | undefined,
): Service {
  const endpointOf = (name: string) => {
    const endpoint = pool.endpoint(name)
    return endpoint?.backend.origin === member(name)?.origin ? endpoint : undefined
  }
  return {
    silent(name) {
      const endpoint = endpointOf(name)
      if (endpoint) prober.silent(endpoint)
    },
    back(name, anew) {
      const endpoint = endpointOf(name)
      if (endpoint) void prober.back(endpoint, anew)
    },
    load(name, report) {
      const endpoint = endpointOf(name)
      if (!endpoint) return
      endpoint.learnLoad(report)
      // It has models that the last list did not have: an Ollama that came up after its agent, or a pull by hand.
      const isNew = (model: string) => !endpoint.onDisk.has(canonicalName(model))
      if (Object.keys(report.capabilities).some(isNew)) void prober.refresh(endpoint)
    },
    isDrained: (name) => endpointOf(name)?.enabled === false,
    isBusy: (name) => [...pool.leaving].some((endpoint) => endpoint.name === name),
  }
}

function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return all.flatMap(({ address }) => plainAddress(address) ?? [])
}
