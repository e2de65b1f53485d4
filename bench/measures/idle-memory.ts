import { setTimeout as sleep } from 'node:timers/promises'
import { startDriver, warmStreams } from '../lib/driver.ts'
import { residentBytes } from '../lib/proc.ts'
import type { Row } from '../lib/rounds.ts'
import { setScene } from '../lib/scene.ts'
import { median, spreadPercent } from '../lib/stats.ts'
import { figure, table } from '../lib/table.ts'
import type { Peer } from '../peers/peer.ts'

export interface MemorySample {
  readonly beforeMb: number
  readonly openMb: number
  readonly kbPerStream: number
}

/** Long thinkers: they got some tokens, and now nothing comes for a while. */
const load = {
  ...{ streams: 2000, repeats: 1, chunks: 20, gapMs: 100, spreadMs: 2000 },
  ...{ hold: true, limitMs: 20_000 },
}
const warmStreamCount = 200
/** Time for what is loaded late to be there, for closed connections to be forgotten, and for a collector's chance. */
const settleMs = 2_500

export async function sampleMemory(peer: Peer): Promise<MemorySample> {
  await using scene = await setScene(peer)
  {
    await using warmer = await startDriver(scene.port)
    await warmStreams(warmer, warmStreamCount)
  }
  await sleep(settleMs)
  const before = residentBytes(scene.pid)
  await using driver = await startDriver(scene.port)
  await driver.run(load)
  await sleep(settleMs)
  const open = residentBytes(scene.pid)
  return {
    beforeMb: before / 1e6,
    openMb: open / 1e6,
    kbPerStream: (open - before) / load.streams / 1e3,
  }
}

export function kbPerStream(rows: readonly Row<MemorySample>[], name: string): number {
  const row = rows.find(({ actor }) => actor.peer.name === name)
  return median((row?.samples ?? []).map((each) => each.kbPerStream))
}

export function memoryTable(rows: readonly Row<MemorySample>[]): string {
  return table(
    ['2,000 idle streams', 'rounds', 'RSS before MB', 'RSS open MB', 'KB / stream', 'spread %'],
    rows.map(({ actor, samples }) => [
      actor.peer.name,
      figure(samples.length),
      figure(median(samples.map((each) => each.beforeMb))),
      figure(median(samples.map((each) => each.openMb))),
      figure(kbPerStream(rows, actor.peer.name), 1),
      figure(spreadPercent(samples.map((each) => each.kbPerStream))),
    ]),
  )
}
