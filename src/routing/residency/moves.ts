import { evictionFor, type PriceDoors, prefixLossS } from './eviction.ts'
import { type Host, type Resident, residentAs } from './host.ts'
import { type Facts, type LossWork, lossOf, lossWork } from './loss.ts'

/** A load that the fleet would be better off with. */
export interface Move {
  readonly host: string
  readonly model: string
  /** Who has to leave for it. */
  readonly victims: readonly Resident[]
  /** Seconds of all requests saved in each second; Infinity: the operator wants it there. */
  readonly gainS: number
  readonly why: 'pinned' | 'fewest' | 'nowhere' | 'demand'
}

export interface MoveDoors extends PriceDoors {
  /** Requests a second, with those who wait counted as such that come within a minute. */
  readonly wantedPerSecond: (model: string) => number
  /** The operator lets it be there, and there may be one more of it. */
  readonly mayCome: (host: Host, model: string) => boolean
  /** It was asked for lately: its last copy stays. */
  readonly isKept: (model: string) => boolean
  /** Others may be pushed out for what is only wanted, not waited for. */
  readonly maySwap: boolean
  /** How many times its price a load must be worth there now. */
  readonly dearness: (host: string, model: string) => number
}

/**
 * What leaves must be missed so much less than what comes is gained. Measured: below this a fleet follows the noise in
 * who asks for what (six models on six machines, room for two: 48 loads in 1,000 requests at 1.5, and 16 at 4).
 */
const hysteresis = 4
/** A last copy that was asked for lately leaves only where nothing else can. */
const lastCopyPenalty = 1e6
/** A load pays for itself within so long, or is not made. */
const paidBackS = 300
/** The same where somebody looks who decides for himself. */
const hysteresisKeen = 1.2
/** A gain below this share of all that is lost is noise of the estimates: into free memory, and where others leave. */
const shareMin = 0.02
const shareMinOfSwap = 0.3
const shareMinKeen = 0.01
/** Candidates that are computed in one look: of a large fleet those asked for most, on the hosts used least. */
const candidatesMax = 400

interface Candidate {
  readonly host: number
  readonly model: number
  readonly victims: readonly Resident[]
}

/** The best load for now, by what it saves beyond what it costs, for each gigabyte; undefined: all is well as it is. */
export function bestMove(
  hosts: readonly Host[],
  models: readonly string[],
  doors: MoveDoors,
  isKeen = false,
): Move | undefined {
  const facts = factsOf(hosts, models, doors)
  const work = lossWork(facts)
  const has = placesOf(hosts, models)
  const nowS = lossOf(facts, has, work)
  let best: Move | undefined
  let bestRank = 0
  for (const { host, model, victims } of candidatesOf(hosts, models, facts, has, doors)) {
    const name = models[model]!
    if (victims.length > 0 && !doors.maySwap) continue
    const isNowhere = doors.copies(name) === 0
    if (!isNowhere && victims.some(({ names }) => isLastKept(names, doors))) continue
    const at = host * models.length + model
    has[at] = 1
    const withS = lossOf(facts, has, work)
    const goneS =
      victims.length === 0 ? withS : lossWithout(facts, has, work, models, host, victims)
    has[at] = 0
    const gainS = nowS - withS
    const dearness = victims.length === 0 || isKeen ? 1 : doors.dearness(hosts[host]!.name, name)
    const usual = victims.length === 0 ? shareMin : shareMinOfSwap
    const noise = isKeen ? shareMinKeen : usual
    let onceS = facts.loadS[at]!
    for (const victim of victims) onceS += prefixLossS(hosts[host]!.name, victim, doors.times)
    const costS = onceS / paidBackS + noise * nowS
    const netS = gainS - (isKeen ? hysteresisKeen : hysteresis) * (goneS - withS) - dearness * costS
    if (netS <= 0) continue
    // Where it is nowhere, what others need least is found first; only then the last copy of something.
    const isLast = victims.some(({ names }) => isLastKept(names, doors))
    const rank = netS / gigabytes(hosts[host]!, name) / (isLast ? lastCopyPenalty : 1)
    if (rank <= bestRank) continue
    bestRank = rank
    best = {
      host: hosts[host]!.name,
      model: name,
      victims,
      gainS: nowS - goneS,
      why: isNowhere ? 'nowhere' : 'demand',
    }
  }
  return best
}

export function factsOf(
  hosts: readonly Host[],
  models: readonly string[],
  { times, wantedPerSecond }: MoveDoors,
): Facts {
  const places = hosts.length * models.length
  const facts = {
    hosts: hosts.length,
    models: models.length,
    perSecond: Float64Array.from(models, wantedPerSecond),
    aloneS: new Float64Array(places),
    fullS: new Float64Array(places),
    seats: new Float64Array(places),
    loadS: new Float64Array(places),
  }
  let at = 0
  for (const host of hosts)
    for (const model of models) {
      const disk = host.serves ? host.models.get(model) : undefined
      if (disk) {
        facts.seats[at] = Math.max(1, disk.seats)
        facts.aloneS[at] = times.serviceS(host.name, model, 1)
        facts.fullS[at] = times.serviceS(host.name, model, disk.seats)
        facts.loadS[at] = times.loadS(host.name, model)
      }
      at++
    }
  return facts
}

export function placesOf(hosts: readonly Host[], models: readonly string[]): Uint8Array {
  const has = new Uint8Array(hosts.length * models.length)
  let at = 0
  for (const host of hosts) for (const model of models) has[at++] = residentAs(host, model) ? 1 : 0
  return has
}

/** What the fleet loses when these leave as well. */
export function lossWithout(
  facts: Facts,
  has: Uint8Array,
  work: LossWork,
  models: readonly string[],
  host: number,
  victims: readonly Resident[],
): number {
  const taken: number[] = []
  for (const { names } of victims)
    for (const name of names) {
      const at = host * models.length + models.indexOf(name)
      if (models.includes(name) && has[at]) taken.push(at)
    }
  for (const at of taken) has[at] = 0
  const lossS = lossOf(facts, has, work)
  for (const at of taken) has[at] = 1
  return lossS
}

function* candidatesOf(
  hosts: readonly Host[],
  models: readonly string[],
  facts: Facts,
  has: Uint8Array,
  doors: MoveDoors,
): Iterable<Candidate> {
  const asked = models
    .map((_, model) => model)
    .filter((model) => facts.perSecond[model]! > 0)
    .sort((one, other) => weightOf(other) - weightOf(one))
  const calm = hosts
    .map((_, host) => host)
    .filter((host) => hosts[host]!.serves)
    .sort((one, other) => hosts[one]!.inFlight - hosts[other]!.inFlight)
  let count = 0
  for (const model of asked)
    for (const host of calm) {
      const at = host * models.length + model
      if (has[at] || facts.aloneS[at] === 0) continue
      if (!doors.mayCome(hosts[host]!, models[model]!)) continue
      for (const victims of victimsIn(hosts[host]!, models[model]!, doors)) {
        yield { host, model, victims }
        if (++count >= candidatesMax) return
      }
    }

  function weightOf(model: number): number {
    return facts.perSecond[model]! / (1 + doors.copies(models[model]!))
  }
}

/** The ways to make room: none, each one that is enough alone, or the cheapest several. */
function victimsIn(host: Host, model: string, doors: MoveDoors): (readonly Resident[])[] {
  const eviction = evictionFor(host, model, doors)
  if (!eviction) return []
  const isRipe = (resident: Resident) => !doors.isYoung(host.name, resident)
  if (eviction.victims.length === 0) return [[]]
  if (eviction.victims.length > 1) return eviction.victims.every(isRipe) ? [eviction.victims] : []
  const own = host.models.get(model)?.bytes ?? 0
  return host.residents
    .filter((resident) => doors.mayLeave(host.name, resident) && isRipe(resident))
    .filter((resident) => {
      const rest = host.residents.filter((each) => each !== resident)
      const bytes = rest.reduce((sum, each) => sum + (each.bytes ?? 0), own)
      return host.memory.fits(bytes, rest.length + 1) || rest.length === 0
    })
    .map((resident) => [resident])
}

function isLastKept(names: readonly string[], { copies, isKept }: MoveDoors): boolean {
  return names.some((name) => copies(name) <= 1 && isKept(name))
}

function gigabytes({ models }: Host, model: string): number {
  return Math.max(1, (models.get(model)?.bytes ?? 4e9) / 1e9)
}
