import type { ResidencySettings, RoutingSettings } from '../../../src/core/settings.ts'
import type { Prices } from '../../../src/routing/prices.ts'

/** How we are set in a run: the whole, or the whole without one of its parts. */
export interface Manner {
  readonly picker: RoutingSettings['picker']
  readonly prices: Partial<Prices>
  readonly shortFirst: boolean
  /** A priority counts against everybody. */
  readonly acrossTenants: boolean
  /** NUM_PARALLEL is told by the operator; otherwise it is found out. */
  readonly seatsTold: boolean
  /** Answers after the first tenth of the requests teach nothing. */
  readonly learningFrozen: boolean
  /** Answers to prompts of other sizes may be of other lengths. */
  readonly answersBySize: boolean
  readonly affinity: boolean
  /** Batch work gives its seat to people. */
  readonly givesWay: boolean
  /** What is in a cache counts where its model would be pushed out. */
  readonly cachesKept: boolean
  readonly residency: Partial<ResidencySettings>
}

const whole: Manner = {
  ...{ picker: 'expected-completion', prices: {}, shortFirst: true, seatsTold: false },
  ...{ acrossTenants: false },
  ...{
    learningFrozen: false,
    answersBySize: true,
    affinity: true,
    givesWay: true,
    cachesKept: true,
    residency: {},
  },
}

export const oursPolicies: Readonly<Record<string, { title: string; manner: Manner }>> = {
  ours: { title: 'ours', manner: whole },
  'ours-told': { title: 'ours, slots told', manner: { ...whole, seatsTold: true } },
  'ours-busy': {
    title: 'ours, least-busy picker',
    manner: { ...whole, picker: 'least-busy', shortFirst: false },
  },
  'ours-fifo': { title: 'ours without short-first', manner: { ...whole, shortFirst: false } },
  'ours-across': {
    title: 'ours, priorities across tenants',
    manner: { ...whole, acrossTenants: true },
  },
  'ours-price0': priced('ours, congestion price 0', { congestion: 0 }),
  'ours-price4': priced('ours, congestion price 4', { congestion: 4 }),
  'ours-cache0': priced('ours, a hit counts as the seconds it saves', { cache: 0 }),
  'ours-evict0': priced('ours, eviction price 0', { eviction: 0 }),
  'ours-evict1': priced('ours, eviction price 1', { eviction: 1 }),
  'ours-noresidency': kept('ours, loads as requests come', { on: false }),
  'ours-swap20': kept('ours, swap budget 20 %', { swapShare: 0.2 }),
  'ours-swap2': kept('ours, swap budget 2 %', { swapShare: 0.02 }),
  'ours-weight4': kept('ours, what is pushed out counts 4 times', { evictionWeight: 4 }),
  'ours-frozen': { title: 'ours, learning frozen', manner: { ...whole, learningFrozen: true } },
  'ours-onelength': {
    title: 'ours, one length of answers for prompts of any size',
    manner: { ...whole, answersBySize: false },
  },
  'ours-noaffinity': {
    title: 'ours, caches not thought of',
    manner: { ...whole, affinity: false },
  },
  'ours-nogiveway': {
    title: 'ours, batch work gives no seat back',
    manner: { ...whole, givesWay: false },
  },
  'ours-nocachekept': {
    title: 'ours, who leaves leaves no cache behind',
    manner: { ...whole, cachesKept: false },
  },
}

function priced(title: string, prices: Partial<Prices>): { title: string; manner: Manner } {
  return { title, manner: { ...whole, prices } }
}

function kept(title: string, residency: Partial<ResidencySettings>) {
  return { title, manner: { ...whole, residency } }
}
