import { loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { cpuSeconds } from '../../lib/proc.ts'
import { freePort } from '../../lib/scene.ts'
import { removeDir, tempDir } from '../../lib/temp-dir.ts'
import { quantile } from '../measure.ts'
import type { Stage } from '../scenarios/stage.ts'
import type { Act } from './acts.ts'
import { Clients, type Seen } from './clients.ts'
import { Fates } from './fates.ts'
import type { Front } from './fronts.ts'
import { RealMachine } from './machines.ts'
import { type Happened, idOf } from './outcomes.ts'
import type { Strain } from './strain.ts'

export interface RealRun extends Happened {
  readonly strain: Strain
  /** Of the first answer that was not good. */
  readonly example: string
}

/** One front before six processes, asked by the trace's timetable at so many times its speed. */
export async function playReal(
  stage: Stage,
  front: Front,
  act: Act,
  scale: number,
): Promise<RealRun> {
  await using stack = new AsyncDisposableStack()
  const dir = stack.adopt(tempDir(), removeDir)
  const pace = { scale, datesFromMs: Date.now() }
  const machines: RealMachine[] = []
  for (const spec of stage.machines)
    machines.push(stack.use(new RealMachine(spec, await freePort(), stage.models, pace)))
  await Promise.all(machines.map((machine, index) => machine.begin(stage.preloaded[index]!)))
  const addresses = machines.map(({ spec: { name, slots }, port }) => ({ name, port, slots }))
  const { machines: specs, preloaded } = stage
  const ground = { dir, machines: addresses, specs, pace, preloaded, continues: act.continues }
  const running = stack.use(await front.start(ground))
  const { port, pid } = running

  const loadBefore = loadavg()[0]!
  const cpuOf = () => ({
    front: cpuSeconds(pid),
    machines: machines.reduce((sum, machine) => sum + machine.cpuSeconds, 0),
    clients: ownCpuSeconds(),
  })
  const before = cpuOf()
  const startedMs = performance.now()
  const nowMs = () => scale * (performance.now() - startedMs)
  const clients = stack.use(new Clients(stage.models, nowMs))
  const fates = new Fates(machines, stage.models)
  const seen: Seen[] = []
  const lateMs: number[] = []
  const timetable = [
    ...stage.trace.map((request) => ({
      atMs: request.atMs,
      act: () => {
        const id = idOf(request)
        seen.push(clients.send(port, request, id, front.extrasOf?.(request, id)))
      },
    })),
    ...stage.foreign.map(({ request, machine }) => ({
      atMs: request.atMs,
      act: () => void clients.send(addresses[machine]!.port, request, `f${request.id}`),
    })),
    ...stage.incidents.map((incident) => ({
      atMs: incident.atMs,
      act: () => fates.befall(incident),
    })),
  ].sort((one, other) => one.atMs - other.atMs)
  for (const { atMs, act: happen } of timetable) {
    const waitMs = startedMs + atMs / scale - performance.now()
    // A wait of no time would still be one of a millisecond.
    if (waitMs > 0) await sleep(waitMs)
    lateMs.push(nowMs() - atMs)
    happen()
  }
  const leftMs = stage.trace.at(-1)!.atMs + act.drainMs - nowMs()
  await clients.finish(Math.max(0, leftMs / scale))
  const overMs = nowMs()
  const seconds = (performance.now() - startedMs) / 1_000
  const after = cpuOf()
  await fates.over()
  const happened = seen.map((each) => ({ ...each }))
  const entries = await Promise.all(machines.map((machine) => machine.entries()))
  return {
    ...{ seen: happened, entries, overMs },
    example: happened.find(({ why }) => why !== '')?.why ?? '',
    strain: {
      seconds,
      frontShare: (after.front - before.front) / seconds,
      machinesShare: (after.machines - before.machines) / seconds,
      clientsShare: (after.clients - before.clients) / seconds,
      lateMs: quantile(
        lateMs.sort((one, other) => one - other),
        0.99,
      ),
      aways: running.said('is away\n'),
      loadBefore,
      loadAfter: loadavg()[0]!,
    },
  }
}

/** Its children are counted by themselves. */
function ownCpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}
