import type { Machine } from '../engine/machine.ts'
import { soloBestMs } from '../engine/solo.ts'
import type { MachineSpec, ModelSpec, Request } from '../engine/specs.ts'
import type { Visit } from '../engine/visit.ts'
import type { PolicyMaker, Switch } from '../engine/world.ts'
import { type Foresight, foresees } from './foresight.ts'

/** One way in which a scheduler that knows everything may act. */
export interface Manner {
  /** Of the congestion price: what waiting for a busy seat costs those behind. */
  readonly price: number
  readonly shortFirst: boolean
  /** Of the price of pushing a model out that will be needed again. */
  readonly eviction: number
}

/** All that are tried on a trace: who knows the future takes the one that turns out best. */
export const manners: readonly Manner[] = [
  { price: 0, shortFirst: false, eviction: 4 },
  { price: 0, shortFirst: true, eviction: 4 },
  { price: 2, shortFirst: false, eviction: 4 },
  { price: 2, shortFirst: true, eviction: 4 },
  { price: 4, shortFirst: true, eviction: 1 },
]

const lookedAtMax = 64
/** Arrivals are known so far ahead. */
const foreseenMs = 60_000
const keepAliveS = 300
const slowdownWeight = 0.5

interface Seat {
  /** Seconds until it is free; 0: it is. */
  readonly inS: number
}

/**
 * The same kind of scheduler as ours with nothing to learn: true lengths, true speeds, what is in every cache, and the
 * arrivals of the next minute. A feasible schedule, so whatever it reaches can be reached.
 */
export function clairvoyant(
  trace: readonly Request[],
  manner: Manner,
  foresight: Foresight = foresees,
): PolicyMaker {
  return (view) => {
    const line: Request[] = []
    const specs = view.machines.map(({ spec }) => spec)
    const shares = sharesOf(trace, view.models)
    let ahead = 0
    const arrivalsWithin = (seconds: number) => {
      const untilMs = view.nowMs + Math.min(foreseenMs, 1_000 * seconds)
      while (ahead < trace.length && trace[ahead]!.atMs <= view.nowMs) ahead++
      let at = ahead
      while (at < trace.length && trace[at]!.atMs <= untilMs) at++
      return at - ahead
    }
    const waitedS = (model: number) => {
      let seconds = 0
      for (const each of line) if (each.model === model) seconds += (view.nowMs - each.atMs) / 1_000
      return seconds
    }
    const plan = () => {
      if (line.length === 0) return
      const order = manner.shortFirst ? byAgedLength(line, specs, view, foresight) : line
      const seats = new Map<string, Seat[]>()
      const stuck = new Set<number>()
      for (const request of order.slice(0, lookedAtMax)) {
        if (stuck.has(request.model)) continue
        const around = { seats, queued: line.length, arrivalsWithin, shares, waitedS, foresight }
        const best = bestOf(request, view, around, manner)
        if (!best) {
          stuck.add(request.model)
          continue
        }
        if (best.seat.inS > 0) {
          // Promised: whoever comes later looks at the seats that are left.
          best.free.splice(best.free.indexOf(best.seat), 1, { inS: best.seat.inS + best.ownS })
          best.free.sort((one, other) => one.inS - other.inS)
          continue
        }
        line.splice(line.indexOf(request), 1)
        best.free.splice(best.free.indexOf(best.seat), 1, { inS: best.ownS })
        view.send(request, best.machine.index)
      }
    }
    return {
      arrived(request: Request) {
        line.push(request)
        plan()
      },
      ended: plan,
      failed(visit: Visit) {
        line.unshift(visit.request)
        plan()
      },
    }
  }
}

interface Best {
  readonly machine: Machine
  readonly seat: Seat
  readonly free: Seat[]
  readonly ownS: number
}

/** What else there is to know for a choice. */
interface Around {
  readonly seats: Map<string, Seat[]>
  readonly queued: number
  readonly arrivalsWithin: (seconds: number) => number
  readonly shares: readonly number[]
  /** How long all who want a model have waited. */
  readonly waitedS: (model: number) => number
  readonly foresight: Foresight
}

function bestOf(
  request: Request,
  view: Switch,
  { seats, queued, arrivalsWithin, shares, waitedS, foresight }: Around,
  manner: Manner,
): Best | undefined {
  const isIdleWarm = view.machines.some(
    (machine) =>
      machine.isAlive &&
      machine.isResident(request.model) &&
      seatsOf(machine, request.model, view, seats, foresight).some(({ inS }) => inS === 0),
  )
  const isWarmSomewhere = view.machines.some((machine) => machine.isResident(request.model))
  let best: Best | undefined
  let bestCost = Number.POSITIVE_INFINITY
  for (const machine of view.machines) {
    if (!machine.isAlive || machine.isFrozen) continue
    const free = seatsOf(machine, request.model, view, seats, foresight)
    const seat = free[0]
    if (!seat) continue
    const isWarm = machine.isResident(request.model)
    const { spec } = machine
    const beside = streamsAt(machine, view)
    const answer = foresight.answer(request)
    const ownS = ownSeconds(request, answer, machine, view.models[request.model]!, beside + 1)
    let cost = seat.inS + ownS
    cost += slowdownWeight * beside * spec.kappa * ownS * 0.5
    if (!isWarm) {
      if (machine.loading !== undefined) continue
      cost += view.models[request.model]!.loadSeconds * spec.loadFactor
      const victims = [...machine.resident]
      if (victims.length >= spec.modelsMax) {
        const idle = victims.filter((model) => machine.visits(model).length === 0)
        if (idle.length === 0) continue
        const prices = idle.map((model) => evictionS(model, machine, view, shares))
        const priceS = manner.eviction * Math.min(...prices)
        // A swap is bought when waiting has cost as much.
        const loadS = view.models[request.model]!.loadSeconds * spec.loadFactor
        if (isWarmSomewhere && waitedS(request.model) < loadS + priceS) continue
        cost += priceS
      }
    } else if (seat.inS > 0 && isIdleWarm) {
      const rate =
        view.machines.reduce((sum, { spec: each }) => sum + each.slots, 0) / Math.max(0.1, ownS)
      cost += (manner.price * (queued + arrivalsWithin(seat.inS))) / rate
    }
    if (cost >= bestCost) continue
    best = { machine, seat, free, ownS }
    bestCost = cost
  }
  return best
}

function seatsOf(
  machine: Machine,
  model: number,
  view: Switch,
  seats: Map<string, Seat[]>,
  foresight: Foresight,
): Seat[] {
  const key = `${machine.index}/${model}`
  const known = seats.get(key)
  if (known) return known
  machine.look()
  const n = Math.max(1, streamsAt(machine, view))
  const taken = machine.visits(model).map((visit) => {
    const left = foresight.left(visit)
    return { inS: Math.max(1e-3, leftSeconds(visit, left, machine, view.models[model]!, n)) }
  })
  const free = Array.from({ length: Math.max(0, machine.slots - taken.length) }, () => ({ inS: 0 }))
  const all = [...free, ...taken.sort((one, other) => one.inS - other.inS)]
  seats.set(key, all)
  return all
}

function streamsAt(machine: Machine, view: Switch): number {
  let streams = 0
  for (let model = 0; model < view.models.length; model++) streams += machine.visits(model).length
  return streams
}

function ownSeconds(
  request: Request,
  answer: number,
  machine: Machine,
  model: ModelSpec,
  n: number,
): number {
  const { spec } = machine
  const read = request.promptTokens - machine.cachedTokens(request)
  return (
    read / (spec.prefillPerSecond * model.speed) +
    (answer * (1 + spec.kappa * (n - 1))) / (spec.decodePerSecond * model.speed)
  )
}

function leftSeconds(
  visit: Visit,
  left: number,
  { spec }: Machine,
  model: ModelSpec,
  n: number,
): number {
  const stepS = (1 + spec.kappa * (n - 1)) / (spec.decodePerSecond * model.speed)
  if (visit.state === 'speaking') return left * stepS
  const read = visit.state === 'reading' ? visit.left : visit.promptTokens
  return read / (spec.prefillPerSecond * model.speed) + left * stepS
}

/** What loading it again will cost, if it is asked for there while it would still have been kept. */
function evictionS(
  model: number,
  machine: Machine,
  view: Switch,
  shares: readonly number[],
): number {
  const copies = view.machines.filter((each) => each.isResident(model)).length
  const perSecond = shares[model]! / Math.max(1, copies)
  const again = 1 - Math.exp(-perSecond * keepAliveS)
  const loadS = view.models[model]!.loadSeconds * machine.spec.loadFactor
  return loadS * again * (copies === 1 ? 2 : 0.5)
}

/** Requests a second by model, over the whole trace. */
function sharesOf(trace: readonly Request[], models: readonly ModelSpec[]): number[] {
  const seconds = Math.max(1, (trace.at(-1)?.atMs ?? 0) / 1_000)
  const counts = models.map(() => 0)
  for (const { model } of trace) counts[model]!++
  return counts.map((count) => count / seconds)
}

/** Who has waited longest for what it takes goes first; a second each is given, so that newcomers are told apart. */
function byAgedLength(
  line: readonly Request[],
  specs: readonly MachineSpec[],
  view: Switch,
  foresight: Foresight,
): Request[] {
  return line
    .map((request) => {
      const outputTokens = foresight.answer(request)
      const serviceMs = soloBestMs(specs, view.models, { ...request, outputTokens })
      return { request, rank: (view.nowMs - request.atMs + 1_000) / serviceMs }
    })
    .sort((one, other) => other.rank - one.rank)
    .map(({ request }) => request)
}
