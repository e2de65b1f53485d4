import { setTimeout as sleep } from 'node:timers/promises'
import { type Child, type Command, start } from '../../lib/child.ts'
import { proxyCpu } from '../../lib/machine.ts'
import { listens, type Place, type RunningFront } from './front.ts'

export interface Reloading {
  readonly port: number
  readonly place: Place
  readonly command: Command
  readonly write: (backends: Place['backends']) => void
  /** At this it reads its configuration again; nothing tells when the new worker runs. */
  readonly signal: NodeJS.Signals
  readonly reloadedMs: number
  readonly drain: RunningFront['drain']
}

/** A front of the usual kind: a file says what it does, and a signal makes a new worker that has read it again. */
export function reloadingFront(of: Reloading): RunningFront {
  const { port, place, command, write, signal, reloadedMs, drain } = of
  let child: Child | undefined
  const reload = async () => {
    process.kill(child!.pid, signal)
    await sleep(reloadedMs)
  }
  return {
    port,
    asked: undefined,
    get pid() {
      return child!.pid
    },
    // A fresh one: it remembers failures, and the workers of an old configuration live on.
    async ready() {
      await child?.[Symbol.asyncDispose]()
      write(place.backends)
      child = await start(command, proxyCpu)
      await listens(port, child)
    },
    drain,
    async remove(backend) {
      write(place.backends.filter(({ name }) => name !== backend))
      await reload()
    },
    replace: reload,
    async [Symbol.asyncDispose]() {
      await child?.[Symbol.asyncDispose]()
    },
  }
}
