import { type Stint, type StintReport, startDriver, warmStreams } from '../lib/driver.ts'
import { meter } from '../lib/meter.ts'
import type { Row } from '../lib/rounds.ts'
import { setScene } from '../lib/scene.ts'
import { median, type Summary, spreadPercent } from '../lib/stats.ts'
import { figure, table } from '../lib/table.ts'
import type { Peer } from '../peers/peer.ts'

export interface PacedSample {
  readonly paced: StintReport
  readonly cpuPerMillion: number
  /** The same of the first chunks of the process. */
  readonly coldPerMillion: number
  readonly othersPercent: number
  /** First tokens of many short streams, … */
  readonly firstUs: Summary
  /** … of the first such streams of the process, … */
  readonly coldFirstUs: Summary
  /** … and of as few as a fleet of some graphics cards begins. */
  readonly calmFirstUs: Summary
}

/**
 * 200 people read along at 50 tokens a second: 10,000 chunks a second together. At a fixed rate and not as fast as it
 * goes: a slow proxy that falls behind finds several chunks in one read and would look cheap.
 */
const load: Stint = {
  ...{ streams: 200, repeats: 1, chunks: 100, gapMs: 20, spreadMs: 1000 },
  ...{ hold: false, limitMs: 15_000 },
}

/**
 * 50 clients with one short stream after another, 2,500 streams a second. Among the 200 paced streams a first token
 * waits behind other people's chunks, and that wait is the upstream's and the driver's more than the proxy's.
 */
const firsts: Stint = {
  ...{ streams: 50, repeats: 50, chunks: 2, gapMs: 10, spreadMs: 20 },
  ...{ hold: false, limitMs: 15_000 },
}

/** The same ten times as slowly: here nobody waits for a core, and what is left is the way through. */
const calmFirsts: Stint = { ...firsts, repeats: 10, spreadMs: 200 }

export async function samplePaced(peer: Peer): Promise<PacedSample> {
  await using scene = await setScene(peer)
  await using driver = await startDriver(scene.port)
  const metered = async () => {
    const stop = meter(scene.pid, scene.onProxyCpu)
    const paced = await driver.run(load)
    const { cpuSeconds, othersPercent } = stop()
    return { paced, othersPercent, cpuPerMillion: (cpuSeconds / paced.chunks) * 1_000_000 }
  }
  const { cpuPerMillion: coldPerMillion } = await metered()
  await warmStreams(driver, load.streams)
  const warm = await metered()
  const { firstUs: coldFirstUs } = await driver.run(firsts)
  const { firstUs } = await driver.run(firsts)
  const { firstUs: calmFirstUs } = await driver.run(calmFirsts)
  return { ...warm, coldPerMillion, firstUs, coldFirstUs, calmFirstUs }
}

export function chunkCostOfNginx(rows: readonly Row<PacedSample>[], name: string): number {
  return of(rows, name, cpu) / of(rows, 'nginx', cpu)
}

/** What a client waits longer for its first token than without a proxy. */
export function firstTokenAddedUs(rows: readonly Row<PacedSample>[], name: string): number {
  return of(rows, name, firstP50) - of(rows, 'direct', firstP50)
}

export function pacedTable(rows: readonly Row<PacedSample>[]): string {
  return table(
    [
      'paced streams',
      'rounds',
      'CPU-s / 1M chunks',
      'x nginx',
      'cold',
      'chunk p50 µs',
      'p99 µs',
      'first p50 µs',
      'p99 µs',
      'spread %',
      'others %',
    ],
    rows.map(({ actor, samples }) => {
      const { name } = actor.peer
      return [
        name,
        figure(samples.length),
        figure(of(rows, name, cpu), 1),
        figure(chunkCostOfNginx(rows, name), 2),
        figure(of(rows, name, cold), 1),
        figure(of(rows, name, (each) => each.paced.chunkUs.p50)),
        figure(of(rows, name, (each) => each.paced.chunkUs.p99)),
        figure(of(rows, name, (each) => each.paced.firstUs.p50)),
        figure(of(rows, name, (each) => each.paced.firstUs.p99)),
        figure(spreadPercent(samples.map(cpu))),
        figure(of(rows, name, (each) => each.othersPercent)),
      ]
    }),
  )
}

export function firstTokenTable(rows: readonly Row<PacedSample>[]): string {
  const rates = [
    ['2500', (each: PacedSample) => each.firstUs],
    ['2500 cold', (each: PacedSample) => each.coldFirstUs],
    ['250', (each: PacedSample) => each.calmFirstUs],
  ] as const
  return table(
    [
      ...['first token', 'streams/s', 'p50 µs', 'p99 µs', 'added p50 µs', 'x nginx'],
      ...['added p99 µs', 'spread %'],
    ],
    rates.flatMap(([perSecond, firstOf]) =>
      rows.map(({ actor, samples }) => {
        const { name } = actor.peer
        const p50 = (each: PacedSample) => firstOf(each).p50
        const p99 = (each: PacedSample) => firstOf(each).p99
        const added = (peer: string) => of(rows, peer, p50) - of(rows, 'direct', p50)
        return [
          name,
          perSecond,
          figure(of(rows, name, p50)),
          figure(of(rows, name, p99)),
          figure(added(name)),
          figure(added(name) / added('nginx'), 2),
          figure(of(rows, name, p99) - of(rows, 'direct', p99)),
          figure(spreadPercent(samples.map(p50))),
        ]
      }),
    ),
  )
}

const cpu = (sample: PacedSample) => sample.cpuPerMillion
const cold = (sample: PacedSample) => sample.coldPerMillion
const firstP50 = (sample: PacedSample) => sample.firstUs.p50

function of(
  rows: readonly Row<PacedSample>[],
  name: string,
  value: (sample: PacedSample) => number,
): number {
  const row = rows.find(({ actor }) => actor.peer.name === name)
  return median((row?.samples ?? []).map(value))
}
