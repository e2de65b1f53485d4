import { parseArgs } from 'node:util'
import { UsageError, whole } from '../plan.ts'

export interface FaultsPlan {
  readonly isShort: boolean
  readonly streams: number
  /** So many of the seats of all backends are taken when nothing is wrong. */
  readonly loadShare: number
  readonly tokens: number
  readonly paceMs: number
  /** The beginnings of the streams are spread over this. */
  readonly spreadMs: number
  readonly betweenDeathsMs: number
  /** How often the fronts look at their backends. */
  readonly checkMs: number
  /** Behind the fault a row takes no longer; what is open then hangs. */
  readonly rowMsMax: number
  /** Words of classes; undefined: those of this form. */
  readonly only: readonly string[] | undefined
  /** Undefined: all. */
  readonly fronts: readonly string[] | undefined
}

export const faultsUsage =
  '[--streams N] [--short] [--only none,kill,three,…] [--peers ours,nginx,haproxy]'

export function readFaultsPlan(args: readonly string[]): FaultsPlan {
  const { values } = parseOrComplain(args)
  const short = values.short ?? false
  const streams = whole('streams', values.streams, short ? 60 : 500, 4, 2_000)
  return {
    isShort: short,
    streams,
    loadShare: 0.6,
    tokens: short ? 16 : 24,
    paceMs: short ? 100 : 200,
    spreadMs: short ? 300 : 1_000,
    betweenDeathsMs: short ? 250 : 800,
    checkMs: short ? 500 : 1_000,
    rowMsMax: short ? 10_000 : 25_000,
    only: values.only?.split(','),
    fronts: values.peers?.split(','),
  }
}

function parseOrComplain(args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    return parseArgs({
      args: [...args],
      options: { streams: text, short: { type: 'boolean' }, only: text, peers: text },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : `${error}`)
  }
}
