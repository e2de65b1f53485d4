import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Child, start } from '../lib/child.ts'
import { removeDir, tempDir } from '../lib/temp-dir.ts'
import { Caller } from './caller.ts'
import type { Machine } from './machine.ts'

/** The proxy in front of a fleet: a fresh process that knows nothing of anybody's speed. */
export interface RunningProxy extends AsyncDisposable {
  readonly pid: number
  readonly caller: Caller
}

interface FleetStatus {
  readonly backends: readonly { readonly state: string; readonly models: readonly string[] }[]
}

const main = fileURLToPath(new URL('../../src/main.mjs', import.meta.url))
const startMs = 15_000
const betweenLooksMs = 20
/** A proxy in use is older than two seconds: what it loads late is there (src/README.md, libraries loaded late). */
const settlingMs = 2_200

export async function startProxy(machines: readonly Machine[]): Promise<RunningProxy> {
  await using stack = new AsyncDisposableStack()
  const dir = stack.adopt(tempDir(), removeDir)
  const backends = machines.flatMap(({ spec, port: at }) => [
    '--backend',
    `http://127.0.0.1:${at},name=${spec.name}`,
  ])
  const child = stack.use(
    await start({
      program: process.execPath,
      // Nothing is said of slots: that each has one is for the proxy to find out.
      args: [main, 'up', '--listen', '127.0.0.1:0', ...backends],
      env: { CHASQUI_LOG_LEVEL: 'silent', CHASQUI_DATA: dir },
    }),
  )
  const ready = await child.line('ready ', startMs)
  const port = Number(ready.slice(ready.lastIndexOf(':') + 1))
  // On connections of its own: nobody who wants answers asks for the status of the fleet.
  using watcher = new Caller(port)
  await allSeen(watcher, machines.length, child)
  await sleep(settlingMs)
  const caller = stack.use(new Caller(port))
  const kept = stack.move()
  return { pid: child.pid, caller, [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose]() }
}

/** Every backend has been looked at: before that a run would be cut for the few that are known. */
async function allSeen(caller: Caller, count: number, child: Child): Promise<void> {
  const until = performance.now() + startMs
  while (performance.now() < until) {
    const { backends } = await caller.ask<FleetStatus>('/queue-status')
    const seen = backends.filter(({ state, models }) => state === 'ready' && models.length > 0)
    if (seen.length === count) return
    await sleep(betweenLooksMs)
  }
  throw new Error(`not all backends were seen: ${child.lastWords()}`)
}
