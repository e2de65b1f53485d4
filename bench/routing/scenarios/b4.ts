import { seededDice } from '../../../src/core/dice.ts'
import type { MachineSpec } from '../engine/specs.ts'
import { conversationTrace } from '../traffic/conversations.ts'
import { b1 } from './b1.ts'
import { capacityOf, mixedFleet, oneModel, type Scenario, sum } from './stage.ts'

const equalFleet: readonly MachineSpec[] = Array.from({ length: 6 }, (_, index) => ({
  ...{ name: `m${index}`, decodePerSecond: 60, prefillPerSecond: 1_500, slots: 4 },
  ...{ kappa: 0.25, modelsMax: 2, loadFactor: 1 },
}))

export const b4: Scenario = {
  word: 'B4',
  title:
    'conversations of 4 to 20 turns, four of ten with one system prompt; load as if nothing were cached',
  variants: [
    { word: 'equal 0.6', load: 0.6, kind: 'equal' },
    { word: 'equal 0.9', load: 0.9, kind: 'equal', isDecisive: true },
    { word: 'mixed 0.6', load: 0.6, kind: 'mixed' },
    { word: 'mixed 0.9', load: 0.9, kind: 'mixed' },
  ],
  policies: [
    'least',
    'maxconn',
    'maxconn-weighted',
    'olla-sticky',
    'sticky',
    'hash125',
    'clairvoyant',
  ],
  ablations: ['ours-told', 'ours-noaffinity', 'ours-cache0'],
  inShort: ['sticky', 'maxconn', 'ours'],
  columns: [
    { title: 'cached %', figure: 'cachedShare', digits: 1, percent: true, better: 'higher' },
    { title: 'max/mean work', figure: 'imbalance', digits: 2 },
    { title: 'foreseen %', figure: 'cacheForeseen', digits: 0, percent: true },
    ...b1.columns,
  ],
  stage: ({ variant, seed, requests }) => {
    const machines = variant.kind === 'equal' ? equalFleet : mixedFleet
    const sample = conversationTrace(600, 1, seededDice(8)).map((request) => ({
      ...request,
      chain: [-request.id - 1],
      chainTokens: [request.promptTokens],
    }))
    const perSecond = capacityOf(machines, oneModel, sample)
    const trace = conversationTrace(requests, variant.load * sum(perSecond), seededDice(seed))
    return {
      ...{ machines, models: oneModel, trace, perSecond, foreign: [], incidents: [] },
      preloaded: machines.map(() => [0]),
    }
  },
}
