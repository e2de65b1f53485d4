import type { Request } from '../engine/specs.ts'
import type { Column, Stage } from '../scenarios/stage.ts'
import { type Front, haproxy, haproxyByClass, nginx } from './fronts.ts'
import { herd } from './herd.ts'
import { promptTokensMin } from './scripted.ts'

/** How a scenario is played by processes. */
export interface Act {
  /** Those that are not installed are left out. */
  readonly peers: readonly Front[]
  /** Words of the variants; none said: the decisive one. */
  readonly variants?: readonly string[]
  /** What is compared; titles and digits as in the tables of the study. */
  readonly figures: readonly string[]
  /** Only this much of it is played, in milliseconds of the study. */
  readonly untilMs?: number
  /** After the last arrival whoever waits has so long, in milliseconds of the study. */
  readonly drainMs: number
  readonly continues: boolean
  /** What is not as in the study, for the reader. */
  readonly note: string
}

const minutesMs = 60_000
const usual = { peers: [haproxy, nginx, herd], drainMs: 10 * minutesMs, continues: false, note: '' }

export const acts: Readonly<Record<string, Act>> = {
  B1: { ...usual, figures: ['p99', 'mean', 'short50', 'first50', 'errors'] },
  B2: {
    ...usual,
    variants: ['code', 'gamma'],
    figures: ['short50', 'p99', 'mean', 'errors'],
  },
  B3: {
    ...{ ...usual, drainMs: 5 * minutesMs },
    figures: ['p99', 'mean', 'short50', 'loadsPer1000', 'loadShare', 'unfinished', 'errors'],
    note: 'ends five minutes after the last arrival, for the model too: the peer would need half an hour',
  },
  B4: {
    ...{ ...usual, peers: [haproxy] },
    figures: ['cachedShare', 'imbalance', 'p99', 'mean', 'first50', 'errors'],
  },
  B5: {
    ...usual,
    ...{
      peers: [haproxyByClass],
      figures: ['inTime', 'batchDone', 'jain', 'people50', 'people99'],
    },
    drainMs: 2 * minutesMs,
    continues: true,
    note: 'ends two minutes after the last arrival, for the model too',
  },
  B6: {
    ...{ ...usual, peers: [haproxy, herd], continues: true },
    figures: ['errors', 'visitsEach', 'p99', 'mean', 'short50'],
    note:
      'a killed process is back some 0.5 s of life after its time, and takes its sockets with it: attempts that are ' +
      'refused are no visits here',
  },
  B7: {
    ...usual,
    ...{ peers: [nginx, herd], untilMs: 40 * minutesMs },
    figures: ['w0', 'w1', 'w2', 'w3', 'w4', 'w5', 'w6', 'w7', 'mean', 'p99'],
    note: 'the first four of nine phases; a simulator keeps its slots, and five times as long answers would take too long',
  },
}

/** What is played, by the model and by processes alike. */
export function playable(stage: Stage, { untilMs = Number.POSITIVE_INFINITY }: Act): Stage {
  const isPlayed = ({ atMs }: { readonly atMs: number }) => atMs < untilMs
  return {
    ...stage,
    trace: stage.trace.filter(isPlayed).map(withRoom),
    foreign: stage.foreign
      .filter(({ request }) => isPlayed(request))
      .map(({ request, machine }) => ({ request: withRoom(request), machine })),
    incidents: stage.incidents.filter(isPlayed),
  }
}

/** A question has to hold its mark: few are so short, and 16 tokens more or less are read in no time. */
function withRoom(request: Request): Request {
  const { chainTokens, promptTokens } = request
  if (chainTokens.length > 1 || promptTokens >= promptTokensMin) return request
  return { ...request, promptTokens: promptTokensMin, chainTokens: [promptTokensMin] }
}

/** Where a scenario's columns do not name a figure. */
const more: readonly Column[] = [
  { title: 'loads /1000', figure: 'loadsPer1000', digits: 1 },
  { title: 'errors %', figure: 'errors', digits: 2, percent: true },
]

export function columnOf(columns: readonly Column[], figure: string): Column {
  const found = [...columns, ...more].find((column) => column.figure === figure)
  if (!found) throw new Error(`no column for ${figure}`)
  return found
}
