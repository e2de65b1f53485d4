import { setTimeout as sleep } from 'node:timers/promises'
import { cpuSeconds } from '../lib/proc.ts'
import { setScene } from '../lib/scene.ts'
import { ours } from '../peers/ours.ts'
import { Caller } from './caller.ts'

export interface PartCpu {
  /** The first run of a fresh process: its code is still being compiled. */
  readonly firstMs: number
  /** Of each later run. */
  readonly laterMs: readonly number[]
  /** As many requests of single clients through the same proxy: what an exchange costs that is no part of anything. */
  readonly singleMs: readonly number[]
}

/** The one that the quick upstream has. */
const model = 'bench'
/** Far fewer than the seats, as many as keep the proxy busy without a pause. */
const atOnce = 64
const settlingMs = 2_500

/**
 * CPU of the proxy for one part, all its threads, everything that it does in the meantime included. The proxy has a
 * core to itself and is never idle, as in `overhead`: a process that sleeps between two parts pays for being woken.
 */
export async function measurePartCpu(parts: number, laterRuns: number): Promise<PartCpu> {
  await using scene = await setScene(ours)
  await sleep(settlingMs)
  await using caller = new Caller(scene.port)
  const input = Array.from({ length: parts }, (_, index) => `Line ${index}: a stone, a bridge.`)
  const cpuOf = async (work: () => Promise<unknown>) => {
    const before = cpuSeconds(scene.pid)
    await work()
    return ((cpuSeconds(scene.pid) - before) * 1_000) / parts
  }
  const inParts = () =>
    caller.ask('/generate', {
      model,
      input,
      split: { by: 'items', size: 1, max_parallel: atOnce },
    })
  const firstMs = await cpuOf(inParts)
  const laterMs: number[] = []
  const singleMs: number[] = []
  for (let run = 0; run < laterRuns; run++) {
    singleMs.push(await cpuOf(() => singleRequests(caller, input)))
    laterMs.push(await cpuOf(inParts))
  }
  return { firstMs, laterMs, singleMs }
}

async function singleRequests(caller: Caller, prompts: readonly string[]): Promise<void> {
  const left = [...prompts]
  const client = async () => {
    for (let prompt = left.pop(); prompt !== undefined; prompt = left.pop())
      await caller.ask('/api/generate', { model, prompt, stream: false })
  }
  await Promise.all(Array.from({ length: atOnce }, client))
}
