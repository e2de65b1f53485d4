import { seededDice } from '../../../src/core/dice.ts'
import type { Request } from '../engine/specs.ts'
import { codeGaps, gammaGaps } from '../traffic/arrivals.ts'
import { code, conversation, conversationApart, type Lengths } from '../traffic/lengths.ts'
import { partOf } from '../traffic/recorded.ts'
import { plainTrace } from '../traffic/trace.ts'
import { b1, playedAt } from './b1.ts'
import {
  capacityOf,
  mixedFleet,
  oneModel,
  type Scenario,
  sampleFrom,
  sampleOf,
  sum,
} from './stage.ts'

/** A coefficient of variation of 5, and six times the mean in the busiest ten seconds. */
const burstShape = 0.04

const lengthsOf: Readonly<Record<string, Lengths>> = {
  ...{ code, gamma: conversation, apart: conversationApart },
}

export const b2: Scenario = {
  word: 'B2',
  title: 'bursts: completions of code in bursts and silences, and chats with Gamma gaps',
  variants: [
    { word: 'code', load: 0.5, kind: 'code', isDecisive: true },
    { word: 'gamma', load: 0.7, kind: 'gamma', ablations: ['ours-onelength', 'ours-fifo'] },
    { word: 'gamma apart', load: 0.7, kind: 'apart' },
  ],
  policies: [
    ...['p2c', 'ewma', 'least', 'least-weighted', 'maxconn', 'maxconn-weighted'],
    ...['olla', 'litellm-busy', 'litellm-latency', 'herd', 'informed', 'clairvoyant'],
  ],
  ablations: ['ours-told', 'ours-fifo', 'ours-price0', 'ours-price4'],
  inShort: ['maxconn', 'least', 'ours'],
  columns: [
    { title: 'short p50 s', figure: 'short50', digits: 2 },
    ...b1.columns.filter(({ figure }) => figure !== 'short50'),
  ],
  stage: ({ variant, seed, requests, recorded }) => {
    const isCode = variant.kind === 'code'
    const lengths = lengthsOf[variant.kind]!
    const rows = recorded && partOf(recorded, requests, seed)
    const sample = rows ? sampleFrom(rows) : sampleOf(lengths)
    const perSecond = capacityOf(mixedFleet, oneModel, sample)
    const rate = variant.load * sum(perSecond)
    const dice = seededDice(seed)
    const gaps = isCode ? codeGaps(dice) : gammaGaps(dice, burstShape)
    const drawn = plainTrace(requests, rate, gaps, () => lengths, seededDice(seed + 1_000))
    const trace = rows ? recordedAs(variant.kind, playedAt(rows, rate), drawn) : drawn
    return {
      ...{ machines: mixedFleet, models: oneModel, trace, perSecond },
      ...{ foreign: [], incidents: [], preloaded: mixedFleet.map(() => [0]) },
    }
  },
}

/** Code comes at its own times, chats at those that were drawn. */
function recordedAs(kind: string, played: readonly Request[], drawn: readonly Request[]) {
  if (kind === 'code') return played
  return atTimesOf(drawn, kind === 'apart' ? apart(played) : played)
}

/** Each prompt with the answer to one half of the trace away, which knows nothing of it. */
function apart(trace: readonly Request[]): Request[] {
  const half = trace.length >> 1
  return trace.map((request, at) => {
    return { ...request, outputTokens: trace[(at + half) % trace.length]!.outputTokens }
  })
}

/** The lengths of one trace at the times of another. */
function atTimesOf(times: readonly Request[], lengths: readonly Request[]): Request[] {
  return lengths.map((request, at) => ({ ...request, atMs: times[at]!.atMs }))
}
