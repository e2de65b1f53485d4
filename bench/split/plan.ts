import { parseArgs } from 'node:util'
import { UsageError, whole } from '../plan.ts'
import type { EmbedPlan } from './embed.ts'

export const splitMeasures = ['parts', 'embed', 'cpu'] as const
export type SplitMeasure = (typeof splitMeasures)[number]

/** How long and how often. */
export interface SplitPlan {
  /** Does it work, not how good is it: parts are so short that the way there and back is a part of them. */
  readonly isShort: boolean
  readonly rounds: number
  /** Rounds of dealing round robin, which takes several times as long. */
  readonly dealtRounds: number
  /** Of the lengths of parts; 1: the fastest of the unequal machines takes 100 ms. */
  readonly scale: number
  readonly calibrations: number
  readonly embed: EmbedPlan
  readonly cpuParts: number
  readonly cpuRuns: number
  readonly seed: number
  readonly only: readonly SplitMeasure[]
  /** Part of a scene's title; undefined: all. */
  readonly scene: string | undefined
}

export const splitUsage =
  '[--rounds N] [--short] [--seed N] [--only parts,embed,cpu] [--scene part of a title] [--text-ms N]'

export function readSplitPlan(args: readonly string[]): SplitPlan {
  const { values } = parseOrComplain(args)
  const short = values.short ?? false
  const rounds = whole('rounds', values.rounds, short ? 1 : 3, 1, 50)
  return {
    isShort: short,
    rounds,
    dealtRounds: Math.min(rounds, 2),
    scale: short ? 0.25 : 1,
    calibrations: short ? 2 : 3,
    embed: {
      sizes: short ? [1, 64] : [1, 16, 64, 256, 1_024, 4_096],
      rounds,
      manyRoundsItemsMax: 256,
      evenItemsMax: 1_024,
      itemMs: whole('text-ms', values['text-ms'], short ? 1.5 : 10, 1, 1_000),
      singlesBefore: short ? 80 : 1_000,
    },
    cpuParts: short ? 1_000 : 4_000,
    cpuRuns: short ? 3 : 7,
    seed: whole('seed', values.seed, Date.now() % 100_000, 0, 2 ** 32 - 1),
    only: measuresIn(values.only),
    scene: values.scene,
  }
}

function measuresIn(text: string | undefined): readonly SplitMeasure[] {
  if (text === undefined) return splitMeasures
  return text.split(',').map((name) => {
    const measure = splitMeasures.find((each) => each === name)
    if (!measure)
      throw new UsageError(`no measure "${name}"; there are: ${splitMeasures.join(', ')}`)
    return measure
  })
}

function parseOrComplain(args: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    return parseArgs({
      args: [...args],
      options: {
        ...{ rounds: text, short: { type: 'boolean' }, seed: text, only: text, scene: text },
        'text-ms': text,
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : `${error}`)
  }
}
