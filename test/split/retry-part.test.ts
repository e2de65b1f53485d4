import { describe, expect, it } from 'vitest'
import type { FailureCode } from '../../src/core/failure.ts'
import { afterFailure, awayMsMax, type PartHistory, triesMax } from '../../src/split/retry-part.ts'

const first: PartHistory = { failedTries: 1, sentAway: 0, awayForMs: 0, runHasAnswers: true }

const nextFor = (
  status: number,
  code?: FailureCode,
  history: Partial<PartHistory> = {},
  chance = 0,
) =>
  afterFailure(
    { status, code, body: Buffer.from('{"error":"its words"}') },
    { ...first, ...history },
    chance,
  )

describe('a part that was not answered', () => {
  it.each([[500], [502], [503], [408], [429], [200]])(
    'with %i is asked elsewhere, a few times',
    (status) => {
      const [one, two] = [1, 2].map((failedTries) => nextFor(status, undefined, { failedTries }))
      expect([one, two]).toMatchObject([{ kind: 'elsewhere' }, { kind: 'elsewhere' }])
      expect(nextFor(status, undefined, { failedTries: triesMax })).toMatchObject({ kind: 'final' })
    },
  )

  it.each([[400], [404], [413], [422]])('with %i is refused everywhere alike', (status) => {
    expect(nextFor(status)).toEqual({ kind: 'final', why: 'its words' })
  })

  it.each<[FailureCode]>([['queue_full'], ['queue_timeout'], ['all_busy'], ['body_budget_full']])(
    'for want of room (%s) waits longer each time, up to two seconds, however often',
    (code) => {
      const delays = Array.from({ length: 12 }, (_, sentAway) => {
        const next = nextFor(503, code, { sentAway, failedTries: 99 }, 1)
        return next.kind === 'wait' ? next.delayMs : Number.NaN
      })
      expect(delays).toEqual(delays.toSorted((one, other) => one - other))
      expect(delays[0]).toBeGreaterThan(0)
      expect(delays.at(-1)).toBe(2_000)
      // Chance spreads those that were sent away together over half of it.
      expect(nextFor(503, code, { sentAway: 20 }, 0)).toEqual({ kind: 'wait', delayMs: 1_000 })
    },
  )

  it.each<[FailureCode]>([['all_away'], ['model_away'], ['no_backend']])(
    'because nobody is there (%s) waits for a restart when the fleet was there once',
    (code) => {
      expect(nextFor(503, code)).toMatchObject({ kind: 'wait' })
      expect(nextFor(503, code, { runHasAnswers: false })).toEqual({
        kind: 'final',
        why: 'its words',
      })
      expect(nextFor(503, code, { awayForMs: awayMsMax - 1 })).toMatchObject({ kind: 'wait' })
      expect(nextFor(503, code, { awayForMs: awayMsMax })).toMatchObject({ kind: 'final' })
    },
  )

  it.each<[FailureCode, number]>([
    ['total_timeout', 504],
    ['stopping', 503],
    ['poison', 500],
  ])('because of %s is not asked again', (code, status) => {
    expect(nextFor(status, code)).toMatchObject({ kind: 'final' })
  })
})
