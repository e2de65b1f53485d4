import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault } from '../../backends/simulator/faults.ts'
import type { TraceEntry } from '../../backends/simulator/trace.ts'
import type { Backend, Death } from './backend.ts'
import { CpuLog } from './cpu-log.ts'
import type { RunningFront } from './fronts/front.ts'

/** What a fault has to work with. Backends in the order of their names; the first is the one that suffers. */
export interface Scene {
  readonly backends: readonly Backend[]
  readonly front: RunningFront
  readonly deaths: (Death & { readonly cpu: CpuLog })[]
  /** What a frozen one was asked before. */
  readonly stuck: TraceEntry[]
  /** Long enough for every stream to be somewhere else, and to have said something there. */
  readonly betweenDeathsMs: number
}

/** A way to go wrong: one row of the table for each front. */
export interface FaultClass {
  readonly name: string
  /** One of the words that `--only` takes. */
  readonly word: string
  /** Who plays it in the short form. */
  readonly inShort: 'all' | 'ours' | 'nobody'
  /** What the first backend does from the beginning of the row on. */
  readonly faults?: readonly Fault[]
  /** Before the first request. */
  before?(scene: Scene): Promise<void>
  /** When every stream has said so much. */
  act?(scene: Scene): Promise<void>
  /** What the others do is known: they play no part in it. */
  readonly isOurs?: boolean
  /** Only for those that can take a backend out of rotation. */
  readonly needsDrain?: boolean
  /** So much of each answer must be there before: where a stream's own rhythm counts. */
  readonly readsBefore?: number
  readonly tokens?: number
  /** How much longer than others such a row may take. */
  readonly silenceMs?: number
}

const inTheMiddle = 10

async function kill(
  { backends, front, deaths, betweenDeathsMs }: Scene,
  ...indexes: readonly number[]
): Promise<void> {
  for (const [turn, index] of indexes.entries()) {
    if (turn > 0) await sleep(betweenDeathsMs)
    const cpu = new CpuLog(front.pid)
    deaths.push({ ...(await backends[index]!.kill()), cpu })
  }
}

export const classes: readonly FaultClass[] = [
  { name: 'no fault', word: 'none', inShort: 'nobody' },
  {
    name: 'kill -9 one of four, first time',
    word: 'first',
    inShort: 'nobody',
    isOurs: true,
    act: (scene) => kill(scene, 0),
  },
  {
    name: 'reset in mid-stream',
    word: 'reset',
    inShort: 'nobody',
    faults: [{ kind: 'reset-after-chunks', chunks: inTheMiddle }],
  },
  {
    name: 'end without the last line',
    word: 'end',
    inShort: 'all',
    faults: [{ kind: 'end-after-chunks', chunks: inTheMiddle }],
  },
  {
    name: 'model runner crashes',
    word: 'crash',
    inShort: 'nobody',
    faults: [{ kind: 'crash-after-chunks', chunks: inTheMiddle, count: 1 }],
  },
  {
    name: 'connections refused',
    word: 'refused',
    inShort: 'nobody',
    before: async ({ backends }) => void (await backends[0]!.kill()),
  },
  { name: 'busy (503)', word: 'busy', inShort: 'nobody', faults: [{ kind: 'busy' }] },
  {
    name: 'kill -9 one of four',
    word: 'kill',
    inShort: 'all',
    act: (scene) => kill(scene, 0),
  },
  {
    name: 'kill -9 three of four in turn',
    word: 'three',
    inShort: 'ours',
    act: (scene) => kill(scene, 0, 1, 2),
  },
  {
    name: 'frozen (SIGSTOP)',
    word: 'frozen',
    inShort: 'nobody',
    // They wait as long as they are told to, and to a model that thinks nobody would give less than minutes.
    isOurs: true,
    // A stream's rhythm is known after 20 tokens.
    ...{ readsBefore: 24, tokens: 34, silenceMs: 50_000 },
    act: async ({ backends, stuck }) => void stuck.push(...(await backends[0]!.freeze())),
  },
  {
    name: 'drained by the operator',
    word: 'drained',
    inShort: 'nobody',
    needsDrain: true,
    act: async ({ front, backends }) => await front.drain?.(backends[0]!.spec.name),
  },
  {
    name: 'removed by a reload',
    word: 'removed',
    inShort: 'nobody',
    act: ({ front, backends }) => front.remove(backends[0]!.spec.name),
  },
  // The last: who has taken over knows nothing yet, and is not warm.
  {
    name: 'proxy replaced',
    word: 'replaced',
    inShort: 'nobody',
    act: ({ front }) => front.replace(),
  },
]
