import type { Fault } from '../../backends/simulator/server.ts'
import type { Dice } from '../../src/core/dice.ts'
import { type Lie, lies } from './lies.ts'

/** Backends of a storm; only the last one stands behind a gate that can lie about bytes. */
export const backendNames = ['a', 'b', 'c', 'd'] as const
export type BackendName = (typeof backendNames)[number]
export const gated: BackendName = 'd'

/** What happens at a moment of the storm, which is a count of requests, not a time: a slow machine has the same one. */
export type StormEvent = { readonly at: number } & (
  | { readonly kind: 'kill' | 'start' | 'freeze' | 'thaw'; readonly backend: BackendName }
  /** Down with all its connections, and up again, without a new process. */
  | { readonly kind: 'restart'; readonly backend: BackendName; readonly downMs: number }
  | { readonly kind: 'crash'; readonly backend: BackendName; readonly model: string }
  | { readonly kind: 'faults'; readonly backend: BackendName; readonly faults: readonly Fault[] }
  | { readonly kind: 'lie'; readonly lie: Lie; readonly count: number }
  /** Keys of the configuration, beside the backends that are named. */
  | {
      readonly kind: 'reload'
      readonly backends: readonly BackendName[]
      readonly slots: number
      readonly more: string
    }
)

export const usualSlots = 8
/** What a reload may bring; the last one is refused, and must change nothing. */
const configs = [
  '',
  'queue: { max: 60 }',
  'queue: { timeout: 2s }',
  'routing: { picker: round-robin }',
  'routing: { picker: weighted }',
  'routing: { load_rescue: false }',
  'retries: { further_attempts: 0 }',
  'retries: { further_attempts: 5, budget_share: 1 }',
  'continuation: false',
  'embed: { split: off }',
  'limits: { body_in_memory_max: 1KiB }',
  'breaker: { failures: 2, rest: 100ms, rest_max: 200ms }',
  'queue: { max: -1 }',
]

/** Each is harmless, or ends an answer in some way that must be mended or told. */
const faultSets: readonly (readonly Fault[])[] = [
  [{ kind: 'reset', rate: 0.2 }],
  [{ kind: 'close-after-read', rate: 0.2 }],
  [{ kind: 'reset-after-chunks', chunks: 1, rate: 0.6 }],
  [{ kind: 'reset-after-chunks', chunks: 3, rate: 0.6 }],
  [{ kind: 'end-after-chunks', chunks: 2, rate: 0.6 }],
  [{ kind: 'error-after-chunks', chunks: 2, rate: 0.2 }],
  [{ kind: 'error-after-chunks', chunks: 0, rate: 0.2, text: 'the engine does not like it' }],
  [{ kind: 'crash-after-chunks', chunks: 3, count: 4 }],
  [{ kind: 'stall-after-chunks', chunks: 2, ms: 400, rate: 0.05 }],
  [{ kind: 'stall-after-chunks', chunks: 1, count: 1 }],
  [{ kind: 'hang', count: 2 }],
  [{ kind: 'trickle', ms: 15, rate: 0.1 }],
  [{ kind: 'split-writes', rate: 0.2 }],
  [{ kind: 'wrong-content-length', rate: 0.3 }],
  [{ kind: 'busy', rate: 0.3 }],
  [{ kind: 'status', status: 500, text: 'out of luck', rate: 0.3 }],
  [{ kind: 'forget-model', count: 3 }],
  [{ kind: 'load-failure', count: 1 }],
  [{ kind: 'refuse', ms: 300 }],
]

/** So many requests lie between two troubles that begin. */
const between = 45

/** In the order of their moments. Nobody is gone for good, and never more than two at a time. */
export function troubles(dice: Dice, from: number, to: number): StormEvent[] {
  const events: StormEvent[] = []
  const pick = <Thing>(things: readonly Thing[]) => things[Math.floor(dice.roll() * things.length)]!
  /** Until when each is in trouble that it can not share with another. */
  const busyUntil = new Map<BackendName, number>()
  // In turn, so that each of them is told in every storm.
  let lied = Math.floor(dice.roll() * lies.length)
  for (let at = from; at < to; at += Math.ceil(between * (0.5 + dice.roll()))) {
    const roll = dice.roll()
    const down = [...busyUntil.values()].filter((until) => until > at).length
    const free = backendNames.filter((name) => (busyUntil.get(name) ?? 0) <= at)
    const backend = pick(free)
    if (roll < 0.14 && down < 2) {
      const until = Math.min(to, at + 40 + Math.floor(dice.roll() * 250))
      // A new process takes a second to come: a few of them show as much as many.
      const [kind, back] = dice.roll() < 0.2 ? (['kill', 'start'] as const) : frozen
      busyUntil.set(backend, until)
      events.push({ at, kind, backend }, { at: until, kind: back, backend })
    } else if (roll < 0.26 && down < 2) {
      events.push({ at, kind: 'restart', backend, downMs: Math.round(dice.roll() * 300) })
    } else if (roll < 0.3) {
      events.push({ at, kind: 'crash', backend, model: dice.roll() < 0.7 ? 'steady' : 'anew' })
    } else if (roll < 0.46) {
      const [lie, count] = [lies[lied++ % lies.length]!, 1 + Math.floor(dice.roll() * 8)]
      // Out of its process nobody hears of it.
      if ((busyUntil.get(gated) ?? 0) <= at) events.push({ at, kind: 'lie', lie, count })
    } else if (roll < 0.6) {
      const without = dice.roll() < 0.5 ? undefined : pick(backendNames)
      const slots = dice.roll() < 0.5 ? usualSlots : 1 + Math.floor(dice.roll() * 12)
      const backends = backendNames.filter((name) => name !== without)
      const until = Math.min(to, at + 60 + Math.floor(dice.roll() * 200))
      events.push({ at, kind: 'reload', backends, slots, more: pick(configs) })
      events.push({ at: until, kind: 'reload', ...usual })
    } else {
      const until = Math.min(to, at + 100 + Math.floor(dice.roll() * 200))
      events.push({ at, kind: 'faults', backend, faults: pick(faultSets) })
      events.push({ at: until, kind: 'faults', backend, faults: [] })
    }
  }
  return events.sort((one, other) => one.at - other.at)
}

const frozen = ['freeze', 'thaw'] as const
export const usual = { backends: backendNames, slots: usualSlots, more: '' } as const
