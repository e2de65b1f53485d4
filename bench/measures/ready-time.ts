import { start } from '../lib/child.ts'
import { firstAnswer } from '../lib/first-answer.ts'
import type { Row } from '../lib/rounds.ts'
import { freePort, PeerDown, startUpstream } from '../lib/scene.ts'
import { median } from '../lib/stats.ts'
import { figure, table } from '../lib/table.ts'
import { removeDir, tempDir } from '../lib/temp-dir.ts'
import type { Peer } from '../peers/peer.ts'

export interface ReadySample {
  /** Until it printed its `ready` line; not a number for a peer that prints none. */
  readonly lineMs: number
  readonly answerMs: number
}

const startMs = 10_000

/** Not pinned: people do not pin what they start, and Node reads its sources on more than one thread. */
export async function sampleReady(peer: Peer): Promise<ReadySample> {
  await using stack = new AsyncDisposableStack()
  const dir = stack.adopt(tempDir(), removeDir)
  const upstream = stack.use(await startUpstream())
  const port = await freePort()
  const command = peer.command({ port, upstreamPort: upstream.port, dir })
  if (!command) throw new Error('there is nothing to start')

  const startedAt = performance.now()
  const sinceMs = () => performance.now() - startedAt
  const child = stack.use(await start(command))
  let lineMs = Number.NaN
  const line = child.line('ready ', startMs).then(
    () => {
      lineMs = sinceMs()
    },
    () => {},
  )
  try {
    await firstAnswer(port, startMs, child)
  } catch (error) {
    throw new PeerDown(`did not start: ${error instanceof Error ? error.message : error}`)
  }
  const answerMs = sinceMs()
  // A peer may print its line just after it began to answer; most never print one, so nobody waits for long.
  await Promise.race([line, new Promise((resolve) => setTimeout(resolve, 200))])
  return { lineMs, answerMs }
}

export function readyMs(rows: readonly Row<ReadySample>[], name: string): number {
  const row = rows.find(({ actor }) => actor.peer.name === name)
  return median((row?.samples ?? []).map((each) => each.lineMs))
}

export function readyTable(rows: readonly Row<ReadySample>[]): string {
  return table(
    ['from spawn', 'starts', 'to the ready line, ms', 'to the first answer, ms'],
    rows.map(({ actor, samples }) => [
      actor.peer.name,
      figure(samples.length),
      figure(readyMs(rows, actor.peer.name)),
      figure(median(samples.map((each) => each.answerMs))),
    ]),
  )
}
