import { readFileSync } from 'node:fs'
import { family } from '../lib/proc.ts'

const everyMs = 5
/** What comes later than this behind a death was waiting for a seat. */
const forMs = 3_000

/**
 * The CPU that the main threads of a process and its children have had, over time: on a machine with other work a
 * pause says how busy that was, and this says how much of it was ours. Not a number where there is no /proc.
 */
export class CpuLog {
  readonly #pids: readonly number[]
  readonly #startedMs = Date.now()
  readonly #rows: { readonly wallMs: number; readonly cpuMs: number }[] = []
  readonly #timer: NodeJS.Timeout

  constructor(pid: number) {
    this.#pids = family(pid)
    this.#note()
    this.#timer = setInterval(() => this.#note(), everyMs)
  }

  /** Between two moments of the date; to the next reading, so never too little. */
  betweenMs(fromMs: number, toMs: number): number {
    const from = this.#rows.findLast(({ wallMs }) => wallMs <= fromMs)
    const to = this.#rows.find(({ wallMs }) => wallMs >= toMs)
    return from && to ? to.cpuMs - from.cpuMs : Number.NaN
  }

  #note(): void {
    const wallMs = Date.now()
    this.#rows.push({ wallMs, cpuMs: this.#pids.reduce((sum, pid) => sum + mainThreadMs(pid), 0) })
    if (wallMs - this.#startedMs > forMs) clearInterval(this.#timer)
  }
}

function mainThreadMs(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ', 1)[0]) / 1e6
  } catch {
    return Number.NaN
  }
}
