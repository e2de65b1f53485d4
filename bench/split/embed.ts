import { setTimeout as sleep } from 'node:timers/promises'
import { median } from '../lib/stats.ts'
import { type Capacity, wholePartsBoundMs } from './bound.ts'
import { dealOut } from './deal.ts'
import { Fleet } from './fleet.ts'
import { embedModel, itemTokens, type Machine, type MachineSpec, type Served } from './machine.ts'
import { type RunningProxy, startProxy } from './proxy.ts'

/** One batch through the proxy. */
export interface EmbedSample {
  readonly ms: number
  readonly boundMs: number
  readonly ratio: number
  /** Requests that the backends saw for it: 1 when it went whole. */
  readonly parts: number
  readonly machinesUsed: number
}

export interface EmbedRow {
  readonly items: number
  readonly ours: readonly EmbedSample[]
  /** The whole batch at the fastest machine, and the same number of items for each; straight to the backends. */
  readonly wholeMs: readonly number[]
  readonly evenMs: readonly number[]
}

export interface EmbedPlan {
  readonly sizes: readonly number[]
  readonly rounds: number
  /** The largest size whose even split is measured more than once. */
  readonly manyRoundsItemsMax: number
  /** Beyond this nothing is split evenly: it would take minutes at the slowest. */
  readonly evenItemsMax: number
  /** What a text takes at the fastest. */
  readonly itemMs: number
  /** Machines take turns until they are told apart, and a process is at its pace after a thousand requests or so. */
  readonly singlesBefore: number
}

/** Twelve times between the fastest and the slowest. */
const speeds = { twelve: 12, six: 6, three: 3, one: 1 }
const probingMsMax = 20_000
/** Small batches are over in a moment, and a moment is easily disturbed: they are sent more often. */
const itemsOfRound = 320
const timesARoundMax = 25
/** Of which a machine's own time for one text is the median, as it is shown before the rounds. */
const singlesAlone = 40

export async function measureEmbedding(
  plan: EmbedPlan,
  shuffle: <T>(items: readonly T[]) => T[],
  say: (line: string) => void,
): Promise<EmbedRow[]> {
  await using fleet = await Fleet.start(machinesOf(plan.itemMs))
  const { machines } = fleet
  await using proxy = await startProxy(machines)
  say(`embedding: ${await warmUp(proxy, machines, plan.singlesBefore)}`)
  // Behind that: the machines' own processes are at their pace then as well.
  const alone = await Promise.all(machines.map(measuredAlone))
  const names = machines.map(({ spec }) => spec.name)
  say(
    `embedding, ms for a request + ms for a text: ${alone
      .map(({ loadMs, partMs }, at) => `${names[at]} ${loadMs.toFixed(2)} + ${partMs.toFixed(2)}`)
      .join(', ')}`,
  )
  const itemMs = alone.map(({ partMs }) => partMs)
  const fastest = machines[itemMs.indexOf(Math.min(...itemMs))]!

  const rows: EmbedRow[] = []
  for (const items of plan.sizes) {
    const row = {
      items,
      ...{ ours: [] as EmbedSample[], wholeMs: [] as number[], evenMs: [] as number[] },
    }
    process.stderr.write(`embedding ${items}\n`)
    const times = Math.max(1, Math.min(timesARoundMax, Math.floor(itemsOfRound / items)))
    const rounds = plan.rounds * times
    const batches: Batch[] = []
    const singles = machines.map((): number[] => [])
    for (let round = 0; round < rounds; round++) {
      const isLong = items > plan.manyRoundsItemsMax && round > 0
      const ways = [
        async () => void batches.push(await batchOfOurs(proxy, machines, items)),
        // In turn with ours: what a machine takes for one text depends on what was asked of the cores just before.
        async () => {
          for (const [at, machine] of machines.entries())
            singles[at]!.push(await singleAt(machine, round))
        },
        ...(isLong
          ? []
          : [
              async () => void row.wholeMs.push(await dealt([fastest], items)),
              ...(items > plan.evenItemsMax
                ? []
                : [async () => void row.evenMs.push(await dealt(machines, items))]),
            ]),
      ]
      for (const way of shuffle(ways)) await way()
    }
    const capacities = alone.map((capacity, at) => ({
      ...capacity,
      loadMs: beside(singles[at]!, capacity.partMs),
    }))
    row.ours.push(...batches.map((each) => sampleOf(each, capacities, items)))
    rows.push(row)
  }
  return rows
}

function machinesOf(itemMs: number): MachineSpec[] {
  return Object.entries(speeds).map(([name, speed]) => ({
    name,
    itemMs: (itemMs * speeds.twelve) / speed,
    ...{ partMs: 100, loadMs: 0, diesAtMs: undefined },
  }))
}

/** So many texts show what one takes. */
const shownByMin = 24

/** What a request takes beside its texts, way there and back included (`loadMs`), and what each text takes. */
async function measuredAlone(machine: Machine): Promise<Capacity> {
  const items = Math.min(256, Math.max(shownByMin, Math.ceil(400 / (machine.spec.itemMs ?? 1))))
  const took: number[] = []
  for (let round = 0; round < 3; round++) {
    await machine.forget()
    await machine.caller.ask('/api/embed', batch(0, items, `calibrating ${round}`))
    took.push(itemMsIn(await machine.served('/api/embed')) ?? Number.NaN)
  }
  const single: number[] = []
  for (let round = 0; round < singlesAlone; round++) single.push(await singleAt(machine, round))
  const partMs = median(took)
  return { partMs, loadMs: beside(single, partMs), diesAtMs: undefined }
}

/** One text at a machine itself, as its client sees it. */
async function singleAt(machine: Machine, round: number): Promise<number> {
  await machine.forget()
  const body = batch(round, 1, `single ${performance.now()}`)
  const startedAt = performance.now()
  await machine.caller.post('/api/embed', body)
  return performance.now() - startedAt
}

/** What a request takes beside its text. Medians of both, since the timers behind them are late by chance. */
const beside = (singles: readonly number[], partMs: number) => Math.max(0, median(singles) - partMs)

/** What a text took in these requests, a machine doing one at a time; undefined when they were too few to tell. */
function itemMsIn(served: readonly Served[]): number | undefined {
  let [items, ms, until] = [0, 0, 0]
  for (const { fromMs, toMs, bodyBytes, isGood } of served) {
    if (toMs === undefined || !isGood) continue
    items += Math.round((bodyBytes - bytesAround) / itemBytes)
    ms += Math.max(0, toMs - Math.max(fromMs, until))
    until = Math.max(until, toMs)
  }
  return items < shownByMin ? undefined : ms / items
}

/** A batch goes out whole until the proxy knows who gives the same numbers; it finds out behind the first ones. */
async function warmUp(
  proxy: RunningProxy,
  machines: readonly Machine[],
  singlesBefore: number,
): Promise<string> {
  const until = performance.now() + probingMsMax
  let tries = 0
  while (performance.now() < until) {
    const { machinesUsed } = await batchOfOurs(proxy, machines, 128)
    if (machinesUsed === machines.length) {
      // Once more, so that everybody's speed has been seen in a part of some length.
      await batchOfOurs(proxy, machines, 256)
      // A proxy in use has seen single texts as well.
      for (let each = 0; each < singlesBefore; each++) await batchOfOurs(proxy, machines, 1)
      return `${tries} batches of 128 before one was split over all`
    }
    tries++
    await sleep(100)
    if (machinesUsed < 2 && tries >= 5) break
  }
  return `not split after ${tries} batches`
}

function sampleOf(
  { ms, served, ...used }: Batch,
  alone: readonly Capacity[],
  items: number,
): EmbedSample {
  // As with parts: the faster of what was measured alone and what this batch has shown.
  const capacities = alone.map((capacity, index) => ({
    ...capacity,
    partMs: Math.min(capacity.partMs, itemMsIn(served[index]!) ?? capacity.partMs),
  }))
  const boundMs = wholePartsBoundMs(items, capacities)
  return { ms, boundMs, ratio: ms / boundMs, ...used }
}

/** One batch through the proxy: the makespan as the client sees it, and who did what. */
interface Batch {
  readonly ms: number
  readonly served: readonly (readonly Served[])[]
  readonly parts: number
  readonly machinesUsed: number
}

async function batchOfOurs(
  { caller }: RunningProxy,
  machines: readonly Machine[],
  items: number,
): Promise<Batch> {
  for (const machine of machines) await machine.forget()
  const body = batch(0, items, `ours ${performance.now()}`)
  const startedAt = performance.now()
  const { status, body: answer } = await caller.post('/api/embed', body)
  const ms = performance.now() - startedAt
  const { embeddings } = JSON.parse(answer.toString('utf8')) as { embeddings?: unknown[] }
  if (status !== 200 || embeddings?.length !== items)
    throw new Error(`a batch of ${items}: ${status}, ${embeddings?.length} embeddings`)
  const all = await Promise.all(machines.map((machine) => machine.served('/api/embed')))
  // The proxy measures machines with a few texts of its own; they are no parts.
  const served = all.map((rows) =>
    rows.filter(({ requestId }) => !requestId.startsWith('embed-probe')),
  )
  return {
    ...{ ms, served },
    parts: served.reduce((sum, rows) => sum + rows.length, 0),
    machinesUsed: served.filter((rows) => rows.length > 0).length,
  }
}

/** Every machine gets the same number of items, in one request. */
async function dealt(machines: readonly Machine[], items: number): Promise<number> {
  const salt = `dealt ${performance.now()}`
  const share = Math.ceil(items / machines.length)
  const parts = machines.flatMap((_, index) => {
    const from = index * share
    const count = Math.min(share, items - from)
    return count > 0 ? [batch(from, count, salt)] : []
  })
  const startedAt = performance.now()
  await dealOut(machines, parts, '/api/embed')
  return performance.now() - startedAt
}

const charsPerToken = 4
const itemChars = itemTokens * charsPerToken
/** Of a text in a body: its quotes and a comma are with it. */
const itemBytes = itemChars + 3
/** Of a body without its texts. */
const bytesAround = JSON.stringify({ model: embedModel, input: [] }).length - 1

/** `salt`: another one each time, or a server would answer what it has read before. */
function batch(from: number, count: number, salt: string) {
  const input = Array.from({ length: count }, (_, index) =>
    `${salt} ${from + index}: `.padEnd(itemChars, 'a stone, a bridge, a knot; '),
  )
  return { model: embedModel, input }
}
