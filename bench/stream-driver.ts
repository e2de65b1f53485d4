/**
 * Drives streams over raw sockets and says what it saw. A process of its own: it gets a Stint by IPC, answers with
 * a StintReport, and keeps its connections for the next stint. Run by lib/driver.ts.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Stint, StintReport } from './lib/driver.ts'
import { summary } from './lib/stats.ts'
import { openStreamClient, type StreamClient } from './lib/stream-client.ts'

const port = Number(process.argv[2])
const clients: StreamClient[] = []

process.on('message', (stint: Stint) => {
  run(stint).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      process.stderr.write(`${error}\n`)
      process.exit(1)
    },
  )
})
process.on('disconnect', () => process.exit(0))

async function run(stint: Stint): Promise<StintReport> {
  while (clients.length < stint.streams) {
    // In small groups, or the listen queue of the one under test would be what is measured.
    const group = Math.min(50, stint.streams - clients.length)
    clients.push(
      ...(await Promise.all(Array.from({ length: group }, () => openStreamClient(port)))),
    )
  }
  const latencies = new Float64Array(stint.streams * stint.repeats * stint.chunks)
  let seen = 0
  const note = (us: number) => {
    if (seen < latencies.length) latencies[seen++] = us
  }
  const signal = AbortSignal.timeout(stint.limitMs)
  const startedAt = performance.now()
  const firsts: number[] = []
  const faults: string[] = []
  await Promise.all(
    clients.slice(0, stint.streams).map(async (client, index) => {
      for (let turn = 0; turn < stint.repeats; turn++) {
        // By a timetable and not after one another: clients that once were late together would stay together.
        const dueMs = (turn + index / stint.streams) * stint.spreadMs
        await sleep(Math.max(0, startedAt + dueMs - performance.now()))
        const { firstUs, fault } = await client.stream(stint, note, signal)
        if (firstUs !== undefined) firsts.push(firstUs)
        if (fault === undefined) continue
        faults.push(fault)
        break
      }
    }),
  )
  return {
    streams: stint.streams,
    chunks: seen,
    chunkUs: summary(latencies.subarray(0, seen)),
    firstUs: summary(Float64Array.from(firsts)),
    faults: faults.length,
    fault: faults[0],
  }
}
