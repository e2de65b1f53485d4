import { promises as dns, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import PQueue from 'p-queue'
import type { Clock } from '../core/clock.ts'
import type { Observer } from '../core/observer.ts'

/** All addresses of a host name, or an error with the system's code. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>

export interface AddressesDoors {
  readonly clock: Clock
  readonly noticed?: Observer['noticed']
  readonly resolve?: Resolve
  readonly refreshMs?: number
}

/** Each name in use is looked up again this often, as Envoy does: kept connections would otherwise never notice. */
const refreshMsUsual = 5_000
/** A name that was not found is not asked for again by everybody who wants it now. */
const notFoundMs = 1_000
/** The system asks on threads that the files need too, and waits for a dead DNS server for many seconds. */
const asksAtOnce = 2
/** A server has a few addresses; a longer list is a mistake. */
const addressesMax = 32
/** An operator reads once in so long that a name is in trouble. */
const noticeEveryMs = 60_000

interface Entry {
  readonly host: string
  /** The last good answer, the address first that answered last; undefined: there was none yet. */
  known: readonly LookupAddress[] | undefined
  asking: Promise<void> | undefined
  /** Why the last question had no answer. */
  error: Error | undefined
  erredMs: number
  noticedMs: number
}

/**
 * The addresses of backends that are configured by name. An answer is remembered, and stays in use when there is none
 * any more: a server does not go away because its name can not be looked up. A backend is one server, so of several
 * addresses the one that took the last connection is tried first.
 */
export class Addresses {
  readonly #doors: AddressesDoors
  readonly #resolve: Resolve
  readonly #entries = new Map<string, Entry>()
  readonly #listeners: ((host: string, left: readonly string[]) => void)[] = []
  readonly #asks = new PQueue({ concurrency: asksAtOnce })
  /** Undefined until somebody says it. */
  #inService: ReadonlySet<string> | undefined
  #refresh: Disposable | undefined
  #closed = false

  constructor(doors: AddressesDoors) {
    this.#doors = doors
    this.#resolve = doors.resolve ?? ((host) => dns.lookup(host, { all: true }))
  }

  /** For `net.connect` and `tls.connect`. */
  readonly lookup: LookupFunction = (host, { all, family }, callback) => {
    this.#addressesOf(host).then(
      (known) => {
        const fitting = known.filter((each) => !family || each.family === family)
        const [first] = fitting
        if (!first) callback(notFound(host), '')
        else if (all) callback(null, fitting as LookupAddress[])
        else callback(null, first.address, first.family)
      },
      (error: NodeJS.ErrnoException) => callback(error, ''),
    )
  }

  /** Called with the addresses that the name of a server has no more. */
  onLeft(listener: (host: string, left: readonly string[]) => void): void {
    this.#listeners.push(listener)
  }

  /** False: the name was known to have this address, and has it no more. */
  has(host: string, address: string): boolean {
    const known = this.#entries.get(host)?.known
    return known === undefined || known.some((each) => each.address === bare(address))
  }

  /** A connection to this address stands: it is tried first from now on. */
  reached(host: string, address: string): void {
    const entry = this.#entries.get(host)
    if (entry?.known && entry.known.length > 1) entry.known = withFirst(entry.known, bare(address))
  }

  /** Names that nobody needs any more are not looked up again. */
  keepOnly(hosts: ReadonlySet<string>): void {
    this.#inService = hosts
    this.#forgetTheGone()
  }

  #forgetTheGone(): void {
    for (const host of this.#entries.keys())
      if (this.#inService?.has(host) === false) this.#entries.delete(host)
  }

  close(): void {
    this.#closed = true
    this.#refresh?.[Symbol.dispose]()
    this.#asks.clear()
    this.#entries.clear()
  }

  async #addressesOf(host: string): Promise<readonly LookupAddress[]> {
    let entry = this.#entries.get(host)
    if (!entry) {
      entry = {
        host,
        known: undefined,
        asking: undefined,
        error: undefined,
        erredMs: -Infinity,
        noticedMs: -Infinity,
      }
      this.#entries.set(host, entry)
      this.#refreshLater()
    }
    if (entry.known) return entry.known
    const isFresh = this.#doors.clock.now() - entry.erredMs < notFoundMs
    if (!isFresh) await this.#ask(entry, true)
    if (entry.known) return entry.known
    throw entry.error ?? notFound(host)
  }

  #refreshLater(): void {
    if (this.#refresh || this.#closed) return
    this.#refresh = this.#doors.clock.after(this.#doors.refreshMs ?? refreshMsUsual, () => {
      this.#refresh = undefined
      // Whoever was taken out may have been asked something after that.
      this.#forgetTheGone()
      if (this.#entries.size === 0) return
      // What was never found is asked for by those who want it.
      for (const entry of this.#entries.values()) if (entry.known) void this.#ask(entry, false)
      this.#refreshLater()
    })
  }

  /** Never throws; several who ask at once share one question. */
  #ask(entry: Entry, isWaitedFor: boolean): Promise<void> {
    entry.asking ??= this.#asks
      .add(() => this.#resolve(entry.host), { priority: isWaitedFor ? 1 : 0 })
      .then(
        (found) => this.#learn(entry, found),
        (error: Error) => this.#erred(entry, error),
      )
      .finally(() => {
        entry.asking = undefined
      })
    return entry.asking
  }

  #learn(entry: Entry, found: readonly LookupAddress[]): void {
    const known = found.filter(({ address }) => isIP(address) !== 0).slice(0, addressesMax)
    if (known.length === 0) return this.#erred(entry, notFound(entry.host))
    const before = entry.known ?? []
    entry.error = undefined
    entry.erredMs = -Infinity
    // Who was reached last is still the first to be tried.
    entry.known = before[0] ? withFirst(known, before[0].address) : known
    const left = before.filter(({ address }) => !this.has(entry.host, address))
    if (left.length === 0 || this.#entries.get(entry.host) !== entry) return
    for (const told of this.#listeners) {
      told(
        entry.host,
        left.map(({ address }) => address),
      )
    }
  }

  #erred(entry: Entry, error: Error): void {
    const now = this.#doors.clock.now()
    const isNew = entry.error === undefined
    entry.error = error
    entry.erredMs = now
    // A backend that was never found is away for all to see.
    if (!entry.known || !isNew || this.#closed || now - entry.noticedMs < noticeEveryMs) return
    entry.noticedMs = now
    this.#doors.noticed?.('a name can not be looked up; its last address stays in use', {
      host: entry.host,
      code: (error as NodeJS.ErrnoException).code,
    })
  }
}

/** Addresses of the scope of one link carry the link behind them, where the system tells of connections. */
const bare = (address: string) => address.split('%')[0]!

function withFirst(known: readonly LookupAddress[], first: string): readonly LookupAddress[] {
  const isFirst = (each: LookupAddress) => each.address === first
  if (known[0] && isFirst(known[0])) return known
  return [...known.filter(isFirst), ...known.filter((each) => !isFirst(each))]
}

function notFound(host: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`no address for ${host}`), { code: 'ENOTFOUND' })
}
