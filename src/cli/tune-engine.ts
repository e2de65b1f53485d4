/**
 * How often a function is called before it is compiled, first quickly and then well; and for how many calls nothing new
 * must have been seen in it. V8 has 400, 3,000 and 500, which suit a page: a fleet at home asks a few hundred times a day,
 * and of a lone request's way through us a fifth is that its code was never compiled. Lower still, and compiling takes
 * most of the first seconds of a single core.
 */
const tiers = [
  '--invocation-count-for-maglev=100',
  '--invocation-count-for-turbofan=800',
  '--minimum-invocations-after-ic-update=100',
]

/**
 * V8 puts among the old objects what used to live long where it was made (allocation site pretenuring). A request lives
 * as long as its answer: some hundred long answers taught V8 that, in a third of the starts, and from then on each short
 * one left 16 KB that only a full collection could free, and that every scavenge copied. Those took 40 ms instead of 4.
 */
const noPretenuring = '--no-allocation-site-pretenuring'

export const engineOptions: readonly string[] = Object.freeze([...tiers, noPretenuring])

/** The V8 whose words these are; another one may have others, and says so on stderr when it does not know them. */
const v8Of = '13.6.'

/**
 * For a process that serves. To be called when it is ready: compiling sooner what is only called by the start is not worth
 * it, and Node's module for it takes 3 ms to load.
 */
export function tuneEngine(): void {
  if (!process.versions.v8.startsWith(v8Of)) return
  const { setFlagsFromString } = process.getBuiltinModule('node:v8')
  for (const option of engineOptions) setFlagsFromString(option)
}
