import { meter } from '../lib/meter.ts'
import type { Row } from '../lib/rounds.ts'
import { setScene } from '../lib/scene.ts'
import type { SmallTool } from '../lib/small-load.ts'
import { median, spreadPercent } from '../lib/stats.ts'
import { figure, table } from '../lib/table.ts'
import type { Peer } from '../peers/peer.ts'
import type { Plan } from '../plan.ts'

export interface SmallSample {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuPer10k: number
  readonly othersPercent: number
}

const connections = 64

/** 500 B in, 299 B out, as fast as 64 keep-alive connections carry it. */
export async function sampleSmall(peer: Peer, plan: Plan, tool: SmallTool): Promise<SmallSample> {
  await using scene = await setScene(peer)
  const load = { port: scene.port, dir: scene.dir, connections }
  await tool({ ...load, seconds: plan.warmSeconds })
  const stop = meter(scene.pid, scene.onProxyCpu)
  const report = await tool({ ...load, seconds: plan.seconds })
  const { cpuSeconds, othersPercent } = stop()
  if (report.faults > 0) throw new Error(`${report.faults} of ${report.requests} requests failed`)
  return {
    perSecond: report.requests / report.seconds,
    p50Ms: report.p50Ms,
    p99Ms: report.p99Ms,
    cpuPer10k: (cpuSeconds / report.requests) * 10_000,
    othersPercent,
  }
}

/** How many requests a core does, compared with nginx's: what it costs less is what it does more. */
export function perCoreOfNginx(rows: readonly Row<SmallSample>[], name: string): number {
  return cpuOf(rows, 'nginx') / cpuOf(rows, name)
}

export function smallTable(rows: readonly Row<SmallSample>[]): string {
  return table(
    [
      'small requests',
      'rounds',
      'req/s',
      'p50 ms',
      'p99 ms',
      'CPU-s / 10k',
      'per core, x nginx',
      'spread %',
      'others %',
    ],
    rows.map(({ actor, samples }) => [
      actor.peer.name,
      figure(samples.length),
      figure(median(samples.map((each) => each.perSecond))),
      figure(median(samples.map((each) => each.p50Ms)), 2),
      figure(median(samples.map((each) => each.p99Ms)), 2),
      figure(median(samples.map((each) => each.cpuPer10k)), 3),
      figure(perCoreOfNginx(rows, actor.peer.name), 2),
      figure(spreadPercent(samples.map((each) => each.cpuPer10k))),
      figure(median(samples.map((each) => each.othersPercent))),
    ]),
  )
}

function cpuOf(rows: readonly Row<SmallSample>[], name: string): number {
  const row = rows.find(({ actor }) => actor.peer.name === name)
  return median((row?.samples ?? []).map((each) => each.cpuPer10k))
}
