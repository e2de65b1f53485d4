import type { TraceEntry } from '../../backends/simulator/trace.ts'
import { summary } from '../lib/stats.ts'
import { type Backend, type Death, idOf } from './backend.ts'
import type { FaultClass, Scene } from './classes.ts'
import type { Driver } from './driver.ts'
import type { RunningFront } from './fronts/front.ts'
import { type Fate, fates, judge } from './judge.ts'
import { type GoneOn, goneOnBehind } from './pause.ts'
import type { FaultsPlan } from './plan.ts'
import type { Asking } from './questions.ts'

export interface RowResult {
  readonly sent: number
  readonly fates: Readonly<Record<Fate, number>>
  readonly wrongChars: number
  /** The words of the first answer that was not whole, and what is wrong with it. */
  readonly example: string | undefined
  /** Requests that the backends saw, and legs of answers that broke off there in the middle. */
  readonly seen: number
  readonly brokenLegs: number
  /** Streams that three backends broke off. */
  readonly thriceBroken: number
  /** The longest gap of each stream, beyond the pace. */
  readonly gapMs: { readonly p50: number; readonly p99: number }
  /** One for each death. */
  readonly goneOn: readonly GoneOn[]
}

export interface Stage {
  readonly backends: readonly Backend[]
  readonly driver: Driver
  readonly plan: FaultsPlan
  /** The texts of the run without faults, by the number of the stream. */
  readonly wanted: ReadonlyMap<FaultClass, readonly string[]>
}

/** Who begins while the fault is there, as a share of those who are open. */
export const laterShare = 0.1
const laterSpreadMs = 800
/** Streams that have said so much have a head, and something to lose. */
const readsBefore = 5

/** Undefined: this front has no such thing. */
export async function playRow(
  fault: FaultClass,
  front: RunningFront,
  stage: Stage,
): Promise<RowResult | undefined> {
  const { backends, driver, plan } = stage
  const wanted = stage.wanted.get(fault)!
  if (fault.needsDrain && !front.drain) return undefined
  await Promise.all(backends.map((each) => each.prepare()))
  await front.ready()
  const { betweenDeathsMs } = plan
  const scene: Scene = { backends, front, deaths: [], stuck: [], betweenDeathsMs }
  await backends[0]!.arm(...(fault.faults ?? []))
  await fault.before?.(scene)

  const asking = askingOf(fault, plan)
  const shared = { port: front.port, asking }
  const first = { ...shared, from: 0, count: plan.streams, spreadMs: plan.spreadMs }
  await driver.open(first, fault.readsBefore ?? readsBefore)
  const count = Math.ceil(plan.streams * laterShare)
  const later = { ...shared, from: plan.streams, count, spreadMs: laterSpreadMs }
  const actsMs = performance.now()
  await Promise.all([fault.act?.(scene), driver.open(later, 0)])
  const limitMs = (fault.silenceMs ?? 0) + plan.rowMsMax
  const got = await driver.finish(Math.max(1_000, limitMs - (performance.now() - actsMs)))

  const asked = (await front.asked?.()) ?? new Map<string, readonly number[]>()
  const seen = await allEntries(scene, `${asking.row}.`)
  // Of one that thaws later the trace says that its clients left.
  const broken = [...seen.filter((entry) => isBroken(entry, scene.deaths)), ...openIn(scene.stuck)]
  const verdicts = got.map((each, index) => judge(each, wanted[index]!))
  const worst = verdicts.findIndex(({ fate, wrongChars }) => fate !== 'identical' || wrongChars > 0)
  return {
    sent: got.length,
    fates: countOf(verdicts.map(({ fate }) => fate)),
    wrongChars: verdicts.reduce((sum, { wrongChars }) => sum + wrongChars, 0),
    example: worst < 0 ? undefined : exampleOf(got[worst]!, verdicts[worst]!.fate, wanted[worst]!),
    seen: seen.length,
    brokenLegs: broken.length,
    thriceBroken: [...Map.groupBy(broken, idOf).values()].filter(({ length }) => length > 2).length,
    gapMs: summary(
      Float64Array.from(
        got
          .filter(({ status }) => status === 200)
          .map(({ longestGapMs }) => Math.max(0, longestGapMs - plan.paceMs)),
      ),
    ),
    goneOn: scene.deaths.map((death) => goneOnBehind(death, death.cpu, seen, asked)),
  }
}

export function askingOf(fault: FaultClass, plan: FaultsPlan): Asking {
  return { row: fault.word, topic: fault.name, tokens: fault.tokens ?? plan.tokens }
}

/** Those of this row, the dead ones' too; without the ids of the bench it would be a question of the proxy's own. */
async function allEntries({ backends, deaths }: Scene, row: string): Promise<TraceEntry[]> {
  for (const each of backends) each.thaw()
  const alive = await Promise.all(backends.map((each) => each.entries()))
  return [...alive, ...deaths.map(({ entries }) => entries)]
    .flat()
    .filter((entry) => idOf(entry).startsWith(row))
}

function openIn(entries: readonly TraceEntry[]): TraceEntry[] {
  return entries.filter(({ firstToken, end }) => firstToken !== undefined && end === undefined)
}

/** Its answer had begun, and did not come to its end through the backend's own fault. */
function isBroken(entry: TraceEntry, deaths: readonly Death[]): boolean {
  if (entry.firstToken === undefined) return false
  if (entry.end === undefined) return deaths.some(({ entries }) => entries.includes(entry))
  return entry.cancelReason !== undefined && !/client/.test(entry.cancelReason)
}

function countOf(all: readonly Fate[]): Record<Fate, number> {
  const counts = Object.fromEntries(fates.map((fate) => [fate, 0])) as Record<Fate, number>
  for (const fate of all) counts[fate]++
  return counts
}

function exampleOf(
  got: { status: number; text: string; errors: readonly string[] },
  fate: Fate,
  wanted: string,
): string {
  const { status, text, errors } = got
  return `${fate}, status ${status}, ${text.length} of ${wanted.length} characters${errors.length > 0 ? `: ${errors[0]}` : ''}`
}
