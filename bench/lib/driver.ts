import { fileURLToPath } from 'node:url'
import { type Child, start } from './child.ts'
import { loadCpu } from './machine.ts'
import type { Summary } from './stats.ts'

/** One piece of work for the stream driver. */
export interface Stint {
  readonly streams: number
  /** How often each client does it. */
  readonly repeats: number
  readonly chunks: number
  readonly gapMs: number
  /** The starts of all clients are spread evenly over this time, and so are their next turns. */
  readonly spreadMs: number
  /** The streams stay open after their last chunk. */
  readonly hold: boolean
  readonly limitMs: number
}

export interface StintReport {
  readonly streams: number
  readonly chunks: number
  /** From the upstream's write to the arrival. */
  readonly chunkUs: Summary
  /** From the request's write to the arrival of the first chunk. */
  readonly firstUs: Summary
  readonly faults: number
  readonly fault: string | undefined
}

export interface Driver extends AsyncDisposable {
  /** Rejects when a stream did not come whole: figures of half a load would mislead. */
  run(stint: Stint): Promise<StintReport>
}

/** Connecting two thousand clients through a slow proxy takes this long at most. */
const connectingMs = 10_000

export async function startDriver(port: number): Promise<Driver> {
  const file = fileURLToPath(new URL('../stream-driver.ts', import.meta.url))
  const child: Child = await start(
    { program: process.execPath, args: [file, `${port}`] },
    loadCpu,
    true,
  )
  return {
    async run(stint) {
      const report = await child.ask<StintReport>(stint, stint.limitMs + connectingMs)
      if (report.faults > 0)
        throw new Error(`${report.faults} of ${report.streams} streams failed: ${report.fault}`)
      return report
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  }
}

/**
 * As many streams as the measured load has, five times over: a hundred thousand chunks. What a chunk costs a process in
 * JavaScript goes on falling until about there, and what counts is what it costs on its second day; where the first
 * chunks are of interest they are measured before this.
 */
export async function warmStreams(driver: Driver, streams: number): Promise<void> {
  const shared = { streams, hold: false, limitMs: 30_000 }
  await driver.run({ ...shared, repeats: 5, chunks: 100, gapMs: 2, spreadMs: 0 })
  await driver.run({ ...shared, repeats: 1, chunks: 25, gapMs: 20, spreadMs: 500 })
}
