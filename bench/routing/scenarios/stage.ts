import { seededDice } from '../../../src/core/dice.ts'
import { perSecondOf } from '../engine/capacity.ts'
import type { MachineSpec, ModelSpec, Request } from '../engine/specs.ts'
import type { Policy, Setting, World } from '../engine/world.ts'
import { poissonGaps } from '../traffic/arrivals.ts'
import type { Lengths } from '../traffic/lengths.ts'
import type { Recorded } from '../traffic/recorded.ts'
import { plainRequest, plainTrace, Texts } from '../traffic/trace.ts'

/** So many requests tell how many of them a full fleet can do. */
const sampleSize = 600

/** One run's stage: the machines, what comes, and what a full house would be. */
export interface Stage extends Omit<Setting, 'dice'> {
  /** Requests a second that each machine finishes at most, of this traffic. */
  readonly perSecond: readonly number[]
  /** What else this scenario wants to know of a run. */
  more?(world: World, policy: Policy): Record<string, number>
}

export interface Variant {
  readonly word: string
  /** Of what the fleet can do. */
  readonly load: number
  /** Of two words that go with the load where it alone does not say what happens. */
  readonly kind: string
  /** The one in which our own parts are left out one by one. */
  readonly isDecisive?: boolean
  /** Words of ours without a part that shows in this one only. */
  readonly ablations?: readonly string[]
}

export interface Ordered {
  readonly variant: Variant
  readonly seed: number
  readonly requests: number
  /** Of a recorded trace, where one was given. */
  readonly recorded: readonly Recorded[] | undefined
}

export interface Column {
  readonly title: string
  readonly figure: string
  readonly digits: number
  /** Of the decisive one; 'lower' where nothing is said. */
  readonly better?: 'higher'
  /** Shown in percent. */
  readonly percent?: boolean
}

export interface Scenario {
  readonly word: string
  readonly title: string
  readonly variants: readonly Variant[]
  /** Words of the policies that take part. */
  readonly policies: readonly string[]
  /** Ours without one of its parts, where the variant is decisive. */
  readonly ablations: readonly string[]
  /** Those of a short run. */
  readonly inShort: readonly string[]
  /** The decisive one first. */
  readonly columns: readonly Column[]
  stage(ordered: Ordered): Stage
}

/**
 * Decode 120 to 10 tokens a second: a workstation with a large card down to an old laptop. In no order of speed, or who
 * takes the first of equals would know the fastest.
 */
export const mixedFleet: readonly MachineSpec[] = [
  [30, 800, 2],
  [60, 2_000, 4],
  [10, 120, 1],
  [120, 4_000, 4],
  [60, 2_000, 2],
  [15, 300, 1],
].map(([decode, prefill, slots], index) => ({
  ...{ name: `m${index}`, decodePerSecond: decode!, prefillPerSecond: prefill!, slots: slots! },
  ...{ kappa: 0.25, modelsMax: 2, loadFactor: 1 },
}))

/** Index of the fastest. */
export const fastest = 3

export const oneModel: readonly ModelSpec[] = [{ name: 'chat', speed: 1, loadSeconds: 8 }]

/** The same for all seeds, so that a load means the same rate in each. */
export function capacityOf(
  machines: readonly MachineSpec[],
  models: readonly ModelSpec[],
  sample: readonly Request[],
): number[] {
  return machines.map((spec) => perSecondOf(spec, models, sample))
}

/** Requests that look like the traffic, to find out how many of them a full fleet can do. */
export function sampleOf(lengths: Lengths): Request[] {
  return plainTrace(sampleSize, 1, poissonGaps(seededDice(8)), () => lengths, seededDice(9))
}

/** Requests of a recorded trace, from all over it, to the same end. */
export function sampleFrom(recorded: readonly Recorded[]): Request[] {
  const texts = new Texts()
  const every = Math.max(1, Math.floor(recorded.length / sampleSize))
  return recorded
    .filter((_, at) => at % every === 0)
    .slice(0, sampleSize)
    .map((row, id) => plainRequest(texts, { ...row, id, atMs: id * 1_000 }))
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}

/** Loads as words of variants. */
export function loadsOf(loads: readonly number[], decisive: number): Variant[] {
  return loads.map((load) => {
    return { word: `${load}`, load, kind: '', isDecisive: load === decisive }
  })
}
