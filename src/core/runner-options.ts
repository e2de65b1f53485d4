/**
 * The options that make a runner, as one text: `name=value` by name, as the client wrote the values. '' is a request
 * without any, which takes what the server gives by itself.
 */
export type RunnerKey = string

/** What is known of a loaded runner. */
export interface RunnerKnown {
  /** What the last load of ours asked for; undefined: somebody else loaded it. */
  readonly loadedWith: RunnerKey | undefined
  /** Context in tokens of the runner; undefined: not said. */
  readonly contextLoaded: number | undefined
  /** What the model was trained with: Ollama gives no more than that. */
  readonly contextTrained: number | undefined
  /** What the server gives a request that asks for none, where the operator said so. */
  readonly contextDefault: number | undefined
}

/**
 * Whether a request with these options takes the runner as it is. Other text is not other options: a context that
 * equals the loaded one is the same however it was asked for. `unknown`: nobody told, and nothing is assumed.
 */
export function compareRunner(wanted: RunnerKey, known: RunnerKnown): 'same' | 'other' | 'unknown' {
  const { loadedWith } = known
  if (loadedWith === wanted) return 'same'
  const context = contextIn(wanted, known)
  if (context !== undefined && known.contextLoaded !== undefined && context !== known.contextLoaded)
    return 'other'
  if (loadedWith !== undefined)
    return context !== undefined &&
      context === contextIn(loadedWith, known) &&
      othersIn(wanted) === othersIn(loadedWith)
      ? 'same'
      : 'other'
  // Loaded by somebody else: the context can be seen, the other options can not.
  if (othersIn(wanted) !== '') return 'unknown'
  return context !== undefined && context === known.contextLoaded ? 'same' : 'unknown'
}

/** The context that it comes to; undefined: the server decides, and how is not known. */
function contextIn(key: RunnerKey, known: RunnerKnown): number | undefined {
  // Nearly always there are none, and this is asked of every endpoint for every request.
  const text = key === '' ? undefined : /(?:^| )num_ctx=([^ ]*)/.exec(key)?.[1]
  if (text === undefined) {
    // What a load without any made is what the server gives.
    return known.loadedWith !== undefined && !known.loadedWith.includes('num_ctx=')
      ? (known.contextLoaded ?? known.contextDefault)
      : known.contextDefault
  }
  const asked = Number(text)
  if (!Number.isFinite(asked)) return undefined
  return Math.min(asked, known.contextTrained ?? Number.POSITIVE_INFINITY)
}

function othersIn(key: RunnerKey): string {
  if (key === '') return ''
  return key
    .split(' ')
    .filter((each) => each !== '' && !each.startsWith('num_ctx='))
    .join(' ')
}
