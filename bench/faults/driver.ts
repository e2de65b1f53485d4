import { fileURLToPath } from 'node:url'
import { type Child, start } from '../lib/child.ts'
import type { Got } from './judge.ts'
import type { Asking } from './questions.ts'

/** Streams numbered from `from` on, their beginnings spread evenly over a time. */
export interface Wave {
  readonly port: number
  readonly asking: Asking
  readonly from: number
  readonly count: number
  readonly spreadMs: number
}

export type Order =
  | (Wave & {
      readonly do: 'open'
      /** Answered when every stream has been read so often or has ended; 0: at once. */
      readonly untilReads: number
      readonly limitMs: number
    })
  | { readonly do: 'finish'; readonly limitMs: number }

/** The clients, in a process that does nothing else. */
export interface Driver extends AsyncDisposable {
  /** Gives the number of streams that are open when all have begun. */
  open(wave: Wave, untilReads: number): Promise<number>
  /** What became of every stream since the last time, in the order of their numbers. */
  finish(limitMs: number): Promise<Got[]>
}

/** A first token may wait for others on a busy machine. */
const beginMsMax = 15_000
const graceMs = 10_000
const file = fileURLToPath(new URL('./driver-process.ts', import.meta.url))

export async function startDriver(): Promise<Driver> {
  const child: Child = await start({ program: process.execPath, args: [file] }, undefined, true)
  const tell = <Answer>(order: Order) => child.ask<Answer>(order, order.limitMs + graceMs)
  return {
    async open(wave, untilReads) {
      const order = { ...wave, do: 'open' as const, untilReads, limitMs: beginMsMax }
      const { open } = await tell<{ open: number }>(order)
      return open
    },
    async finish(limitMs) {
      const { got } = await tell<{ got: Got[] }>({ do: 'finish', limitMs })
      return got
    },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  }
}
