import { describe, expect, it } from 'vitest'
import { Costs } from '../../../src/routing/costs/costs.ts'
import { blankRates } from '../../../src/routing/costs/rates.ts'
import type { Sample } from '../../../src/routing/costs/sample.ts'

interface Told extends Partial<Sample> {
  readonly prompt?: number
  readonly out?: number
  /** Seconds for a token. */
  readonly read?: number
  readonly write?: number
  readonly hiddenS?: number
}

/** An answer of a machine `a` with weights `w`: 200 tokens read at a thousandth of a second, 100 written at a fiftieth. */
function sampleOf(told: Told = {}): Sample {
  const { prompt = 200, out = 100, read = 0.001, write = 0.02, hiddenS = 0, ...more } = told
  const promptNs = prompt * read * 1e9
  const outputNs = out * write * 1e9
  const totalNs = promptNs + outputNs + hiddenS * 1e9
  return {
    endpoint: 'a',
    weights: 'w',
    sizeBytes: undefined,
    size: { model: 'm', op: 'chat', tenant: 't', textBytes: prompt * 3, outTokensMax: undefined },
    endedMs: 1_000,
    tookMs: totalNs / 1e6,
    firstTokenMs: promptNs / 1e6,
    loadMs: 0,
    streams: 1,
    cachedTokens: 0,
    figures: { totalNs, loadNs: 0, promptTokens: prompt, promptNs, outputTokens: out, outputNs },
    pieces: out,
    whole: true,
    asTry: false,
    ...more,
  }
}

function learnedFrom(samples: readonly Sample[]): Costs {
  const costs = new Costs()
  for (const sample of samples) costs.learn(sample)
  return costs
}

function ratesAt(costs: Costs, endpoint: string, weights = 'w') {
  const rates = blankRates()
  costs.ratesOf(rates, { endpoint, weights, sizeBytes: undefined })
  return rates
}

const times = <T>(count: number, make: (at: number) => T) =>
  Array.from({ length: count }, (_, at) => make(at))

describe('the costs', () => {
  it('are learned from an answer: how fast it reads and writes', () => {
    const rates = ratesAt(learnedFrom([sampleOf()]), 'a')
    expect([rates.prefillS, rates.decodeS, rates.samples]).toEqual([0.001, 0.02, 1])
  })

  it('are learned from our own clock where the answer was cut short', () => {
    const cut = sampleOf({
      figures: undefined,
      whole: false,
      pieces: 51,
      firstTokenMs: 200,
      tookMs: 1_220,
    })
    expect(ratesAt(learnedFrom([cut]), 'a').decodeS).toBeCloseTo(0.02, 3)
  })

  it('take an unknown machine to be as slow as the slow ones, and an unknown pair from its two halves', () => {
    const costs = learnedFrom([
      sampleOf({ endpoint: 'a', weights: 'w', write: 0.01 }),
      sampleOf({ endpoint: 'a', weights: 'v', write: 0.04 }),
      sampleOf({ endpoint: 'b', weights: 'w', write: 0.05 }),
    ])
    expect(ratesAt(costs, 'b', 'v').decodeS).toBeCloseTo(0.2, 2)
    expect(ratesAt(costs, 'new', 'w').decodeS).toBeCloseTo(0.05, 2)
  })

  // Every 64th decision of a large fleet once waited for the guesses of all its pairs: 1.6 of a hundred took five times
  // as long as the others. With as many samples as pairs between two fits it is fewer than one, in any fleet.
  it('guess anew after as many samples as there are pairs, and after 64 in a small fleet', () => {
    for (const [pairs, every] of [
      [40, 64],
      [200, 200],
    ] as const) {
      const costs = learnedFrom(times(pairs, (at) => sampleOf({ endpoint: `e${at}` })))
      let guess = ratesAt(costs, 'stranger').decodeS
      let at = 0
      // Each machine is twice as slow from now on.
      const samplesUntilAnother = () => {
        const from = at
        while (ratesAt(costs, 'stranger').decodeS === guess)
          costs.learn(sampleOf({ endpoint: `e${at++ % pairs}`, write: 0.04 }))
        guess = ratesAt(costs, 'stranger').decodeS
        return at - from
      }
      samplesUntilAnother()
      expect(samplesUntilAnother()).toBe(every)
    }
  })

  it('do not take a prompt out of the cache for a fast machine', () => {
    const costs = learnedFrom([...times(5, () => sampleOf()), sampleOf({ read: 0.000_05 })])
    expect(ratesAt(costs, 'a').prefillS).toBeCloseTo(0.001, 4)
  })

  // Hits that were expected and did not come once made a machine look five times as slow, and it was avoided for ever.
  it('do not take a hit that did not come for a slow machine', () => {
    const missed = () => sampleOf({ prompt: 1_000, cachedTokens: 900 })
    const costs = learnedFrom([...times(5, () => sampleOf()), ...times(10, missed)])
    expect(ratesAt(costs, 'a').prefillS).toBeCloseTo(0.001, 4)
  })

  it('count the bytes of a token by model', () => {
    const costs = learnedFrom(times(30, () => sampleOf({ prompt: 1_000 })))
    expect(costs.bytesPerToken('m')).toBeCloseTo(3, 1)
    expect(costs.bytesPerToken('other')).toBe(4)
  })

  it("expect the length of the tenant's own answers, once there are enough of them", () => {
    const sizeOf = (tenant: string) => ({ ...sampleOf().size, tenant })
    const costs = learnedFrom([
      ...times(20, () => sampleOf({ out: 1_000, size: sizeOf('writer') })),
      ...times(20, () => sampleOf({ out: 10, size: sizeOf('asker') })),
    ])
    expect(costs.workOf(sizeOf('writer')).outTokens).toBeGreaterThan(800)
    expect(costs.workOf(sizeOf('asker')).outTokens).toBeLessThan(15)
    expect(costs.workOf({ ...sizeOf('writer'), outTokensMax: 16 }).outTokens).toBeLessThanOrEqual(
      16,
    )
    expect(costs.workOf({ ...sizeOf('x'), op: 'embed' }).outTokens).toBe(0)
  })

  it('notice the work of others, and forget it by halves', () => {
    const costs = learnedFrom(times(6, () => sampleOf({ hiddenS: 4 })))
    const seconds = costs.foreignS('a', 1_000)
    expect(seconds).toBeGreaterThan(3)
    expect(costs.foreignS('a', 31_000)).toBeCloseTo(seconds / 2, 1)
    expect(
      learnedFrom(times(6, () => sampleOf({ hiddenS: 4, asTry: true }))).foreignS('a', 1_000),
    ).toBe(0)
  })

  // One answer of twins that stood still for a tenth of a second sent everything to the others for half a minute.
  it('take one answer that waited for an accident', () => {
    const calm = () => sampleOf()
    const costs = learnedFrom([calm(), sampleOf({ hiddenS: 4 })])
    expect(costs.foreignS('a', 1_000)).toBe(0)
    costs.learn(calm())
    costs.learn(sampleOf({ hiddenS: 4 }))
    expect(costs.foreignS('a', 1_000)).toBe(0)
    costs.learn(sampleOf({ hiddenS: 2 }))
    expect(costs.foreignS('a', 1_000)).toBe(1)
  })

  it('stop being used for a model when half of fifty predictions are far off, and are used again when they hold', () => {
    const costs = learnedFrom(times(10, () => sampleOf()))
    const wild = times(100, (at) => sampleOf({ write: at % 2 ? 0.002 : 0.2 }))
    const turned = wild.filter((sample) => costs.learn(sample))
    expect(turned).toHaveLength(1)
    expect(costs.distrust('m')).toContain('predictions for m')
    const calm = times(200, () => sampleOf()).filter((sample) => costs.learn(sample))
    expect(calm).toHaveLength(1)
    expect(costs.distrust('m')).toBeUndefined()
  })

  it('keep to what was measured when answers are long at one time and short at another', () => {
    const costs = learnedFrom(times(120, (at) => sampleOf({ out: at % 2 ? 5 : 2_000 })))
    expect(costs.distrust('m')).toBeUndefined()
  })

  it('forget a machine whose name was given to another', () => {
    const costs = learnedFrom([sampleOf(), sampleOf({ endpoint: 'b', write: 0.04 })])
    costs.forget('a')
    expect(ratesAt(costs, 'a').samples).toBe(0)
    expect(ratesAt(costs, 'b').samples).toBe(1)
  })

  it('know how long a load takes: of this model there, else by its size, and less when it was there a moment ago', () => {
    const costs = new Costs()
    const at = (weights: string, sizeBytes: number) => ({ endpoint: 'a', weights, sizeBytes })
    costs.learnLoad(at('w', 10e9), 21, 1_000)
    expect(costs.loadS(at('w', 10e9), 2_000)).toBe(21)
    expect(costs.loadS(at('v', 5e9), 2_000)).toBeCloseTo(11, 1)
    costs.unloaded('a', 'w', 1_500)
    costs.learnLoad(at('w', 10e9), 5, 9_000)
    expect(costs.loadS(at('w', 10e9), 2_000)).toBe(5)
  })

  // What a request waited for its load holds the drain of other models as well; learned, each load made the next dearer.
  it('do not take what a request waited for its load for the time of the load', () => {
    const waited = { loadMs: 90_000, sizeBytes: 10e9 }
    const costs = learnedFrom(times(3, () => sampleOf(waited)))
    expect(costs.loadS({ endpoint: 'a', weights: 'w', sizeBytes: 10e9 }, 2_000)).toBe(11)
  })
})
