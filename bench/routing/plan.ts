import { parseArgs } from 'node:util'
import { UsageError, whole } from '../plan.ts'
import { catalogue } from './policies/catalogue.ts'
import type { RealPlan } from './real/real.ts'
import { scenarios } from './scenarios/scenarios.ts'
import { type Recorded, readRecorded } from './traffic/recorded.ts'

/** What is played, how long and how often. */
export interface RoutingPlan {
  /** Does it work, not how good is it. */
  readonly isShort: boolean
  readonly seeds: readonly number[]
  /** Requests of a run; B7 lasts as long as its phases take. */
  readonly requests: number
  readonly only: readonly string[]
  /** Undefined: those that each scenario names. */
  readonly policies: readonly string[] | undefined
  /** Undefined: those that each scenario names. */
  readonly load: number | undefined
  readonly recorded: readonly Recorded[] | undefined
  readonly threads: number
  /** How long decisions take. */
  readonly decisions: boolean
  /** Layer two: with processes. A short run has a little of it behind the study. */
  readonly real: RealPlan | undefined
  /** Layer two alone. */
  readonly isReal: boolean
}

export const routingUsage =
  '[--short] [--only B1,B3,decide] [--seeds N] [--seed FIRST] [--requests N] [--policies ours,maxconn,…] [--load 0.85] [--trace FILE] | --real [--scale 15] [--only B1,B3] [--requests N] [--seed S] [--short]'

const extras = ['decide']
const seedsFull = 5
const requestsFull = 4_000
const requestsShort = 600
/** Layer two: a scenario takes five to fifteen minutes, the short form two. */
const requestsReal = 2_000
const requestsRealShort = 200
const scaleReal = 15

export function readRoutingPlan(args: readonly string[], cores: number): RoutingPlan {
  const { values } = parseOrComplain(args)
  const isShort = values.short ?? false
  const first = whole('seed', values.seed, 1, 0, 2 ** 31)
  const count = whole('seeds', values.seeds, isShort ? 1 : seedsFull, 1, 100)
  const words = scenarios.map(({ word }) => word)
  const only = listIn('only', values.only, [...words, ...extras])
  return {
    isShort,
    seeds: Array.from({ length: count }, (_, index) => first + index),
    requests: whole('requests', values.requests, isShort ? requestsShort : requestsFull, 50, 1e6),
    only: only?.filter((word) => words.includes(word)) ?? words,
    policies: listIn('policies', values.policies, Object.keys(catalogue)),
    load: loadIn(values.load),
    recorded: values.trace === undefined ? undefined : readRecorded(values.trace),
    threads: Math.min(2, Math.max(1, cores)),
    decisions: only?.includes('decide') ?? true,
    isReal: values.real ?? false,
    real: realIn(values, first, only),
  }
}

function realIn(
  values: ReturnType<typeof parseOrComplain>['values'],
  seed: number,
  only: readonly string[] | undefined,
): RealPlan | undefined {
  const { real: isReal = false, short: isShort = false } = values
  if (!isReal && values.scale !== undefined) throw new UsageError('--scale goes with --real')
  if (!isReal && !isShort) return undefined
  const words = isShort ? ['B1'] : scenarios.map(({ word }) => word)
  const usual = isShort ? requestsRealShort : requestsReal
  return {
    seed,
    only: words.filter((word) => only?.includes(word) ?? true),
    // Behind a short study the number of its requests says nothing of these.
    requests: isReal ? whole('requests', values.requests, usual, 50, 20_000) : usual,
    scale: whole('scale', values.scale, scaleReal, 1, 60),
  }
}

function listIn(
  name: string,
  text: string | undefined,
  known: readonly string[],
): readonly string[] | undefined {
  const words = text?.split(',')
  const stranger = words?.find((word) => !known.includes(word))
  if (stranger !== undefined)
    throw new UsageError(`--${name} has "${stranger}"; there are: ${known.join(', ')}`)
  return words
}

function loadIn(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const load = Number(text)
  if (!(load > 0 && load <= 2)) throw new UsageError(`--load takes a number up to 2, not "${text}"`)
  return load
}

function parseOrComplain(args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...{ short: { type: 'boolean' }, only: text, seeds: text, seed: text, requests: text },
        ...{ policies: text, load: text, trace: text },
        ...{ real: { type: 'boolean' }, scale: text },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : `${error}`)
  }
}
