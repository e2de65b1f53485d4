import { seededDice } from '../../../src/core/dice.ts'
import { soloMs } from '../engine/solo.ts'
import type { Request } from '../engine/specs.ts'
import type { World } from '../engine/world.ts'
import { poissonGaps } from '../traffic/arrivals.ts'
import { conversation, longJobs } from '../traffic/lengths.ts'
import { plainTrace } from '../traffic/trace.ts'
import { capacityOf, fastest, mixedFleet, oneModel, type Scenario, sampleOf, sum } from './stage.ts'

const deadlineMs = 3_000
/** Of the fleet: what people ask for, and what each of four teams sends as batch work. The fifth sends ten times that. */
const interactiveShare = 0.2
const teamShare = 0.25
const teams = ['t1', 't2', 't3', 't4']
const greedyTimes = 10

export const b5: Scenario = {
  word: 'B5',
  title:
    'people with 3 s to the first token before batch work of five tenants that fills the fleet, one of them tenfold',
  variants: [{ word: 'full', load: 1, kind: '', isDecisive: true }],
  policies: ['least', 'maxconn', 'maxconn-class', 'olla', 'litellm-busy'],
  ablations: ['ours-nogiveway', 'ours-told', 'ours-across', 'ours-fifo', 'ours-busy'],
  inShort: ['maxconn', 'ours'],
  columns: [
    { title: 'in time %', figure: 'inTime', digits: 1, percent: true, better: 'higher' },
    { title: 'batch /s', figure: 'batchDone', digits: 3 },
    { title: 'Jain', figure: 'jain', digits: 3 },
    { title: 'people p50 s', figure: 'people50', digits: 2 },
    { title: 'people p99', figure: 'people99', digits: 1 },
    { title: 'mean s', figure: 'mean', digits: 1 },
    { title: 'refused %', figure: 'errors', digits: 1, percent: true },
    { title: 'decide p99 µs', figure: 'decide99Us', digits: 0 },
  ],
  stage: ({ seed, requests }) => {
    const chats = sum(capacityOf(mixedFleet, oneModel, sampleOf(conversation)))
    const perSecond = capacityOf(mixedFleet, oneModel, sampleOf(longJobs))
    const jobs = sum(perSecond)
    const parts = [
      { tenant: 'people', band: 'interactive', perSecond: interactiveShare * chats } as const,
      ...teams.map((tenant) => {
        return { tenant, band: 'batch', perSecond: teamShare * jobs } as const
      }),
      { tenant: 'greedy', band: 'batch', perSecond: greedyTimes * teamShare * jobs } as const,
    ]
    const all = sum(parts.map((part) => part.perSecond))
    const trace = parts.flatMap(({ tenant, band, perSecond: rate }, index) => {
      const isBatch = band === 'batch'
      const plain = plainTrace(
        Math.round((requests * rate) / all),
        rate,
        poissonGaps(seededDice(seed * 10 + index)),
        () => (isBatch ? longJobs : conversation),
        seededDice(seed * 10 + index + 5_000),
      )
      return plain.map((request) => ({
        ...request,
        ...{ tenant, band, deadlineMs: isBatch ? 0 : deadlineMs },
        // Numbers that stand for texts must not meet those of another part.
        chain: [-1 - request.id * parts.length - index],
      }))
    })
    trace.sort((one, other) => one.atMs - other.atMs)
    return {
      ...{ machines: mixedFleet, models: oneModel, perSecond, foreign: [], incidents: [] },
      trace: trace.map((request, id) => ({ ...request, id, session: `${id}` })),
      preloaded: mixedFleet.map(() => [0]),
      more: (world) => figuresOf(world),
    }
  },
}

/** Everything within the time in which requests came, its first tenth left out: what comes after is no contest. */
function figuresOf(world: World): Record<string, number> {
  const untilMs = world.outcomes.at(-1)!.request.atMs
  const fromMs = 0.1 * untilMs
  const people: number[] = []
  let inTime = 0
  let asked = 0
  let batchDone = 0
  const work = new Map<string, number>()
  for (const { request, firstMs, endMs, isGood } of world.outcomes) {
    if (request.band === 'interactive') {
      if (request.atMs < fromMs) continue
      asked++
      if (!isGood) continue
      people.push((firstMs - request.atMs) / 1_000)
      if (firstMs - request.atMs <= deadlineMs) inTime++
      continue
    }
    if (!isGood || endMs < fromMs || endMs > untilMs) continue
    const seconds = referenceSeconds(request, world)
    batchDone += seconds
    work.set(request.tenant, (work.get(request.tenant) ?? 0) + seconds)
  }
  people.sort((one, other) => one - other)
  return {
    inTime: inTime / asked,
    batchDone: batchDone / ((untilMs - fromMs) / 1_000),
    jain: jainOf([...teams, 'greedy'].map((tenant) => work.get(tenant) ?? 0)),
    people50: people[Math.floor(0.5 * people.length)] ?? Number.NaN,
    people99: people[Math.floor(0.99 * people.length)] ?? Number.NaN,
  }
}

/** Work in seconds of the fastest machine, so that nobody has more for being served by a slow one. */
function referenceSeconds(request: Request, world: World): number {
  return soloMs(mixedFleet[fastest]!, world.models[request.model]!, request) / 1_000
}

/** 1: all have the same; 1 / n: one has it all. */
export function jainOf(shares: readonly number[]): number {
  const squares = sum(shares.map((share) => share * share))
  return squares === 0 ? 0 : sum(shares) ** 2 / (shares.length * squares)
}
