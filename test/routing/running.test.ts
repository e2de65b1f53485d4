import { expect, it } from 'vitest'
import { blankRates } from '../../src/routing/costs/rates.ts'
import { Running } from '../../src/routing/running.ts'

const how = { figures: undefined, whole: true }

function beginAt(running: Running, endpoint: string, nowMs: number) {
  return running.begin(
    {
      served: { endpoint, weights: 'w', sizeBytes: undefined },
      size: { model: 'm', op: 'chat', tenant: 't', textBytes: 100, outTokensMax: undefined },
      work: { promptTokens: 1, outTokens: 1, serviceS: 1, outTokensMax: 9, lengths: undefined },
      ...{ isBatch: false, asTry: false, cachedTokens: 0, rates: blankRates() },
      progress: { firstTokenAtMs: undefined, pieces: 0 },
    },
    false,
    nowMs,
  )
}

it('counts the streams beside a run on average over its time, also for the last one to end', () => {
  const running = new Running()
  const long = beginAt(running, 'a', 100)
  const short = beginAt(running, 'a', 150)
  expect(running.end(short, 200, how).streams).toBe(2)
  expect(running.end(long, 300, how).streams).toBe(1.25)
})

it('knows nothing any more of an endpoint at which all has ended', () => {
  const running = new Running()
  const first = beginAt(running, 'a', 0)
  beginAt(running, 'b', 0)
  running.end(first, 40, how)
  expect(running.at('a')).toMatchObject({ runs: [], loading: 0, version: 0 })
  expect(running.size).toBe(1)
  const next = beginAt(running, 'a', 1_000)
  expect(running.of('a')).toEqual([next])
  expect(running.end(next, 1_010, how).streams).toBe(1)
})
