import { seededDice } from '../../../src/core/dice.ts'
import { codeGaps, gammaGaps } from '../traffic/arrivals.ts'
import { code, conversation } from '../traffic/lengths.ts'
import { plainTrace } from '../traffic/trace.ts'
import { b1, playedAt } from './b1.ts'
import { capacityOf, mixedFleet, oneModel, type Scenario, sampleOf, sum } from './stage.ts'

/** A coefficient of variation of 5, and six times the mean in the busiest ten seconds. */
const burstShape = 0.04

export const b2: Scenario = {
  word: 'B2',
  title: 'bursts: completions of code in bursts and silences, and chats with Gamma gaps',
  variants: [
    { word: 'code', load: 0.5, kind: 'code', isDecisive: true },
    { word: 'gamma', load: 0.7, kind: 'gamma' },
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
    const lengths = isCode ? code : conversation
    const perSecond = capacityOf(mixedFleet, oneModel, sampleOf(lengths))
    const rate = variant.load * sum(perSecond)
    const dice = seededDice(seed)
    const gaps = isCode ? codeGaps(dice) : gammaGaps(dice, burstShape)
    const trace =
      recorded && isCode
        ? playedAt(recorded.slice(0, requests), rate)
        : plainTrace(requests, rate, gaps, () => lengths, seededDice(seed + 1_000))
    return {
      ...{ machines: mixedFleet, models: oneModel, trace, perSecond },
      ...{ foreign: [], incidents: [], preloaded: mixedFleet.map(() => [0]) },
    }
  },
}
