import type { PolicyMaker } from '../engine/world.ts'
import { oursPolicies } from '../ours/manners.ts'
import { oursIn } from '../ours/ours.ts'
import type { Stage } from '../scenarios/stage.ts'
import { central } from './central.ts'
import { clairvoyant, manners } from './clairvoyant.ts'
import { knowsUsual } from './foresight.ts'
import { herd } from './herd.ts'
import { pushing } from './peer.ts'
import * as rules from './rules.ts'

export type Kind = 'reference' | 'peer' | 'weighted' | 'ours' | 'bound'

export interface Entry {
  readonly title: string
  readonly kind: Kind
  /** Several where the best one counts, run by run. */
  make(stage: Stage): readonly PolicyMaker[]
}

/** Slots as an operator counts them who has read each server's settings. */
const slotsIn = (stage: Stage) => stage.machines.map(({ slots }) => slots)
/** What hand-set weights are at their best: the machines' true capacities for this very traffic. */
const weightsIn = (stage: Stage) => stage.perSecond
const classOf = ({ band }: { band: string }) => (band === 'interactive' ? 0 : 1)

const peers = {
  random: peer('random', 'reference', () => pushing(rules.random)),
  rr: peer('nginx round robin', 'peer', () => pushing(rules.roundRobin)),
  p2c: peer('power of two', 'reference', () => pushing(rules.powerOfTwo)),
  ewma: peer('full-scan EWMA x (open + 1)', 'reference', () =>
    pushing(rules.ewma, undefined, rules.ewmaLearn),
  ),
  least: peer('nginx least_conn, HAProxy leastconn', 'peer', () => pushing(rules.leastConn)),
  'least-weighted': peer('nginx least_conn, ideal weights', 'weighted', (stage) =>
    pushing(rules.leastConn, weightsIn(stage)),
  ),
  maxconn: peer('HAProxy leastconn, maxconn', 'peer', (stage) => central(slotsIn(stage))),
  'maxconn-weighted': peer('HAProxy maxconn, ideal weights', 'weighted', (stage) =>
    central(slotsIn(stage), weightsIn(stage)),
  ),
  'maxconn-class': peer('HAProxy maxconn, priority-class', 'peer', (stage) =>
    central(slotsIn(stage), undefined, classOf),
  ),
  hash125: peer('HAProxy hash, balance-factor 125', 'peer', () => pushing(rules.boundedHash)),
  sticky: peer('pure sticky (hash)', 'reference', () => pushing(rules.pureSticky)),
  olla: peer('Olla least-connections', 'peer', () => pushing(rules.firstOfLeast)),
  'olla-sticky': peer('Olla sticky', 'peer', () => pushing(rules.ollaSticky)),
  'litellm-busy': peer('LiteLLM least-busy', 'peer', () => pushing(rules.firstOfLeast)),
  'litellm-latency': peer('LiteLLM latency-based', 'peer', () =>
    pushing(rules.litellmLatency, undefined, rules.litellmLearn),
  ),
  herd: peer('ollama-herd', 'peer', () => herd),
  warm: peer('warm-only least_conn', 'reference', () => pushing(rules.warmLeastConn)),
  informed: {
    ...{ title: 'clairvoyant but for lengths of answers', kind: 'bound' },
    make(stage) {
      const usual = knowsUsual(stage.trace)
      return manners.map((manner) => clairvoyant(stage.trace, manner, usual))
    },
  },
  clairvoyant: {
    ...{ title: 'clairvoyant', kind: 'bound' },
    make: (stage) => manners.map((manner) => clairvoyant(stage.trace, manner)),
  },
} satisfies Record<string, Entry>

function peer(title: string, kind: Kind, make: (stage: Stage) => PolicyMaker): Entry {
  return { title, kind, make: (stage) => [make(stage)] }
}

const ours = Object.fromEntries(
  Object.entries(oursPolicies).map(([word, { title, manner }]) => [
    word,
    { title, kind: 'ours', make: (stage: Stage) => [oursIn(stage, manner)] } as const,
  ]),
)

export const catalogue: Readonly<Record<string, Entry>> = { ...peers, ...ours }
