/**
 * How often a function is called before it is compiled, first quickly and then well; and for how many calls nothing new
 * must have been seen in it. V8 has 400, 3,000 and 500, which suit a page: a fleet at home asks a few hundred times a day,
 * and of a lone request's way through us a fifth is that its code was never compiled. Lower still, and compiling takes
 * most of the first seconds of a single core.
 */
export const tiers = Object.freeze({
  'invocation-count-for-maglev': 100,
  'invocation-count-for-turbofan': 800,
  'minimum-invocations-after-ic-update': 100,
})

/** The V8 whose words these are; another one may have others, and says so on stderr when it does not know them. */
const v8Of = '13.6.'

/**
 * For a process that serves. To be called when it is ready: what is only called by the start is not worth it, and Node's
 * module for it takes 3 ms to load.
 */
export function compileSooner(): void {
  if (!process.versions.v8.startsWith(v8Of)) return
  const { setFlagsFromString } = process.getBuiltinModule('node:v8')
  for (const [flag, count] of Object.entries(tiers)) setFlagsFromString(`--${flag}=${count}`)
}
