import { parseArgs } from 'node:util'

/** How long and how often. */
export interface Plan {
  readonly rounds: number
  readonly memoryRounds: number
  readonly starts: number
  readonly seconds: number
  readonly warmSeconds: number
  readonly crossCheck: boolean
  readonly seed: number
  /** Undefined: all. */
  readonly only: readonly string[] | undefined
}

export const planUsage = '[--rounds N] [--seconds S] [--short] [--seed N] [--peers direct,nginx,…]'

export class UsageError extends Error {}

export function readPlan(args: readonly string[]): Plan {
  const { values } = parseOrComplain(args)
  const short = values.short ?? false
  const rounds = whole('rounds', values.rounds, short ? 1 : 5, 1, 50)
  return {
    rounds,
    memoryRounds: Math.min(rounds, 2),
    starts: 5,
    seconds: whole('seconds', values.seconds, short ? 2 : 4, 1, 60),
    // A proxy in JavaScript has compiled what is hot after some ten thousand requests; the short form does not wait.
    warmSeconds: short ? 2 : 10,
    crossCheck: !short,
    seed: whole('seed', values.seed, Date.now() % 100_000, 0, 2 ** 32 - 1),
    only: values.peers?.split(','),
  }
}

function parseOrComplain(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        short: { type: 'boolean' },
        seed: { type: 'string' },
        peers: { type: 'string' },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : `${error}`)
  }
}

/** An option's number, or what it is otherwise; throws what a person can read. */
export function whole(
  name: string,
  text: string | undefined,
  otherwise: number,
  min: number,
  max: number,
): number {
  if (text === undefined) return otherwise
  const value = Number(text)
  if (!Number.isInteger(value) || value < min || value > max)
    throw new UsageError(`--${name} takes a whole number from ${min} to ${max}, not "${text}"`)
  return value
}
