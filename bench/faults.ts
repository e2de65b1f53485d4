/**
 * What clients get when things go wrong: 500 open streams over four simulated servers as processes, one fault after
 * another, through us, nginx and HAProxy. How to read it: faults/README.md.
 */
import { loadavg } from 'node:os'
import { Backend } from './faults/backend.ts'
import { classes, type FaultClass } from './faults/classes.ts'
import { startDriver } from './faults/driver.ts'
import type { Front } from './faults/fronts/front.ts'
import { haproxy } from './faults/fronts/haproxy.ts'
import { nginx } from './faults/fronts/nginx.ts'
import { ours } from './faults/fronts/ours.ts'
import { type FaultsPlan, faultsUsage, readFaultsPlan } from './faults/plan.ts'
import { askingOf, laterShare, playRow, type RowResult, type Stage } from './faults/row.ts'
import { faultsTable, ownPause, seenOfLeast, type TableRow } from './faults/tables.ts'
import { startFlawless, wantedTexts } from './faults/wanted.ts'
import { type Goal, verdict } from './goals.ts'
import { describeMachine, leaveProxyCpu } from './lib/machine.ts'
import { freePort } from './lib/scene.ts'
import { figure } from './lib/table.ts'
import { removeDir, tempDir } from './lib/temp-dir.ts'
import { UsageError } from './plan.ts'

export const usage = faultsUsage

const fronts: readonly Front[] = [ours, nginx, haproxy]
const names = ['a', 'b', 'c', 'd']

export async function faults(args: readonly string[]): Promise<void> {
  const plan = readFaultsPlan(args)
  const wantedClasses = chosen(classes, plan.only, ({ word }) => word, 'fault').filter(
    ({ inShort }) => plan.only !== undefined || inShort !== 'nobody' || !plan.isShort,
  )
  const wantedFronts = chosen(fronts, plan.fronts, ({ name }) => name, 'peer')
  const seats = Math.ceil(plan.streams / plan.loadShare / names.length)
  leaveProxyCpu()
  say(
    ...describeMachine(),
    `${plan.streams} streams over ${names.length} backends with ${seats} seats each, a token every ${plan.paceMs} ms; ` +
      loadNow(),
  )

  await using stack = new AsyncDisposableStack()
  const backends: Backend[] = []
  for (const name of names) {
    const spec = { name, port: await freePort(), seats, paceMs: plan.paceMs }
    backends.push(stack.use(new Backend(spec)))
  }
  const driver = stack.use(await startDriver())
  const stage = { backends, driver, plan, wanted: await allWanted(plan, wantedClasses) }

  const rows: TableRow[] = []
  for (const front of wantedFronts) {
    const found = front.look()
    if ('missing' in found) {
      say(`${front.name}: left out, ${found.missing}`)
      continue
    }
    say(`${front.name} ${found.version}: ${front.note}`)
    const played = wantedClasses.filter((fault) => front === ours || isForAll(fault, plan))
    rows.push(...(await playFront(front, played, stage, seats)))
  }
  const inOrder = wantedClasses.flatMap((fault) => rows.filter((row) => row.fault === fault))
  say('', faultsTable(inOrder), loadNow(), '', ...examples(inOrder), '')
  say(...goalsOf(rows.filter(({ front }) => front === ours.name)).map(verdict))
}

function isForAll({ isOurs, inShort }: FaultClass, plan: FaultsPlan): boolean {
  if (isOurs) return false
  return plan.only !== undefined || !plan.isShort || inShort === 'all'
}

async function playFront(
  front: Front,
  faults: readonly FaultClass[],
  stage: Stage,
  seats: number,
): Promise<TableRow[]> {
  using stack = new DisposableStack()
  const dir = stack.adopt(tempDir(), removeDir)
  await Promise.all(stage.backends.map((each) => each.prepare()))
  const backends = stage.backends.map(({ spec: { name, port } }) => ({ name, port }))
  await using running = await front.start({ dir, backends, seats, checkMs: stage.plan.checkMs })
  const rows: TableRow[] = []
  for (const fault of faults) {
    process.stderr.write(`${front.name}: ${fault.name}\n`)
    rows.push({ fault, front: front.name, result: await playRow(fault, running, stage) })
  }
  return rows
}

async function allWanted(
  plan: FaultsPlan,
  faults: readonly FaultClass[],
): Promise<Stage['wanted']> {
  await using server = await startFlawless()
  const count = plan.streams + Math.ceil(plan.streams * laterShare)
  const texts = new Map<FaultClass, readonly string[]>()
  for (const fault of faults)
    texts.set(fault, await wantedTexts(server, count, askingOf(fault, plan)))
  return texts
}

function goalsOf(rows: readonly TableRow[]): Goal[] {
  const played = rows.flatMap(({ result }) => (result ? [result] : []))
  const of = (word: string) => rows.find(({ fault }) => fault.word === word)?.result
  const most = (figureOf: (result: RowResult) => number) => Math.max(...played.map(figureOf))
  const share = (result: RowResult | undefined) =>
    result ? (100 * result.fates.identical) / result.sent : Number.NaN
  const killed = of('kill')
  const none = { better: 'lower', bound: 0, digits: 0 } as const
  const all = { better: 'higher', bound: 100, digits: 1, unit: '%' } as const
  return [
    {
      ...{ promise: 'silent truncations in any row', ...none, unit: 'answers' },
      found: most(({ fates }) => fates.silent),
    },
    {
      ...{ promise: 'doubled or lost in any row', ...none, unit: 'characters' },
      found: most(({ wrongChars }) => wrongChars),
    },
    { promise: 'whole and identical, one of four killed', ...all, found: share(killed) },
    { promise: 'whole and identical, three of four killed', ...all, found: share(of('three')) },
    {
      promise: 'our own pause behind a kill -9, p99',
      ...{ better: 'lower', bound: 50, unit: 'ms', digits: 0 },
      found: killed ? ownPause(killed).p99 : Number.NaN,
    },
    {
      promise: 'requests at backends, against the least, any row',
      ...{ better: 'lower', bound: 1.2, unit: 'x', digits: 2 },
      found: most(seenOfLeast),
    },
  ]
}

/** What the first answer of a row that was not whole had to say, and how hard a row was. */
function examples(rows: readonly TableRow[]): string[] {
  return rows.flatMap(({ fault, front, result }) => {
    const { thriceBroken = 0, example } = result ?? {}
    return [
      ...(thriceBroken > 0
        ? [`${fault.name}, ${front}: ${figure(thriceBroken)} streams lost three backends`]
        : []),
      ...(example ? [`${fault.name}, ${front}: ${example}`] : []),
    ]
  })
}

function chosen<Thing>(
  all: readonly Thing[],
  wanted: readonly string[] | undefined,
  wordOf: (thing: Thing) => string,
  kind: string,
): readonly Thing[] {
  const words = all.map(wordOf)
  const stranger = wanted?.find((word) => !words.includes(word))
  if (stranger !== undefined)
    throw new UsageError(`no ${kind} "${stranger}"; there are: ${words.join(', ')}`)
  return all.filter((thing) => wanted?.includes(wordOf(thing)) ?? true)
}

/** Others may work on this machine: what the figures are worth depends on it. */
function loadNow(): string {
  return `load average ${loadavg()
    .map((each) => figure(each, 1))
    .join(' ')}`
}

function say(...lines: string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`)
}
