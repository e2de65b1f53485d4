/** The terms of a cost, in the order in which they are kept. All in seconds. */
export const termNames = [
  'wait',
  'load',
  'prefill',
  'decode',
  'eviction',
  'congestion',
  'cache',
  'rule',
] as const
export type TermName = (typeof termNames)[number]
export const termCount = termNames.length
/** Places that a table keeps, for those who ask why. */
export const tablePlacesMax = 64

/** What decides among costs that are as good as equal: it can begin now, its cache holds more, or it is its turn. */
export type Tie = 'begins' | 'cache' | 'turn'

/**
 * What one decision was made of: kept as numbers in one block, since there is one of these for every request, and put
 * into words only when somebody asks.
 */
export interface Table {
  readonly model: string
  readonly atMs: number
  /** `expected-completion`, or the name of another picker. */
  readonly by: string
  /** Why it was not chosen by its cost: `predictions for … are bad`; undefined where nothing was out of the ordinary. */
  readonly because: string | undefined
  /** What spoke for the winner although another one costs a little less; undefined: none does. */
  readonly tie: Tie | undefined
  readonly endpoints: readonly string[]
  /** `termCount` numbers for each endpoint, one after another. Empty for pickers that know no seconds. */
  readonly terms: readonly number[]
  readonly winner: string
  /** It was sent to a seat beyond the known ones. */
  readonly asTry: boolean
  /** Places that could serve, where more could than the table holds. */
  readonly placesInAll: number
}

/** Seconds on the seat that were expected of the winner; undefined where the picker knows no seconds. */
export function expectedSecondsIn({ terms, endpoints, winner }: Table): number | undefined {
  if (terms.length === 0) return undefined
  const offset = endpoints.indexOf(winner) * termCount
  return terms[offset + 1]! + terms[offset + 2]! + terms[offset + 3]!
}
