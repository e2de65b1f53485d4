import { soloBestMs, soloMs } from './engine/solo.ts'
import type { MachineSpec, ModelSpec } from './engine/specs.ts'
import type { Outcome, World } from './engine/world.ts'

/** What one run of one policy over one trace came to. Times in seconds, shares from 0 to 1. */
export interface Figures {
  readonly mean: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly first50: number
  readonly first95: number
  readonly first99: number
  /** Of requests with at most 60 tokens of answer, end to end. */
  readonly short50: number
  /** End to end over the time alone on the fastest machine. */
  readonly slowdown99: number
  /** First token within 2 s + 1 ms a prompt token, and no token more than 1.5 times as slow as alone. */
  readonly goodput: number
  readonly errors: number
  /** Not over an hour after the last arrival. */
  readonly unfinished: number
  readonly loadsPer1000: number
  readonly loadShare: number
  /** Of all prompt tokens, those that were in a cache. */
  readonly cachedShare: number
  /** The busiest machine's work over the mean of all, in seconds of its own slots. */
  readonly imbalance: number
  readonly visitsEach: number
  readonly decide50Us: number
  readonly decide99Us: number
  readonly [more: string]: number
}

/** Warming up is not what is measured: the first tenth of the requests is left out. */
const droppedShare = 0.1
const shortTokens = 60

export function measured(
  world: World,
  { machines, models }: { machines: readonly MachineSpec[]; models: readonly ModelSpec[] },
  decisionsNs: readonly number[],
): Figures {
  const kept = world.outcomes.slice(Math.floor(droppedShare * world.outcomes.length))
  const lastMs = world.nowMs
  const all: number[] = []
  const first: number[] = []
  const short: number[] = []
  const slowdown: number[] = []
  let good = 0
  let errors = 0
  let unfinished = 0
  let visits = 0
  let promptTokens = 0
  let cachedTokens = 0
  for (const outcome of kept) {
    const { request, isGood } = outcome
    visits += outcome.visits
    if (Number.isNaN(outcome.endMs)) unfinished++
    else if (!isGood) errors++
    // Who was refused is not quick: it counts among the errors only. Who is not over has waited so long at least.
    if (!isGood && !Number.isNaN(outcome.endMs)) continue
    const endMs = isGood ? outcome.endMs : lastMs
    const seconds = (endMs - request.atMs) / 1_000
    all.push(seconds)
    first.push(((Number.isNaN(outcome.firstMs) ? lastMs : outcome.firstMs) - request.atMs) / 1_000)
    if (request.outputTokens <= shortTokens) short.push(seconds)
    slowdown.push((1_000 * seconds) / soloBestMs(machines, models, request))
    promptTokens += request.promptTokens
    cachedTokens += outcome.cachedTokens
    if (isGood && isGoodput(outcome, machines, models)) good++
  }
  sortAll(all, first, short, slowdown)
  const spanMs = (world.outcomes.at(-1)?.request.atMs ?? 0) || 1
  const loads = world.machines.reduce((sum, machine) => sum + machine.loads, 0)
  const loadMs = world.machines.reduce((sum, machine) => sum + machine.loadMs, 0)
  const decisions = [...decisionsNs].sort((one, other) => one - other)
  return {
    mean: all.reduce((sum, each) => sum + each, 0) / Math.max(1, all.length),
    p50: quantile(all, 0.5),
    p95: quantile(all, 0.95),
    p99: quantile(all, 0.99),
    first50: quantile(first, 0.5),
    first95: quantile(first, 0.95),
    first99: quantile(first, 0.99),
    short50: quantile(short, 0.5),
    slowdown99: quantile(slowdown, 0.99),
    goodput: good / Math.max(1, kept.length),
    errors: errors / Math.max(1, kept.length),
    unfinished: unfinished / Math.max(1, kept.length),
    loadsPer1000: (1_000 * loads) / Math.max(1, world.outcomes.length),
    loadShare: loadMs / spanMs / world.machines.length,
    cachedShare: cachedTokens / Math.max(1, promptTokens),
    imbalance: imbalanceOf(kept, machines, models),
    visitsEach: visits / Math.max(1, kept.length),
    decide50Us: quantile(decisions, 0.5) / 1_000,
    decide99Us: quantile(decisions, 0.99) / 1_000,
  }
}

export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN
}

function sortAll(...lists: number[][]): void {
  for (const list of lists) list.sort((one, other) => one - other)
}

function isGoodput(
  { request, firstMs, endMs, machine }: Outcome,
  machines: readonly MachineSpec[],
  models: readonly ModelSpec[],
): boolean {
  if (firstMs - request.atMs > 2_000 + request.promptTokens) return false
  if (request.outputTokens === 0) return true
  const rate = machines[machine]!.decodePerSecond * models[request.model]!.speed
  return endMs - firstMs <= (1.5 * 1_000 * request.outputTokens) / rate
}

function imbalanceOf(
  kept: readonly Outcome[],
  machines: readonly MachineSpec[],
  models: readonly ModelSpec[],
): number {
  // Solo seconds over slots: how much of the machine's time the work took, whatever ran beside it.
  const work = machines.map(() => 0)
  for (const { request, machine, cachedTokens } of kept)
    if (machine >= 0)
      work[machine]! +=
        soloMs(machines[machine]!, models[request.model]!, request, cachedTokens) /
        machines[machine]!.slots
  const mean = work.reduce((sum, each) => sum + each, 0) / work.length
  return Math.max(...work) / Math.max(1e-9, mean)
}
