import type { EndpointView } from '../../core/endpoint-view.ts'
import type { PlaceWords } from '../../core/settings.ts'
import type { Priority } from '../line.ts'

/** What the rules say of one request. Requests for which the same rules speak share one. */
export interface Placement {
  /** Tells placements apart; two with one key let the same endpoints serve, at the same prices. */
  readonly key: string
  readonly only: PlaceWords | undefined
  readonly never: PlaceWords | undefined
  /** Word → by how many seconds longer it may take there. */
  readonly prefer: readonly { readonly word: string; readonly seconds: number }[]
  /** For a request that names none. */
  readonly priority: Priority | undefined
  /** The model that is to answer; undefined: the one that was asked for. */
  readonly useModel: string | undefined
  /** Each of these but `useModel` in words with its rule's number: `rule 2: only den`. */
  readonly said: readonly string[]
  /** The same of `useModel`. */
  readonly saidOfModel: string | undefined
}

type Place = Pick<EndpointView, 'name' | 'labels'>

/** Whether the rules let this endpoint serve. */
export function mayServe({ only, never }: Placement, place: Place): boolean {
  if (only !== undefined && !only.some((word) => isMeant(word, place))) return false
  return never === undefined || !never.some((word) => isMeant(word, place))
}

/** What the rules add to the cost of an endpoint, in seconds: a preference is a price that all others have. */
export function priceS({ prefer }: Placement, place: Place): number {
  let gained = 0
  let most = 0
  for (const { word, seconds } of prefer) {
    if (seconds > most) most = seconds
    if (seconds > gained && isMeant(word, place)) gained = seconds
  }
  return most - gained
}

const labelMark = 'label:'

/** A word is the name of a backend or one of its labels; with `label:` before it a label only. */
export function isMeant(word: string, { name, labels }: Place): boolean {
  if (word.startsWith(labelMark)) return labels.includes(word.slice(labelMark.length))
  return word === name || labels.includes(word)
}
