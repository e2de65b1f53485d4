import { randomUUID } from 'node:crypto'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Child, start } from '../../lib/child.ts'
import { proxyCpu } from '../../lib/machine.ts'
import { ours as oursPeer } from '../../peers/ours.ts'
import { Caller, type Reply } from '../../split/caller.ts'
import { GoingOnLog } from '../going-on-log.ts'
import { model, questionOf } from '../questions.ts'
import { openStream } from '../raw-stream.ts'
import type { Front, Place, RunningFront } from './front.ts'

interface FleetStatus {
  readonly in_flight: number
  readonly backends: readonly {
    readonly name: string
    readonly state: string
    readonly resident: readonly string[]
  }[]
}

const main = fileURLToPath(new URL('../../../src/main.mjs', import.meta.url))
const startMs = 15_000
/** A backend that was killed is looked at again within its rest, and must be found well twice. */
const readyMs = 60_000
const replacedMs = 40_000
const betweenLooksMs = 50
/** A proxy in use is older than two seconds: what it loads late is there (src/README.md, libraries loaded late). */
const settlingMs = 2_200
/** How a model goes on is measured where a seat is free, a moment after its first stream. */
const measuredMs = 2_000

const warming = { row: 'warm', topic: 'nothing else', tokens: 8 }

export const ours: Front = {
  name: 'ours',
  note: 'one process through all rows, so it is warm; under its supervisor; its model is measured before; no slow start; least busy first, as the others have it',
  look: () => (existsSync(main) ? oursPeer.look() : { missing: 'src/main.mjs is not there' }),
  start: startOurs,
}

async function startOurs(place: Place): Promise<RunningFront> {
  await using stack = new AsyncDisposableStack()
  const file = join(place.dir, 'fleet.yaml')
  const write = (backends: Place['backends']) => writeFileSync(file, config(place, backends))
  write(place.backends)
  const log = new GoingOnLog()
  const command = {
    program: process.execPath,
    args: [main, 'up', '--supervised', '--config', file],
    env: { CHASQUI_LOG_LEVEL: 'info', CHASQUI_LOG_FORMAT: 'json', CHASQUI_DATA: place.dir },
    hear: log.hear,
  }
  const child = stack.use(await start(command, proxyCpu))
  const line = await child.line('ready ', startMs)
  const port = Number(line.slice(line.lastIndexOf(':') + 1))
  const caller = stack.use(new Caller(port))
  const status = () => caller.ask<FleetStatus>('/queue-status')
  const are = (names: readonly string[]) =>
    until(readyMs, child, async () => {
      const { in_flight, backends } = await status()
      const found = backends.filter(({ state, resident }) => state === 'ready' && resident.length)
      return in_flight === 0 && found.map(({ name }) => name).join() === names.join()
    })
  const all = place.backends.map(({ name }) => name)
  /** Each answers through the proxy: one that rested is on probation, and would get one request at a time. */
  const answer = () =>
    until(readyMs, child, async () => {
      const replies = await Promise.all(all.flatMap(() => [1, 2, 3, 4].map(() => small(caller))))
      const names = replies.map(({ headers }) => headers['x-chasqui-backend'])
      return new Set(names).size === all.length
    })
  await are(all)
  await sleep(settlingMs)
  // A stream of each family.
  await Promise.all([0, 1, 2, 3].map((index) => openStream(port, questionOf(index, warming)).ended))
  await sleep(measuredMs)

  const kept = stack.move()
  const drained = new Set<string>()
  return {
    port,
    pid: child.pid,
    asked: log.asked,
    async ready() {
      write(place.backends)
      process.kill(child.pid, 'SIGHUP')
      for (const name of drained) await caller.post(`/api/workers/${name}/resume`, {})
      drained.clear()
      await are(all)
      await answer()
    },
    async drain(backend) {
      drained.add(backend)
      await caller.post(`/api/workers/${backend}/drain`, {})
    },
    async remove(backend) {
      write(place.backends.filter(({ name }) => name !== backend))
      process.kill(child.pid, 'SIGHUP')
      await until(readyMs, child, async () => {
        const { backends } = await status()
        return backends.every(({ name }) => name !== backend)
      })
    },
    async replace() {
      const before = child.said('has taken over')
      process.kill(child.pid, 'SIGUSR2')
      await until(replacedMs, child, async () => child.said('has taken over') > before)
    },
    [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose](),
  }
}

/** Another question each time, or it would go to whoever has its beginning in memory. */
function small(caller: Caller): Promise<Reply> {
  const options = { temperature: 0, num_predict: 1 }
  const prompt = `${randomUUID()}: are you there?`
  return caller.post('/api/generate', { model, prompt, stream: false, options })
}

async function until(limitMs: number, child: Child, is: () => Promise<boolean>): Promise<void> {
  const untilMs = performance.now() + limitMs
  while (!(await is())) {
    if (performance.now() > untilMs) throw new Error(`not as it should be: ${child.lastWords()}`)
    await sleep(betweenLooksMs)
  }
}

// Who was killed in one row is to have its share in the next, so nobody is let in bit by bit.
const config = ({ seats, checkMs }: Place, backends: Place['backends']) => `version: 1
listen: 127.0.0.1:0
probes: { interval: ${checkMs}ms, timeout: ${checkMs * 0.9}ms }
breaker: { slow_start: off }
routing: { picker: least-busy }
backends:
${backends.map(({ name, port }) => `  - { name: ${name}, url: "http://127.0.0.1:${port}", slots: ${seats} }`).join('\n')}
`
