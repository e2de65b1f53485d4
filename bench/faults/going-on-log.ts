import { setTimeout as sleep } from 'node:timers/promises'
import type { Asked } from './fronts/front.ts'

/** The proxy writes its lines together, four times a second. */
const writtenMs = 600

/** What our own log says of answers that went on elsewhere. */
export class GoingOnLog {
  readonly #asked = new Map<string, number[]>()

  readonly hear = (line: string): void => {
    // Most lines are of answers to which nothing happened.
    if (!line.includes('"continued":')) return
    const { id, continued } = JSON.parse(line) as { id: string; continued: readonly string[] }
    const dates = continued.flatMap((leg) => / at (\S+Z): /.exec(leg)?.[1] ?? [])
    this.#asked.set(id, dates.map(Date.parse))
  }

  readonly asked = async (): Promise<Asked> => {
    await sleep(writtenMs)
    return this.#asked
  }
}
