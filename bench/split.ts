/**
 * How near a large request, spread over many servers, comes to the best schedule that these servers allow: simulated
 * servers as processes, the proxy as another, one client. How to read it: split/README.md.
 */
import { loadavg } from 'node:os'
import { type Goal, verdict } from './goals.ts'
import { shuffler } from './lib/dice.ts'
import { median } from './lib/stats.ts'
import { figure } from './lib/table.ts'
import { measuredPartMs } from './split/calibrate.ts'
import { type EmbedRow, measureEmbedding } from './split/embed.ts'
import { Fleet } from './split/fleet.ts'
import type { Machine } from './split/machine.ts'
import { measurePartCpu, type PartCpu } from './split/part-cpu.ts'
import { readSplitPlan, type SplitPlan, splitUsage } from './split/plan.ts'
import { partBody, type Sample, sampleDealt, sampleOurs } from './split/round.ts'
import { type Scene, scenesOf } from './split/scenes.ts'
import { embedTable, makespanTable, ratioOf, type SceneRow, timesBetter } from './split/tables.ts'

export const usage = splitUsage

type Shuffle = ReturnType<typeof shuffler>

export async function split(args: readonly string[]): Promise<void> {
  const plan = readSplitPlan(args)
  const shuffle = shuffler(plan.seed)
  say(`seed ${plan.seed}; Node ${process.version}; ${loadNow()}`, '')
  const goals: Goal[] = []

  if (plan.only.includes('parts')) {
    const scenes = scenesOf(plan.scale, plan.dealtRounds).filter(({ title, isShort }) =>
      plan.scene === undefined ? isShort || !plan.isShort : title.includes(plan.scene),
    )
    const rows: SceneRow[] = []
    // Scenes on the same machines share their processes and what was measured of them.
    for (const sharing of Map.groupBy(scenes, ({ machines }) => machines).values())
      rows.push(...(await playScenes(sharing, plan, shuffle)))
    say('', makespanTable(rows), loadNow(), '')
    goals.push(...rows.flatMap(goalsOf))
  }
  if (plan.only.includes('embed')) {
    const rows = await measureEmbedding(plan.embed, shuffle, (line) => say(line))
    say('', embedTable(rows), loadNow(), '')
    goals.push(...rows.map(goalOfEmbedding))
  }
  if (plan.only.includes('cpu')) {
    const cpu = await measurePartCpu(plan.cpuParts, plan.cpuRuns)
    say(
      `CPU of the proxy for a part, ${figure(plan.cpuParts)} parts: first run ${figure(cpu.firstMs, 3)} ms, ` +
        `later ${list(cpu.laterMs)} ms; for a single request ${list(cpu.singleMs)} ms`,
      loadNow(),
      '',
    )
    goals.push(goalOfCpu(cpu))
  }
  say(...goals.map(verdict))
}

async function playScenes(
  scenes: readonly Scene[],
  plan: SplitPlan,
  shuffle: Shuffle,
): Promise<SceneRow[]> {
  await using fleet = await Fleet.start(scenes[0]!.machines)
  const partMs = await calibrated(fleet, plan.calibrations)
  const rows: SceneRow[] = []
  for (const scene of scenes) {
    const row = { scene, ours: [] as Sample[], dealt: [] as Sample[] }
    for (let round = 1; round <= plan.rounds; round++) {
      const ways = [{ name: 'split', into: row.ours, sample: sampleOurs }]
      if (round <= scene.dealtRounds)
        ways.push({ name: 'dealt', into: row.dealt, sample: sampleDealt })
      for (const { name, into, sample } of shuffle(ways)) {
        process.stderr.write(`${scene.title} ${round}/${plan.rounds} ${name}\n`)
        await fleet.prepare()
        into.push(await sample({ scene, machines: fleet.machines, partMs }))
      }
    }
    rows.push(row)
  }
  return rows
}

async function calibrated({ machines }: Fleet, samples: number): Promise<Map<Machine, number>> {
  const measured = await Promise.all(
    machines.map((machine) => measuredPartMs(machine, samples, partBody)),
  )
  const partMs = new Map(machines.map((machine, index) => [machine, measured[index]!]))
  say(
    `ms for a part: ${[...partMs].map(([{ spec }, ms]) => `${spec.name} ${figure(ms, 1)}`).join(', ')}`,
  )
  return partMs
}

function goalsOf(row: SceneRow): Goal[] {
  const { title, ratioMax, betterMin } = row.scene
  const goals: Goal[] = [
    {
      promise: `${title}, makespan`,
      ...{ better: 'lower', bound: ratioMax, unit: 'x bound', digits: 3 },
      found: ratioOf(row.ours),
    },
  ]
  if (betterMin !== undefined)
    goals.push({
      promise: `${title}, better than dealt out`,
      ...{ better: 'higher', bound: betterMin, unit: 'times', digits: 2 },
      found: timesBetter(row),
    })
  return goals
}

function goalOfEmbedding(row: EmbedRow): Goal {
  return {
    promise: `embedding ${figure(row.items)}, makespan`,
    ...{ better: 'lower', bound: 1.1, unit: 'x bound', digits: 3 },
    found: ratioOf(row.ours),
  }
}

function goalOfCpu({ laterMs }: PartCpu): Goal {
  return {
    promise: 'CPU of the proxy for a part',
    ...{ better: 'lower', bound: 0.3, unit: 'ms', digits: 3 },
    found: median(laterMs),
  }
}

function list(ms: readonly number[]): string {
  return ms.map((each) => figure(each, 3)).join(', ')
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
