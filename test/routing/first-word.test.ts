import { describe, expect, it } from 'vitest'
import { lengthsAround } from '../../src/routing/costs/lengths.ts'
import { blankRates, type Rates } from '../../src/routing/costs/rates.ts'
import { firstWordOf } from '../../src/routing/first-word.ts'
import type { Run } from '../../src/routing/running.ts'
import { type Table, termCount } from '../../src/routing/table.ts'

const known: Rates = {
  ...blankRates(),
  ...{ prefillS: 0.001, prefillSlope: 1, prefillError: 0.05 },
  ...{ decodeS: 0.1, decodeSlope: 0.5, samples: 5 },
}

function runOf(rates: Partial<Rates> = {}, more: Partial<Run> = {}): Run {
  return {
    served: { endpoint: 'a', weights: 'm', sizeBytes: undefined },
    size: { model: 'm', op: 'chat', tenant: 't', textBytes: 4_000, outTokensMax: undefined },
    work: {
      ...{ promptTokens: 1_000, outTokens: 200, serviceS: 1, outTokensMax: 1_000 },
      lengths: lengthsAround(200),
    },
    ...{ isBatch: false, asTry: false, cachedTokens: 0, rates: { ...known, ...rates } },
    progress: { firstTokenAtMs: undefined, pieces: 0 },
    ...{ startedMs: 0, loadEndsMs: 0, loadMs: 0, streamsFrom: 0, servedFromMs: 0, secondsLeft: 0 },
    ...{ lookedMs: 0, secondsAtLook: 0, lookedStreams: 0, at: 0 },
    ...more,
  }
}

/** The winner is the second of two, and waits for so long. */
function tableOf(waitS: number, more: Partial<Table> = {}): Table {
  const terms = Array.from({ length: 2 * termCount }, (_, at) => (at === termCount ? waitS : 9))
  return {
    ...{ model: 'm', atMs: 0, by: 'expected-completion', because: undefined },
    ...{ endpoints: ['b', 'a'], terms, winner: 'a', tie: undefined, asTry: false, placesInAll: 2 },
    ...more,
  }
}

describe('the first word of an answer', () => {
  it('is expected after the wait, what is not in the cache of the prompt, and one token', () => {
    expect(firstWordOf(runOf(), tableOf(0.5), 1)).toEqual({ expectedS: 1.6, errorS: 0.05 })
    const cached = runOf({}, { cachedTokens: 900 })
    expect(firstWordOf(cached, tableOf(0), 1)?.expectedS).toBeCloseTo(0.2)
    // Two read at half the speed, and write at two thirds of it.
    expect(firstWordOf(runOf(), tableOf(0), 2)?.expectedS).toBeCloseTo(2.15)
  })

  it('is known to pickers without costs as well', () => {
    expect(firstWordOf(runOf(), tableOf(0, { terms: [] }), 1)?.expectedS).toBeCloseTo(1.1)
  })

  it('is expected as late as if reading were writing where only writing was measured', () => {
    expect(firstWordOf(runOf({ prefillError: 0.19 }), tableOf(0), 1)?.expectedS).toBeCloseTo(100.1)
  })

  it('is not predicted from guesses, from bad predictions, behind a load, or on a seat that may not exist', () => {
    expect(firstWordOf(runOf({ samples: 2 }), tableOf(0), 1)).toBeUndefined()
    expect(firstWordOf(runOf(), tableOf(0, { because: 'bad' }), 1)).toBeUndefined()
    expect(firstWordOf(runOf({}, { loadEndsMs: 5 }), tableOf(0), 1)).toBeUndefined()
    expect(firstWordOf(runOf({}, { loadMs: 5 }), tableOf(0), 1)).toBeUndefined()
    expect(firstWordOf(runOf({}, { asTry: true }), tableOf(0), 1)).toBeUndefined()
    expect(firstWordOf(runOf({ prefillS: Number.NaN }), tableOf(0), 1)).toBeUndefined()
  })
})
