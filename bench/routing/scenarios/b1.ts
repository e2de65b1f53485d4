import { seededDice } from '../../../src/core/dice.ts'
import type { Request } from '../engine/specs.ts'
import { poissonGaps } from '../traffic/arrivals.ts'
import { conversation } from '../traffic/lengths.ts'
import { partOf, type Recorded } from '../traffic/recorded.ts'
import { plainRequest, plainTrace, Texts } from '../traffic/trace.ts'
import {
  capacityOf,
  loadsOf,
  mixedFleet,
  oneModel,
  type Scenario,
  sampleFrom,
  sampleOf,
  sum,
} from './stage.ts'

export const b1: Scenario = {
  word: 'B1',
  title: 'mixed speeds, one model: chats, Poisson, six machines twelve to one',
  variants: loadsOf([0.3, 0.6, 0.7, 0.85, 0.95], 0.85),
  policies: [
    ...['random', 'rr', 'p2c', 'ewma', 'least', 'least-weighted', 'maxconn', 'maxconn-weighted'],
    ...['olla', 'litellm-busy', 'litellm-latency', 'herd', 'clairvoyant'],
  ],
  ablations: [
    ...['ours-told', 'ours-busy', 'ours-fifo', 'ours-price0', 'ours-price4'],
    ...['ours-frozen'],
  ],
  inShort: ['maxconn', 'maxconn-weighted', 'least', 'ours'],
  columns: [
    { title: 'p99 s', figure: 'p99', digits: 1 },
    { title: 'mean s', figure: 'mean', digits: 2 },
    { title: 'p50', figure: 'p50', digits: 1 },
    { title: 'short p50', figure: 'short50', digits: 2 },
    { title: 'first p50', figure: 'first50', digits: 2 },
    { title: 'first p95', figure: 'first95', digits: 1 },
    { title: 'first p99', figure: 'first99', digits: 1 },
    { title: 'slowdown p99', figure: 'slowdown99', digits: 1 },
    { title: 'goodput %', figure: 'goodput', digits: 1, percent: true },
    { title: 'not over %', figure: 'unfinished', digits: 1, percent: true },
    { title: 'off %', figure: 'predictionError', digits: 0, percent: true },
    { title: 'decide p99 µs', figure: 'decide99Us', digits: 0 },
  ],
  stage: ({ variant, seed, requests, recorded }) => {
    const rows = recorded && partOf(recorded, requests, seed)
    const sample = rows ? sampleFrom(rows) : sampleOf(conversation)
    const perSecond = capacityOf(mixedFleet, oneModel, sample)
    const rate = variant.load * sum(perSecond)
    const trace = rows
      ? playedAt(rows, rate)
      : plainTrace(
          ...[requests, rate, poissonGaps(seededDice(seed)), () => conversation],
          seededDice(seed + 1_000),
        )
    return {
      ...{ machines: mixedFleet, models: oneModel, trace, perSecond },
      ...{ foreign: [], incidents: [], preloaded: mixedFleet.map(() => [0]) },
    }
  },
}

/** A recorded trace at another pace: its gaps stretched until it has the rate. */
export function playedAt(recorded: readonly Recorded[], perSecond: number): Request[] {
  const texts = new Texts()
  const seconds = (recorded.at(-1)?.atMs ?? 0) / 1_000
  const stretch = recorded.length / perSecond / Math.max(1e-3, seconds)
  return recorded.map((row, id) => plainRequest(texts, { ...row, id, atMs: row.atMs * stretch }))
}
