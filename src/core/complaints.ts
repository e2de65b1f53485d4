import { didYouMean } from './did-you-mean.ts'

/** Somebody who made more mistakes than this sent something else altogether. */
const shownMax = 20
/** No word of ours has as many letters. */
const wordUnitsMax = 40

/**
 * What is wrong, in words, for the first of those that are; behind them, how many more there are. Only what is shown is
 * put into words, since a body has room for a million mistakes.
 */
export function complaintsOf<T>(wrong: readonly T[], say: (one: T) => string): string[] {
  const more = wrong.length - shownMax
  const shown = wrong.slice(0, shownMax).map(say)
  return more > 0 ? [...shown, `and ${more} more`] : shown
}

/** A word of somebody else's, in a sentence of ours. */
export function shortened(word: string): string {
  return word.length <= wordUnitsMax ? word : `${word.slice(0, wordUnitsMax).toWellFormed()}…`
}

/** The known word that was meant; undefined as well for what is too long to be a misspelt one, and to be compared. */
export function meantBy(word: string, known: Iterable<string>): string | undefined {
  return word.length > wordUnitsMax ? undefined : didYouMean(word, known)
}
