import type { Dice } from '../../../src/core/dice.ts'

/** A distribution as its quantiles: shares of all requests, and what so many of them stay below. */
interface Quantiles {
  readonly shares: readonly number[]
  readonly values: readonly number[]
}

/** Prompt and answer tokens of one kind of traffic. */
export interface Lengths {
  readonly prompt: Quantiles
  readonly answer: Quantiles
}

const shares = [0, 0.02, 0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999]

/** Azure LLM inference traces of November 2023 (Azure Public Dataset, CC-BY 4.0): the quantiles of 19,366 chats. */
export const conversation: Lengths = {
  prompt: {
    shares,
    values: [2, 91, 207, 396, 1_020, 1_130, 1_315, 2_735, 4_083, 4_142, 6_212],
  },
  answer: { shares, values: [7, 24, 54, 85, 129, 384, 400, 424, 451, 601, 954] },
}

/** The same, of 8,819 completions of code. */
export const code: Lengths = {
  prompt: {
    shares,
    values: [3, 35, 147, 578, 1_469, 2_433, 3_193, 5_194, 7_315, 7_436, 7_437],
  },
  answer: { shares, values: [6, 6, 7, 9, 13, 20, 29, 55, 90, 252, 831] },
}

/** Long answers to ordinary prompts: reports, translations, whole files. */
export const longJobs: Lengths = {
  prompt: conversation.prompt,
  answer: { shares: [0, 0.5, 1], values: [300, 600, 1_200] },
}

/** One length, evenly between the two quantiles where the dice fall. */
export function lengthOf({ shares, values }: Quantiles, dice: Dice): number {
  const share = dice.roll()
  const last = shares.length - 1
  if (share >= shares[last]!) return values[last]!
  let above = 1
  while (shares[above]! <= share) above++
  const [from, to] = [shares[above - 1]!, shares[above]!]
  const [low, high] = [values[above - 1]!, values[above]!]
  return Math.max(1, Math.round(low + ((share - from) / (to - from)) * (high - low)))
}

/** The same distribution with all lengths so many times as long. */
export function stretched({ shares, values }: Quantiles, times: number): Quantiles {
  return { shares, values: values.map((value) => value * times) }
}
