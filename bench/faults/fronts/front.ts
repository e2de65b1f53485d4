import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Child } from '../../lib/child.ts'

export interface Place {
  /** An empty folder of its own, removed afterwards. */
  readonly dir: string
  readonly backends: readonly { readonly name: string; readonly port: number }[]
  /** Requests at once that each backend can serve. */
  readonly seats: number
  /** How often each is looked at, by those who do. */
  readonly checkMs: number
}

/** Something that stands between the clients and the four backends. */
export interface Front {
  readonly name: string
  /** What a reader must know of its settings. */
  readonly note: string
  look(): { readonly version: string } | { readonly missing: string }
  start(place: Place): Promise<RunningFront>
}

export type Asked = ReadonlyMap<string, readonly number[]>

export interface RunningFront extends AsyncDisposable {
  readonly port: number
  /** Whose CPU is counted, with all that came from it. */
  readonly pid: number
  /**
   * The dates on which it asked somebody to go on with an answer, by the client's id; all whose answer has ended.
   * Undefined: it never does.
   */
  readonly asked: (() => Promise<Asked>) | undefined
  /** As at the beginning of a row: every backend is there for it, none drained or removed. */
  ready(): Promise<void>
  /** The operator takes a backend out of rotation; undefined: not without a reload. */
  readonly drain: ((backend: string) => Promise<void>) | undefined
  /** A reload takes a backend out of the configuration. */
  remove(backend: string): Promise<void>
  /** Another process takes over; comes back when it serves. */
  replace(): Promise<void>
}

const listensMs = 10_000
const betweenLooksMs = 20

/** Waits until somebody listens. */
export async function listens(port: number, child: Child): Promise<void> {
  const untilMs = performance.now() + listensMs
  while (!(await takes(port))) {
    if (!child.alive) throw new Error(`it ended: ${child.lastWords()}`)
    if (performance.now() > untilMs) throw new Error(`nobody listens: ${child.lastWords()}`)
    await sleep(betweenLooksMs)
  }
}

function takes(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const finish = (is: boolean) => {
      socket.destroy()
      resolve(is)
    }
    socket.once('connect', () => finish(true)).once('error', () => finish(false))
  })
}
