import { type Host, type Resident, residentAs, type Times } from './host.ts'

/** What stays for ever is priced as if it stayed for so long. */
const keptSMax = 1_800
/** Ollama's own keep_alive, where a server does not say until when. */
const keptSUsual = 300
/**
 * What one of several copies is worth of its load: others have the model, too. Measured with six models on six machines at
 * a load of 0.5 (48 seeds, what is pushed out counted twice): with 0.4 there were 19.9 loads in 1,000 requests, with 0.5
 * 18.5. A last copy is worth its load and no more: counted one and a half times, the slowest of a hundred took 37 s for 35.
 */
const oneOfSeveral = 0.6
/**
 * A second of reading beside one of loading: it stops nobody who runs there, and is done elsewhere where that is quicker.
 * Measured where half of the requests are turns of conversations, at a load of 0.65 (24 seeds): counted in full, requests
 * took 4 % longer than with none of it, and at 0.3 as long; either way there is less to read and to load.
 */
const readingCounts = 0.3
/** Nobody waits longer than this for a load, whatever leaves for it. */
const readingSMax = 60

/** What a price is made of, beside the host. */
export interface PriceDoors {
  readonly times: Times
  /** Requests a second for a model. */
  readonly perSecond: (model: string) => number
  /** Copies of it in the fleet. */
  readonly copies: (model: string) => number
  /** May it leave at all? Pinned ones, and those below their least number of copies, may not. */
  readonly mayLeave: (host: string, resident: Resident) => boolean
  /** It came a short time ago. */
  readonly isYoung: (host: string, resident: Resident) => boolean
}

/** Who would have to leave for a load, and what that costs; undefined: it can not be made to fit. */
export interface Eviction {
  readonly victims: readonly Resident[]
  /** Seconds that the fleet loses by it, about. */
  readonly priceS: number
}

const nobody: Eviction = { victims: [], priceS: 0 }

/** Cheapest first, those that have just come last, until the model fits. */
export function evictionFor(host: Host, model: string, doors: PriceDoors): Eviction | undefined {
  if (residentAs(host, model)) return nobody
  let bytes = host.models.get(model)?.bytes ?? 0
  let count = 1
  for (const resident of host.residents) {
    bytes += resident.bytes ?? 0
    count++
  }
  if (host.memory.fits(bytes, count)) return nobody
  const priced = host.residents
    .filter((resident) => doors.mayLeave(host.name, resident))
    .map((resident) => ({
      resident,
      priceS: priceOf(host, resident, doors),
      young: doors.isYoung(host.name, resident) ? 1 : 0,
    }))
    .sort((one, other) => one.young - other.young || one.priceS - other.priceS)
  const victims: Resident[] = []
  let priceS = 0
  for (const { resident, priceS: own } of priced) {
    victims.push(resident)
    priceS += own
    bytes -= resident.bytes ?? 0
    count--
    if (host.memory.fits(bytes, count)) return { victims, priceS }
  }
  // Alone it may be, whatever the figures say: the server will tell.
  return victims.length === host.residents.length && count === 1 ? { victims, priceS } : undefined
}

/**
 * `L * (1 - exp(-rate * share * kept))`, less of it for one of several copies, plus what its cache is worth: the load that will be needed again, times the chance that it is, while it would still have been there.
 */
export function priceOf(host: Host, resident: Resident, doors: PriceDoors): number {
  const { times, perSecond, copies } = doors
  const model = resident.names[0] ?? ''
  let rate = 0
  let fewest = Number.POSITIVE_INFINITY
  for (const name of resident.names) {
    rate += perSecond(name)
    fewest = Math.min(fewest, copies(name))
  }
  const keptS = Math.min(
    keptSMax,
    resident.keptMs === undefined ? keptSUsual : resident.keptMs / 1e3,
  )
  const again = 1 - Math.exp((-rate / Math.max(1, fewest)) * keptS)
  const weight = fewest <= 1 ? 1 : oneOfSeveral
  // Who is in use is waited for until it is idle.
  const busyS = resident.inUse > 0 ? times.serviceS(host.name, model, resident.inUse) / 2 : 0
  return (
    times.loadS(host.name, model) * again * weight + prefixLossS(host.name, resident, times) + busyS
  )
}

/** What it has read is read again by who comes back. */
export function prefixLossS(host: string, { names }: Resident, { prefixS }: Times): number {
  let seconds = 0
  if (prefixS) for (const name of names) seconds += prefixS(host, name)
  return Math.min(readingSMax, readingCounts * seconds)
}
