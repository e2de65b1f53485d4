import { seededDice } from '../../../src/core/dice.ts'
import type { ModelSpec, Request } from '../engine/specs.ts'
import { poissonGaps } from '../traffic/arrivals.ts'
import { conversationTrace } from '../traffic/conversations.ts'
import { conversation } from '../traffic/lengths.ts'
import { plainTrace, withModels, withModelsByChat } from '../traffic/trace.ts'
import { b1 } from './b1.ts'
import {
  capacityOf,
  loadsOf,
  mixedFleet,
  type Scenario,
  type Stage,
  sampleOf,
  sum,
} from './stage.ts'

const models: readonly ModelSpec[] = [
  { name: 'chat-8b', speed: 1, loadSeconds: 8 },
  { name: 'code-14b', speed: 0.6, loadSeconds: 12 },
  { name: 'small-3b', speed: 1.8, loadSeconds: 5 },
  { name: 'chat-20b', speed: 0.5, loadSeconds: 16 },
  { name: 'vision-8b', speed: 0.9, loadSeconds: 9 },
  { name: 'judge-4b', speed: 1.5, loadSeconds: 6 },
]
const flipMs = 300_000

export const b3: Scenario = {
  word: 'B3',
  title:
    'six models, memory for two on each machine, popularity by Zipf that flips every five minutes',
  variants: [
    ...loadsOf([0.3, 0.5, 0.65, 0.8, 0.85], 0.65),
    { word: 'chats 0.95', load: 0.95, kind: 'chats', ablations: ['ours-nocachekept'] },
  ],
  policies: [
    'least',
    'maxconn',
    'maxconn-weighted',
    'warm',
    'olla',
    'litellm-busy',
    'herd',
    'informed',
    'clairvoyant',
  ],
  ablations: [
    ...['ours-told', 'ours-evict0', 'ours-evict1', 'ours-price0', 'ours-noresidency'],
    ...['ours-swap2', 'ours-swap20', 'ours-weight4'],
  ],
  inShort: ['maxconn', 'herd', 'ours'],
  columns: [
    { title: 'p99 s', figure: 'p99', digits: 1 },
    { title: 'loads /1000', figure: 'loadsPer1000', digits: 1 },
    { title: 'cached %', figure: 'cachedShare', digits: 1, percent: true, better: 'higher' },
    { title: 'loading %', figure: 'loadShare', digits: 1, percent: true },
    ...b1.columns.filter(({ figure }) => figure !== 'p99'),
  ],
  stage: ({ variant, seed, requests }) => {
    if (variant.kind === 'chats') return chats(variant.load, seed, requests)
    const sample = withModels(sampleOf(conversation), models.length, Infinity, seededDice(7))
    const perSecond = capacityOf(mixedFleet, models, sample)
    const rate = variant.load * sum(perSecond)
    const plain = plainTrace(
      ...[requests, rate, poissonGaps(seededDice(seed)), () => conversation],
      seededDice(seed + 1_000),
    )
    return {
      ...{ machines: mixedFleet, models, perSecond, foreign: [], incidents: [] },
      trace: withModels(plain, models.length, flipMs, seededDice(seed + 2_000)),
      preloaded: mixedFleet.map(() => []),
    }
  },
}

/**
 * Half of the requests are turns of conversations, with every other model, and half are single questions to the rest:
 * two models that are asked for as often are not worth the same where one of them has to leave. The load is as if
 * nothing were cached.
 */
function chats(load: number, seed: number, requests: number): Stage {
  const kinds = models.length / 2
  const half = requests >> 1
  const turns = conversationTrace(300, 1, seededDice(8)).map((request) => ({
    ...request,
    chain: [-request.id - 1],
    chainTokens: [request.promptTokens],
  }))
  const singles = sampleOf(conversation).slice(0, turns.length)
  const perSecond = capacityOf(
    ...[mixedFleet, models],
    merged(
      withModels(turns, kinds, Infinity, seededDice(7)),
      withModels(singles, kinds, Infinity, seededDice(7)),
    ),
  )
  const rate = (load * sum(perSecond)) / 2
  const chatting = conversationTrace(half, rate, seededDice(seed))
  const asking = plainTrace(
    ...[half, rate, poissonGaps(seededDice(seed)), () => conversation],
    seededDice(seed + 1_000),
  )
  return {
    ...{ machines: mixedFleet, models, perSecond, foreign: [], incidents: [] },
    trace: merged(
      withModelsByChat(chatting, kinds, flipMs, seededDice(seed + 2_000)),
      withModels(asking, kinds, flipMs, seededDice(seed + 3_000)),
    ),
    preloaded: mixedFleet.map(() => []),
  }
}

/** Both in the order of their times, the first with the even models and the second with the odd ones. */
function merged(even: readonly Request[], odd: readonly Request[]): Request[] {
  return [
    ...even.map((each) => ({ ...each, model: 2 * each.model })),
    ...odd.map((each) => ({ ...each, model: 2 * each.model + 1, session: `odd ${each.session}` })),
  ]
    .sort((one, other) => one.atMs - other.atMs)
    .map((each, id) => ({ ...each, id }))
}
