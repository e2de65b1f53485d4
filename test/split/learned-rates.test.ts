import { expect, it } from 'vitest'
import { realClock } from '../../src/core/clock.ts'
import { Costs } from '../../src/routing/costs/costs.ts'
import type { Sample } from '../../src/routing/costs/sample.ts'
import { learnedRates } from '../../src/split/learned-rates.ts'
import { backendOf, poolOf } from '../pool/help.ts'

const model = 'llama3.2:latest'
const clock = realClock()
const pool = poolOf([backendOf('a'), backendOf('b')], { models: [model], clock })

/** An answer of `a`: a millisecond for a token that is read, twenty for one that is written. */
function answered(promptTokens: number, outputTokens: number): Sample {
  const [promptNs, outputNs] = [promptTokens * 1e6, outputTokens * 20e6]
  const totalNs = promptNs + outputNs
  return {
    endpoint: 'a',
    weights: pool.endpoint('a')?.model(model)?.digest ?? model,
    sizeBytes: undefined,
    size: {
      model,
      op: 'generate',
      tenant: '',
      textBytes: promptTokens * 4,
      outTokensMax: undefined,
    },
    endedMs: clock.now(),
    tookMs: totalNs / 1e6,
    firstTokenMs: undefined,
    loadMs: 0,
    streams: 1,
    cachedTokens: 0,
    figures: { totalNs, loadNs: 0, promptTokens, promptNs, outputTokens, outputNs },
    pieces: outputTokens,
    whole: true,
    asTry: false,
  }
}

it('gives what routing has measured at a machine, and nothing where it would only guess', () => {
  const costs = new Costs()
  const rates = learnedRates(pool, costs)
  expect(rates('a', model)).toBeUndefined()
  // Too short a prompt to show how fast it reads: that would be a guess.
  costs.learn(answered(10, 100))
  expect(rates('a', model)).toBeUndefined()
  costs.learn(answered(400, 100))
  const seats = pool.endpoint('a')!.seatsOf(pool.endpoint('a')!.model(model)!).limit
  const { readMs, writeMs } = rates('a', model)!
  expect(readMs).toBeCloseTo(1 + 0.25 * (seats - 1), 1)
  expect(writeMs).toBeCloseTo(20 * (1 + 0.25 * (seats - 1)), 0)
  expect(rates('b', model)).toBeUndefined()
  expect(rates('nobody', model)).toBeUndefined()
  expect(rates('a', 'other:latest')).toBeUndefined()
})
