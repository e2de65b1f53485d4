/** A fleet in numbers: hosts and models by index, `at = host * models + model`. */
export interface Facts {
  readonly hosts: number
  readonly models: number
  /** Requests a second, by model. */
  readonly perSecond: Float64Array
  /** Seconds of a usual request alone, by place; 0: the model can not be there. */
  readonly aloneS: Float64Array
  /** The same with all seats taken. */
  readonly fullS: Float64Array
  /** Seats, by place. */
  readonly seats: Float64Array
  readonly loadS: Float64Array
}

/** Beyond this a queue has no mean any more, and what is too much grows it for as long as it lasts. */
const fullest = 0.95
/** Seconds that a queue grows by before demand changes again, for each share of work that is too much. */
const overloadS = 300
/** Who asks for what is nowhere waits for its load, and whoever it pushes out is loaded again. */
const loadsForAbsent = 2
/** A request that nobody could serve is worse than any that waits. */
const impossibleS = 600
/** A model's requests are dealt out in so many equal parts. */
const partsOfDemand = 8

/**
 * What a residency costs: seconds that all requests of one second take, waiting included. `has` marks where each model
 * is loaded. Requests go where they are done soonest, as routing sends them: they are dealt out part by part, those of
 * the models with the fewest copies first.
 */
export function lossOf(facts: Facts, has: Uint8Array, work: LossWork): number {
  const { hosts, models, perSecond } = facts
  const { used, share, order, copies, holders } = work
  used.fill(0)
  share.fill(0)
  orderByCopies(facts, has, work)
  // The second round knows what the others take: the first has dealt out the earliest as if they were alone.
  for (let round = 0; round < 2; round++)
    for (let rank = 0; rank < models; rank++) deal(facts, work, order[rank]!)
  let loss = 0
  for (let model = 0; model < models; model++) {
    const rate = perSecond[model]!
    if (rate === 0) continue
    let isAbsent = true
    for (let each = 0; each < copies[model]!; each++) {
      const host = holders[model * hosts + each]!
      const at = host * models + model
      if (facts.aloneS[at] === 0) continue
      isAbsent = false
      if (share[at]! > 0) loss += share[at]! * secondsAt(facts, at, used[host]!)
    }
    if (isAbsent) loss += rate * absentS(facts, model)
  }
  return loss
}

/** Seconds of a request for what is nowhere, with its load; where nobody could load it, as long as anybody waits. */
function absentS({ hosts, models, aloneS, loadS }: Facts, model: number): number {
  let leastS = Number.POSITIVE_INFINITY
  for (let at = model; at < hosts * models; at += models)
    if (aloneS[at] !== 0) leastS = Math.min(leastS, loadsForAbsent * loadS[at]! + aloneS[at]!)
  return Math.min(leastS, impossibleS)
}

/** Arrays that a loss is computed in; made once for many. */
export interface LossWork {
  /** Share of each host's time that is taken. */
  readonly used: Float64Array
  /** Requests a second, by place. */
  readonly share: Float64Array
  readonly order: Int32Array
  readonly copies: Int32Array
  /** The hosts with a copy, `copies` of them from `model * hosts` on: far fewer than there are hosts. */
  readonly holders: Int32Array
}

export function lossWork({ hosts, models }: Pick<Facts, 'hosts' | 'models'>): LossWork {
  return {
    used: new Float64Array(hosts),
    share: new Float64Array(hosts * models),
    order: new Int32Array(models),
    copies: new Int32Array(models),
    holders: new Int32Array(hosts * models),
  }
}

/**
 * Seconds of one request at a place whose host is used so much: slower in company, and behind a queue (Sakasegawa's
 * approximation of M/M/c: a wait of `s * u^(sqrt(2(c+1)) - 1) / (c * (1 - u))`).
 */
function secondsAt({ aloneS, fullS, seats }: Facts, at: number, used: number): number {
  const u = Math.min(used, fullest)
  const c = seats[at]!
  const serviceS = aloneS[at]! + (fullS[at]! - aloneS[at]!) * Math.min(1, used)
  const waitS = (serviceS * u ** (Math.sqrt(2 * (c + 1)) - 1)) / (c * (1 - u))
  return serviceS + waitS + Math.max(0, used - fullest) * overloadS
}

function orderByCopies({ hosts, models }: Facts, has: Uint8Array, work: LossWork): void {
  const { order, copies, holders } = work
  for (let model = 0; model < models; model++) {
    let count = 0
    for (let host = 0; host < hosts; host++)
      if (has[host * models + model]) holders[model * hosts + count++] = host
    copies[model] = count
    order[model] = model
  }
  order.sort((one, other) => copies[one]! - copies[other]!)
}

/** Each part of a model's requests goes where it is done soonest. */
function deal(facts: Facts, { used, share, copies, holders }: LossWork, model: number): void {
  const { hosts, models, perSecond, fullS, seats } = facts
  if (perSecond[model] === 0 || copies[model] === 0) return
  const from = model * hosts
  const to = from + copies[model]!
  for (let each = from; each < to; each++) {
    const host = holders[each]!
    const at = host * models + model
    if (share[at]! > 0) used[host]! -= (share[at]! * fullS[at]!) / seats[at]!
    share[at] = 0
  }
  const parts = copies[model] === 1 ? 1 : partsOfDemand
  const part = perSecond[model]! / parts
  for (let dealt = 0; dealt < parts; dealt++) {
    let best = -1
    let bestS = Number.POSITIVE_INFINITY
    for (let each = from; each < to; each++) {
      const host = holders[each]!
      const at = host * models + model
      if (fullS[at] === 0) continue
      const seconds = secondsAt(facts, at, used[host]! + (part * fullS[at]!) / seats[at]!)
      if (seconds >= bestS) continue
      best = host
      bestS = seconds
    }
    if (best < 0) return
    const at = best * models + model
    share[at]! += part
    used[best]! += (part * fullS[at]!) / seats[at]!
  }
}
