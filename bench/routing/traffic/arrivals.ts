import type { Dice } from '../../../src/core/dice.ts'

/** Gives the time from each request to the next one, with a mean of one. */
export type Gaps = () => number

export function poissonGaps(dice: Dice): Gaps {
  return () => exponential(dice)
}

/** Gamma distributed, as BurstGPT's are in its bursty hours: shape 0.25 is a coefficient of variation of 2. */
export function gammaGaps(dice: Dice, shape: number): Gaps {
  return () => gamma(dice, shape) / shape
}

/**
 * Bursts with silence between them, as in Azure's code trace: on average 152 requests at 9 a second, then 43 s of
 * nothing, at a mean of 2.57 a second; the coefficient of variation is 13.
 */
export function codeGaps(dice: Dice): Gaps {
  const requestsMean = 152
  const silenceSeconds = 43
  const gapSeconds = 0.112
  const meanSeconds = gapSeconds + silenceSeconds / requestsMean
  let pace = 1
  return () => {
    const isLastOfBurst = dice.roll() < 1 / requestsMean
    // Bursts differ in pace, and inside one requests come by the handful: the busiest ten seconds have 12 times the mean.
    const inside = (pace * gapSeconds * gamma(dice, 0.5)) / 0.5
    if (isLastOfBurst) pace = gamma(dice, 0.8) / 0.8
    return (inside + (isLastOfBurst ? silenceSeconds * exponential(dice) : 0)) / meanSeconds
  }
}

function exponential(dice: Dice): number {
  return -Math.log(1 - dice.roll())
}

/** Marsaglia and Tsang's method (ACM TOMS 26, 2000), with their boost for shapes below one. */
function gamma(dice: Dice, shape: number): number {
  if (shape < 1) return gamma(dice, shape + 1) * (1 - dice.roll()) ** (1 / shape)
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = normal(dice)
    const v = (1 + c * x) ** 3
    if (v > 0 && Math.log(1 - dice.roll()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v
  }
}

function normal(dice: Dice): number {
  return Math.sqrt(-2 * Math.log(1 - dice.roll())) * Math.cos(2 * Math.PI * dice.roll())
}
