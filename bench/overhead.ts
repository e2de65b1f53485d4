/**
 * What a request pays for passing through us, beside what it pays for nginx, HAProxy and the usual Node library.
 * Every sample has fresh processes; the rounds are interleaved; medians are shown. How to read it: README.md.
 */
import { type Goal, verdict } from './goals.ts'
import { shuffler } from './lib/dice.ts'
import { describeMachine } from './lib/machine.ts'
import { type Actor, inRounds, type Row } from './lib/rounds.ts'
import { autocannon, smallTool } from './lib/small-load.ts'
import { median } from './lib/stats.ts'
import { figure } from './lib/table.ts'
import { kbPerStream, memoryTable, sampleMemory } from './measures/idle-memory.ts'
import {
  chunkCostOfNginx,
  firstTokenAddedUs,
  firstTokenTable,
  pacedTable,
  samplePaced,
} from './measures/paced-streams.ts'
import { readyMs, readyTable, sampleReady } from './measures/ready-time.ts'
import { perCoreOfNginx, sampleSmall, smallTable } from './measures/small-requests.ts'
import { agent } from './peers/agent.ts'
import { direct } from './peers/direct.ts'
import { haproxy } from './peers/haproxy.ts'
import { httpProxy } from './peers/http-proxy.ts'
import { nginx } from './peers/nginx.ts'
import { ours } from './peers/ours.ts'
import type { Peer } from './peers/peer.ts'
import { type Plan, planUsage, readPlan, UsageError } from './plan.ts'

export const usage = planUsage

/** With more than this the figures say as much about the other work as about the peers. */
const quietPercent = 10

const peers: readonly Peer[] = [direct, nginx, haproxy, httpProxy, ours, agent]

export async function overhead(args: readonly string[]): Promise<void> {
  const plan = readPlan(args)
  const actors = cast(plan)
  const shuffle = shuffler(plan.seed)
  say(`seed ${plan.seed}; small requests by ${smallTool.name}`, ...describeMachine())
  say('', ...credits(actors), '')

  const measure = <Sample>(
    title: string,
    count: number,
    sample: (peer: Peer) => Promise<Sample>,
    show: (rows: readonly Row<Sample>[]) => string,
    whom = actors,
  ) =>
    inRounds(title, whom, count, shuffle, sample).then((rows) => {
      say(show(rows), ...notes(rows), '')
      return rows
    })

  const small = await measure(
    'small requests',
    plan.rounds,
    (peer) => sampleSmall(peer, plan, smallTool.run),
    smallTable,
  )
  if (plan.crossCheck && smallTool.run !== autocannon) {
    say(
      'The same by autocannon, which is the bottleneck itself; its CPU column is the cross-check.',
    )
    await measure('autocannon', 1, (peer) => sampleSmall(peer, plan, autocannon), smallTable)
  }
  const paced = await measure('paced streams', plan.rounds, samplePaced, pacedTable)
  say(firstTokenTable(paced), '')
  const memory = await measure('idle memory', plan.memoryRounds, sampleMemory, memoryTable)
  const started = actors.filter(({ peer }) => peer !== direct)
  const ready = await measure('ready time', plan.starts, sampleReady, readyTable, started)

  const othersPercent = median(
    [...small, ...paced].flatMap(({ samples }) => samples.map((each) => each.othersPercent)),
  )
  if (othersPercent > quietPercent)
    say(`NOT QUIET: ${figure(othersPercent)} % of the core under test went to other work.`, '')
  say(...goals(small, paced, memory, ready).map(verdict))
}

function cast(plan: Plan): Actor[] {
  const strangers = plan.only?.filter((name) => !peers.some((peer) => peer.name === name)) ?? []
  if (strangers.length > 0)
    throw new UsageError(
      `no peer "${strangers[0]}"; there are: ${peers.map((peer) => peer.name).join(', ')}`,
    )
  return peers
    .filter((peer) => plan.only?.includes(peer.name) ?? true)
    .map((peer) => {
      const found = peer.look()
      return 'missing' in found
        ? { peer, version: '', out: found.missing }
        : { peer, version: found.version, out: undefined }
    })
}

function goals(
  small: Parameters<typeof perCoreOfNginx>[0],
  paced: Parameters<typeof chunkCostOfNginx>[0],
  memory: Parameters<typeof kbPerStream>[0],
  ready: Parameters<typeof readyMs>[0],
): Goal[] {
  const { name } = ours
  return [
    {
      promise: 'small requests per core',
      ...{ better: 'higher', bound: 0.25, unit: 'x nginx', digits: 2 },
      found: perCoreOfNginx(small, name),
    },
    {
      promise: 'CPU per paced chunk',
      ...{ better: 'lower', bound: 2, unit: 'x nginx', digits: 2 },
      found: chunkCostOfNginx(paced, name),
    },
    {
      promise: 'first token added, p50',
      ...{ better: 'lower', bound: 250, unit: 'µs', digits: 0 },
      found: firstTokenAddedUs(paced, name),
    },
    {
      promise: 'memory per idle stream at 2,000',
      ...{ better: 'lower', bound: 80, unit: 'KB', digits: 1 },
      found: kbPerStream(memory, name),
    },
    {
      promise: 'from spawn to ready',
      ...{ better: 'lower', bound: 400, unit: 'ms', digits: 0 },
      found: readyMs(ready, name),
    },
  ]
}

/** Why a row has fewer rounds than the others, or none. */
function notes(rows: readonly Row<unknown>[]): string[] {
  return rows.flatMap(({ actor, fault }) => {
    const why = fault ?? actor.out
    return why === undefined ? [] : [`${actor.peer.name}: ${why}`]
  })
}

function credits(actors: readonly Actor[]): string[] {
  return actors.map(({ peer, version, out }) =>
    out === undefined
      ? `${[peer.name, version].join(' ').trim()}: ${peer.note}`
      : `${peer.name}: left out, ${out}`,
  )
}

function say(...lines: string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`)
}
