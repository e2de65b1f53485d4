import type { Method } from '../../dialects/continuing/continuing.ts'
import { lastWordOf } from './words.ts'

/**
 * How a leg's text lies on what the client has. `exact`: behind it, to the letter · `adds-a-space`: behind it, with one
 * space too many in front · `repeats-the-last-word`: behind it, the last word said once more, a space in front of it or
 * not · `from-the-beginning`: the whole answer again.
 */
export type Manner = 'exact' | 'adds-a-space' | 'repeats-the-last-word' | 'from-the-beginning'

/**
 * One way to go on. `restart` stands here only when the same request was seen to give the same answer twice; it is of
 * use only where the client's own request is deterministic (temperature 0, or a seed): `mayContinue` sees to that.
 */
export interface Way {
  readonly method: Method
  readonly manner: Manner | 'unknown'
  /** Go this way only if the rendering of a trailing message ends with it: see `rendersOpen`. */
  readonly checkRendering?: true
  /** The template cuts white space off the end of what it is given: the leg says it again. */
  readonly trims?: true
}

/** Where an answer broke off. `raw`: the client's own raw prompt; the others have a template around them. */
export type Place = 'plain' | 'thought' | 'afterThought' | 'raw'

/** What was measured for one place, best first; empty: no way works; undefined: not measured. */
export type Ways = readonly Way[] | undefined

/** Characters behind the seam that must agree. Later ones may differ: batches change the last digit of a logit. */
const agreeingCharsMax = 24

/** How `said` goes on with `partial`, the beginning of `whole`; undefined: it says something else. */
export function mannerOf(whole: string, partial: string, said: string): Manner | undefined {
  const rest = whole.slice(partial.length)
  const next = rest.slice(0, agreeingCharsMax)
  const word = lastWordOf(partial)
  if (next === '' || said === '') return undefined
  if (said.startsWith(next)) return 'exact'
  if (said.startsWith(` ${next}`)) return 'adds-a-space'
  if (word !== '' && (said.startsWith(` ${word}${next}`) || said.startsWith(word + next)))
    return 'repeats-the-last-word'
  if (said.startsWith(whole.slice(0, partial.length + agreeingCharsMax)))
    return 'from-the-beginning'
  return undefined
}

/**
 * Best first: nothing to mend, then the smaller mending; with either, the template's own way before the raw prompt,
 * since only there the server's parsers run. A conversation that is answered from the beginning is no better than the
 * client's own request asked again, and that is what `restart` does.
 */
export function inOrder(
  found: readonly {
    readonly method: 'trailing' | 'raw'
    readonly manner: Manner | undefined
    readonly trims?: boolean
  }[],
  canRestart: boolean,
): Way[] {
  const methods = ['trailing', 'raw']
  const usable: Way[] = found.flatMap(({ method, manner, trims }) => {
    if (manner === undefined || manner === 'from-the-beginning') return []
    return [{ method, manner, ...(trims ? { trims } : {}) }]
  })
  usable.sort(
    (one, other) =>
      Number(one.manner !== 'exact') - Number(other.manner !== 'exact') ||
      methods.indexOf(one.method) - methods.indexOf(other.method),
  )
  return canRestart ? [...usable, restart] : usable
}

export const restart: Way = { method: 'restart', manner: 'from-the-beginning' }
