import { setTimeout as sleep } from 'node:timers/promises'
import { fluidBoundMs, wholePartsBoundMs } from './bound.ts'
import { bestPartMs, partText } from './calibrate.ts'
import { dealOut } from './deal.ts'
import { type Lost, lostIn, type Worked } from './lost.ts'
import { type Machine, partModel, type Served } from './machine.ts'
import { startProxy } from './proxy.ts'
import type { Scene } from './scenes.ts'

/** A fleet with what each machine's part was measured to take. */
export interface Stage {
  readonly scene: Scene
  readonly machines: readonly Machine[]
  readonly partMs: ReadonlyMap<Machine, number>
}

export interface Sample {
  readonly makespanMs: number
  readonly boundMs: number
  readonly ratio: number
  readonly lost: Lost
  readonly hedged: number
  readonly retried: number
}

interface SplitReport {
  readonly parts: number
  readonly hedged: number
  readonly retried: number
  readonly failed: readonly unknown[]
}

export async function sampleOurs(stage: Stage): Promise<Sample> {
  const { scene, machines } = stage
  await using proxy = await startProxy(machines)
  const run = (parts: number) =>
    proxy.caller.ask<{ split: SplitReport }>('/generate', {
      model: partModel,
      input: Array.from({ length: parts }, (_, index) => partText(index)),
      split: { by: 'items', size: 1 },
    })
  if (scene.isWarm) {
    await run(scene.parts * 4)
    for (const machine of machines) await machine.forget()
  }
  let report: SplitReport | undefined
  const sample = await measure(stage, async () => {
    report = (await run(scene.parts)).split
  })
  if (report?.parts !== scene.parts || report.failed.length > 0)
    throw new Error(`not the parts that were asked for: ${JSON.stringify(report)}`)
  return { ...sample, hedged: report.hedged, retried: report.retried }
}

export async function sampleDealt(stage: Stage): Promise<Sample> {
  const { scene, machines } = stage
  const parts = Array.from({ length: scene.parts }, (_, index) => partBody(index))
  const sample = await measure(stage, () => dealOut(machines, parts, '/api/generate'))
  return { ...sample, hedged: 0, retried: 0 }
}

/** What a part of a split run is for a backend. */
export function partBody(index: number) {
  return { model: partModel, prompt: partText(index), stream: false }
}

async function measure(stage: Stage, work: () => Promise<void>) {
  const { machines, partMs, scene } = stage
  const startedMs = Date.now()
  const startedAt = performance.now()
  const over = new AbortController()
  const deaths = machines.map((machine) => dieOf(machine, over.signal))
  let makespanMs: number
  try {
    await work()
    makespanMs = performance.now() - startedAt
  } finally {
    over.abort()
  }
  const died = await Promise.all(deaths)
  const worked: Worked[] = []
  for (const [index, machine] of machines.entries()) {
    const death = died[index]
    const served = death?.served ?? (await machine.served('/api/generate'))
    worked.push({
      partMs: bestPartMs(partMs.get(machine)!, served),
      served,
      diedMs: death?.atMs,
    })
  }
  const capacities = worked.map(({ partMs: ms, diedMs }, index) => ({
    partMs: ms,
    loadMs: machines[index]!.spec.loadMs,
    diesAtMs: diedMs === undefined ? undefined : diedMs - startedMs,
  }))
  const bound = scene.isFluid ? fluidBoundMs : wholePartsBoundMs
  const boundMs = bound(scene.parts, capacities)
  const lost = lostIn(worked, startedMs, startedMs + makespanMs)
  return { makespanMs, boundMs, ratio: makespanMs / boundMs, lost }
}

/** Kills it when its time has come, and says what it had done by then: nobody can ask it afterwards. */
async function dieOf(
  machine: Machine,
  over: AbortSignal,
): Promise<{ atMs: number; served: Served[] } | undefined> {
  const { diesAtMs } = machine.spec
  if (diesAtMs === undefined) return undefined
  try {
    await sleep(diesAtMs, undefined, { signal: over })
  } catch {
    return undefined
  }
  const served = await machine.served('/api/generate')
  machine.kill()
  return { atMs: Date.now(), served }
}
