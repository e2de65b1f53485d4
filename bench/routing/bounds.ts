import { median } from '../lib/stats.ts'
import { figure } from '../lib/table.ts'
import { soloBestMs, soloMs } from './engine/solo.ts'
import { quantile } from './measure.ts'
import type { Stage } from './scenarios/stage.ts'

/** What no schedule can be better than, in seconds. */
interface Bounds {
  /** Each request alone on its fastest machine, its model in memory. */
  readonly aloneMean: number
  readonly alone99: number
  /** Shortest remaining work first, with true lengths, on one server of the whole fleet's capacity. */
  readonly pooledMean: number
}

/** A line for a variant: medians over the seeds. Caches are not thought of, so it holds where nothing is cached. */
export function boundsLine(title: string, stages: readonly Stage[]): string {
  const all = stages.map(boundsOf)
  const of = (name: keyof Bounds) => figure(median(all.map((each) => each[name])), 2)
  return `${title}: alone on the fastest mean ${of('aloneMean')} s, p99 ${of('alone99')} s; one pooled server mean ${of('pooledMean')} s`
}

export function boundsOf({ machines, models, trace, perSecond }: Stage): Bounds {
  const alone = trace
    .map((request) => soloBestMs(machines, models, request) / 1_000)
    .sort((one, other) => one - other)
  // In seconds of the first machine; the pool does as much of them in a second as the fleet does requests of the mean.
  const works = trace.map((request) => soloMs(machines[0]!, models[request.model]!, request))
  const meanMs = works.reduce((sum, work) => sum + work, 0) / Math.max(1, works.length)
  const speed = (perSecond.reduce((sum, rate) => sum + rate, 0) * meanMs) / 1_000
  const atMs = trace.map((request) => request.atMs)
  return {
    aloneMean: alone.reduce((sum, each) => sum + each, 0) / Math.max(1, alone.length),
    alone99: quantile(alone, 0.99),
    pooledMean: pooledMeanMs(atMs, works, speed) / 1_000,
  }
}

/** Mean time in a server that does `speed` milliseconds of work in one, always at the one with the least left. */
export function pooledMeanMs(
  atMs: readonly number[],
  worksMs: readonly number[],
  speed: number,
): number {
  const left: { work: number; cameMs: number }[] = []
  let nowMs = 0
  let totalMs = 0
  const workUntil = (untilMs: number) => {
    while (left.length > 0 && nowMs < untilMs) {
      const job = left.at(-1)!
      const doneMs = nowMs + job.work / speed
      if (doneMs > untilMs) {
        job.work -= (untilMs - nowMs) * speed
        break
      }
      nowMs = doneMs
      totalMs += nowMs - job.cameMs
      left.pop()
    }
    nowMs = Math.max(nowMs, untilMs)
  }
  for (const [index, cameMs] of atMs.entries()) {
    workUntil(cameMs)
    insert(left, { work: worksMs[index]!, cameMs })
  }
  while (left.length > 0) workUntil(nowMs + left.at(-1)!.work / speed)
  return totalMs / Math.max(1, atMs.length)
}

/** The least left stands last. */
function insert<Job extends { readonly work: number }>(left: Job[], job: Job): void {
  let low = 0
  let high = left.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (left[middle]!.work > job.work) low = middle + 1
    else high = middle
  }
  left.splice(low, 0, job)
}
