import type { Move } from './moves.ts'

/** One thing that would help, and what it would bring. */
export interface Advice {
  readonly kind: 'preload' | 'swap' | 'unload' | 'slots' | 'drain' | 'restart'
  readonly backend: string
  readonly model: string | undefined
  /** Models that leave for it. */
  readonly unload: readonly string[]
  /** What all requests together save. */
  readonly gain: { readonly seconds: number; readonly per: 'hour' | 'request' }
  readonly why: string
  /** It can be done from here, and undone: loads and unloads. The rest is an operator's to do. */
  readonly safe: boolean
}

/** One backend, as far as advice needs to know it. */
export interface Advised {
  readonly name: string
  readonly serves: boolean
  readonly loadsHang: boolean
  /** What is in memory and idle, with the seconds since it was asked for; Infinity: nobody remembers that it was. */
  readonly idle: readonly {
    readonly model: string
    readonly bytes: number | undefined
    readonly unaskedS: number
    readonly pinned: boolean
  }[]
  /** It has shown that its memory is full at times. */
  readonly isTight: boolean
  /** Seats that an operator has set, where all of them are in use. */
  readonly fixedSeats: readonly {
    readonly model: string
    readonly seats: number
    /** How much slower a token comes with each further stream, as a share. */
    readonly slope: number
    readonly serviceS: number
    readonly perSecond: number
  }[]
  readonly answered: number
  readonly failed: number
  /** Seconds of its usual request. */
  readonly tookS: number
  /** Seconds that a second's requests would take longer without it. */
  readonly worthS: number
}

/** Nobody has asked for it for so long. */
const unusedS = 1_800
/** What a server needs to give memory back, and what a load waits for when it has to make room itself. */
const unloadS = 1.5
/** One more seat must bring so much more work from the same machine. */
const seatGainMin = 0.1
/** So many failures, and this share, before a backend is thought to cost more than it gives. */
const failedMin = 5
const failedShareMin = 0.2
const hourS = 3_600

/** What would help, the best first; gains for each hour before those for each request. */
export function advise(moves: readonly Move[], backends: readonly Advised[]): Advice[] {
  const advice = [...moves.map(ofMove), ...backends.flatMap((each) => ofBackend(each, moves))]
  const rank = ({ gain }: Advice) => (gain.per === 'hour' ? gain.seconds : gain.seconds / hourS)
  return advice.sort((one, other) => rank(other) - rank(one))
}

function ofMove({ host, model, victims, gainS, why }: Move): Advice {
  const unload = victims.map(({ names }) => names[0] ?? '')
  const reasons: Record<Move['why'], string> = {
    pinned: `${model} is pinned to ${host} and not in memory there`,
    fewest: `there are fewer copies of ${model} in memory than residency.replicas asks for`,
    nowhere: `${model} is asked for and in memory nowhere: every request for it begins with a load`,
    demand: `${model} is asked for more than its copies serve without waiting`,
  }
  const leaving = unload.length === 0 ? 'there is room' : `${unload.join(', ')} is missed less`
  return {
    kind: unload.length === 0 ? 'preload' : 'swap',
    backend: host,
    model,
    unload,
    gain: { seconds: Number.isFinite(gainS) ? gainS * hourS : 0, per: 'hour' },
    why: `${reasons[why]}; on ${host} ${leaving}`,
    safe: true,
  }
}

function ofBackend(backend: Advised, moves: readonly Move[]): Advice[] {
  const { name, answered, failed, tookS, worthS } = backend
  const base = { backend: name, model: undefined, unload: [], safe: false }
  const advice: Advice[] = []
  if (backend.loadsHang)
    advice.push({
      ...{ ...base, kind: 'restart' },
      gain: { seconds: Math.max(0, worthS) * hourS, per: 'hour' },
      why: `loads hang on ${name}: it serves only what it has in memory until its Ollama is started anew`,
    })
  if (!backend.serves) return advice
  for (const { model, bytes, unaskedS, pinned } of backend.idle) {
    if (pinned || unaskedS < unusedS || !backend.isTight) continue
    if (moves.some((move) => move.host === name)) continue
    const size = bytes === undefined ? '' : `, ${(bytes / 1e9).toFixed(1)} GB`
    advice.push({
      ...{ ...base, kind: 'unload', model, safe: true },
      gain: { seconds: unloadS, per: 'request' },
      why: `nobody has asked for ${model} in half an hour${size}; the next load on ${name} need not wait for room`,
    })
  }
  for (const { model, seats, slope, serviceS, perSecond } of backend.fixedSeats) {
    const more = ((seats + 1) / (1 + slope * seats)) * ((1 + slope * (seats - 1)) / seats) - 1
    if (more < seatGainMin) continue
    advice.push({
      ...{ ...base, kind: 'slots', model },
      gain: { seconds: perSecond * serviceS * (1 - 1 / (1 + more)) * hourS, per: 'hour' },
      why: `all ${seats} slots for ${model} on ${name} are in use, and one more stream would bring ${Math.round(100 * more)} % more: raise OLLAMA_NUM_PARALLEL there, and slots here`,
    })
  }
  const share = failed / Math.max(1, failed + answered)
  if (failed >= failedMin && share >= failedShareMin)
    advice.push({
      ...{ ...base, kind: 'drain' },
      gain: { seconds: share * tookS, per: 'request' },
      why: `${Math.round(100 * share)} % of what was sent to ${name} failed there and had to be done elsewhere`,
    })
  else if (worthS < 0)
    advice.push({
      ...{ ...base, kind: 'drain' },
      gain: { seconds: -worthS * hourS, per: 'hour' },
      why: `without ${name} requests would be done sooner elsewhere`,
    })
  return advice
}
