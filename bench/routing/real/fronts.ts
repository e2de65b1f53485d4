import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { listens } from '../../faults/fronts/front.ts'
import { type Child, start } from '../../lib/child.ts'
import { findProgram } from '../../lib/machine.ts'
import { freePort } from '../../lib/scene.ts'
import { haproxy as haproxyPeer } from '../../peers/haproxy.ts'
import { nginxConfig, nginx as nginxPeer } from '../../peers/nginx.ts'
import { ours as oursPeer } from '../../peers/ours.ts'
import { Caller } from '../../split/caller.ts'
import type { MachineSpec, Request } from '../engine/specs.ts'
import { type Address, haproxyConfig, nginxBlocks, oursConfig, type Pace } from './configs.ts'

export interface Ground {
  /** An empty folder of its own, removed afterwards. */
  readonly dir: string
  readonly machines: readonly Address[]
  readonly specs: readonly MachineSpec[]
  readonly pace: Pace
  /** Models in memory at the beginning, by machine. */
  readonly preloaded: readonly (readonly number[])[]
  /** Answers that break off go on elsewhere. */
  readonly continues: boolean
}

export interface Extras {
  readonly headers: Readonly<Record<string, string>>
  /** Stands before the other fields. */
  readonly body: Readonly<Record<string, unknown>>
}

/** A real balancer and the study's policy that it should be. */
export interface Front {
  readonly name: string
  readonly policy: string
  /** The pace that it can keep up with, where that is less than everybody's. */
  readonly scaleMax?: number
  /** What its requests have besides, for one that needs it. */
  readonly extrasOf?: (request: Request, id: string) => Extras
  look(): { readonly version: string } | { readonly missing: string }
  start(ground: Ground): Promise<Child & { readonly port: number }>
}

const ownFile = fileURLToPath(new URL('./ours-process.ts', import.meta.url))
const startMs = 15_000
const betweenLooksMs = 50
/** What it loads in its first two seconds has to be there. */
const settlingMs = 2_000

export const ours: Front = {
  name: 'ours',
  policy: 'ours',
  look: () => oursPeer.look(),
  async start(ground) {
    const file = join(ground.dir, 'fleet.yaml')
    writeFileSync(file, oursConfig(ground.continues, ground.machines))
    const child = await start({
      program: process.execPath,
      args: [ownFile, file, `${ground.pace.scale}`, `${ground.pace.datesFromMs}`],
    })
    const line = await child.line('ready ', startMs)
    const port = Number(line.slice(line.lastIndexOf(':') + 1))
    await findsAll(port, child, ground)
    return Object.assign(child, { port })
  },
}

interface Status {
  readonly backends: readonly { readonly state: string; readonly resident: readonly string[] }[]
}

/** Everybody is ready, with the models in memory that are there. */
async function findsAll(port: number, child: Child, { preloaded }: Ground): Promise<void> {
  using caller = new Caller(port)
  const untilMs = performance.now() + startMs
  for (;;) {
    const { backends } = await caller.ask<Status>('/queue-status')
    const found = backends.every(
      ({ state, resident }, index) =>
        state === 'ready' && resident.length === preloaded[index]!.length,
    )
    if (found && backends.length === preloaded.length) break
    if (performance.now() > untilMs) throw new Error(`not ready: ${child.lastWords()}`)
    await sleep(betweenLooksMs)
  }
  await sleep(settlingMs)
}

export const haproxy = haproxyFront('haproxy', 'maxconn', false)
export const haproxyByClass = haproxyFront('haproxy classes', 'maxconn-class', true)

function haproxyFront(name: string, policy: string, byClass: boolean): Front {
  return {
    ...{ name, policy },
    look: () => haproxyPeer.look(),
    async start({ dir, machines, pace: { scale } }) {
      const port = await freePort()
      const file = join(dir, 'haproxy.cfg')
      writeFileSync(file, haproxyConfig({ port, scale, byClass }, machines))
      return listening(
        port,
        await start({ program: program('haproxy'), args: ['-db', '-f', file] }),
      )
    },
  }
}

export const nginx: Front = {
  name: 'nginx',
  policy: 'least',
  look: () => nginxPeer.look(),
  async start({ dir, machines }) {
    const port = await freePort()
    const file = join(dir, 'nginx.conf')
    mkdirSync(join(dir, 'temp'))
    writeFileSync(file, nginxConfig(dir, nginxBlocks(port, machines)))
    const args = ['-p', dir, '-c', file, '-e', 'stderr']
    return listening(port, await start({ program: program('nginx'), args }))
  },
}

function program(name: string): string {
  const found = findProgram(name)
  if (found === undefined) throw new Error(`no ${name} on PATH`)
  return found
}

export async function listening(
  port: number,
  child: Child,
): Promise<Child & { readonly port: number }> {
  await listens(port, child)
  return Object.assign(child, { port })
}
