import type { Dice } from '../../../src/core/dice.ts'

/** A distribution as its quantiles: shares of all requests, and what so many of them stay below. */
interface Quantiles {
  readonly shares: readonly number[]
  readonly values: readonly number[]
}

/** Prompt and answer tokens of one kind of traffic. */
export interface Lengths {
  readonly prompt: Quantiles
  /** Of requests in the order of their prompts' lengths, cut into as many equal parts: the answers of each part. */
  readonly answers: readonly Quantiles[]
}

const shares = [0, 0.02, 0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999]
const sharesOfPart = [0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 0.999]

/**
 * Azure LLM inference traces of November 2023 (Azure Public Dataset, CC-BY 4.0): the quantiles of 19,366 chats. Answers
 * hang on prompts there, though not in a line (correlation -0.11): requests with prompts of about the same length
 * come from the same use. What of 25 parts a request belongs to explains 73 % of the variance of the answers.
 */
export const conversation: Lengths = {
  prompt: {
    shares: [
      ...[
        0, 0.01, 0.02, 0.03, 0.04, 0.08, 0.12, 0.14, 0.16, 0.18, 0.2, 0.24, 0.28, 0.32, 0.36, 0.38,
      ],
      ...[
        0.4, 0.42, 0.44, 0.48, 0.52, 0.56, 0.6, 0.64, 0.68, 0.72, 0.76, 0.8, 0.82, 0.84, 0.86, 0.88,
      ],
      ...[0.9, 0.91, 0.92, 0.96, 0.99, 0.995, 0.999],
    ],
    values: [
      ...[
        2, 29, 91, 161, 181, 201, 222, 317, 375, 381, 387, 395, 400, 406, 419, 433, 703, 903, 972,
      ],
      ...[
        1_009, 1_031, 1_050, 1_071, 1_092, 1_116, 1_147, 1_215, 1_315, 1_369, 1_690, 2_032, 2_402,
      ],
      ...[2_735, 3_292, 4_073, 4_086, 4_142, 4_831, 6_212],
    ],
  },
  answers: [
    [11, 12, 88, 140, 177, 205, 237, 1_000],
    [47, 88, 115, 162, 194, 217, 296, 1_000],
    [37, 77, 133, 165, 194, 217, 217, 223],
    [7, 14, 18, 62, 82, 107, 140, 436],
    [15, 54, 64, 76, 88, 101, 129, 189],
    [42, 72, 84, 93, 103, 122, 153, 196],
    [36, 83, 89, 98, 112, 133, 162, 200],
    [54, 84, 91, 100, 117, 141, 164, 200],
    [25, 84, 90, 100, 117, 142, 175, 200],
    [31, 77, 86, 95, 109, 132, 200, 739],
    [10, 58, 86, 115, 399, 428, 523, 675],
    [29, 373, 390, 400, 421, 467, 601, 921],
    [30, 375, 394, 405, 426, 468, 608, 935],
    [33, 381, 394, 404, 426, 479, 605, 992],
    [44, 378, 395, 409, 429, 477, 638, 1_000],
    [44, 377, 394, 409, 429, 501, 623, 1_000],
    [28, 377, 393, 407, 429, 501, 636, 1_000],
    [40, 375, 393, 405, 427, 484, 605, 954],
    [29, 92, 388, 403, 426, 507, 610, 992],
    [26, 79, 142, 190, 395, 421, 523, 954],
    [24, 54, 79, 122, 183, 243, 450, 918],
    [15, 49, 64, 86, 108, 132, 186, 458],
    [25, 46, 61, 89, 126, 151, 199, 371],
    [17, 31, 39, 49, 69, 108, 210, 535],
    [17, 37, 45, 61, 86, 124, 174, 757],
  ].map((values) => ({ shares: sharesOfPart, values })),
}

/** As if prompts said nothing of answers: both as long as in that trace, but drawn apart. */
export const conversationApart: Lengths = {
  prompt: conversation.prompt,
  answers: [{ shares, values: [7, 24, 54, 85, 129, 384, 400, 424, 451, 601, 954] }],
}

/** The same, of 8,819 completions of code; here prompts say nothing of answers. */
export const code: Lengths = {
  prompt: {
    shares,
    values: [3, 35, 147, 578, 1_469, 2_433, 3_193, 5_194, 7_315, 7_436, 7_437],
  },
  answers: [{ shares, values: [6, 6, 7, 9, 13, 20, 29, 55, 90, 252, 831] }],
}

/** Long answers to ordinary prompts: reports, translations, whole files. */
export const longJobs: Lengths = {
  prompt: conversation.prompt,
  answers: [{ shares: [0, 0.5, 1], values: [300, 600, 1_200] }],
}

/** The lengths of one request. */
export function lengthsDrawn({ prompt, answers }: Lengths, dice: Dice) {
  const share = dice.roll()
  const part = answers[Math.floor(share * answers.length)]!
  return { promptTokens: lengthAt(prompt, share), outputTokens: lengthAt(part, dice.roll()) }
}

/** One length, evenly between the two quantiles around a share of all. */
function lengthAt({ shares, values }: Quantiles, share: number): number {
  const last = shares.length - 1
  if (share >= shares[last]!) return values[last]!
  let above = 1
  while (shares[above]! <= share) above++
  const [from, to] = [shares[above - 1]!, shares[above]!]
  const [low, high] = [values[above - 1]!, values[above]!]
  return Math.max(1, Math.round(low + ((share - from) / (to - from)) * (high - low)))
}

/** The same with all answers so many times as long. */
export function stretched({ prompt, answers }: Lengths, times: number): Lengths {
  return {
    prompt,
    answers: answers.map(({ shares, values }) => {
      return { shares, values: values.map((value) => value * times) }
    }),
  }
}
