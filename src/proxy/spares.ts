/** More would be sockets for a case that is rare; what is beyond them is opened when it is needed. */
const sparesMax = 64
/** For fewer streams than this, opening connections is no part of what anybody would notice. */
const sparesMin = 4

/**
 * How many connections should stand ready at each of these, so that the streams of any one of the others could go on
 * there at once: when a host dies, opening a connection for each is most of what they wait for.
 */
export function sparesFor<E>(
  streamsAt: ReadonlyMap<E, number>,
  ready: readonly E[],
): ReadonlyMap<E, number> {
  const spares = new Map<E, number>()
  for (const each of ready) {
    let most = 0
    for (const [other, streams] of streamsAt) if (other !== each) most = Math.max(most, streams)
    const share = Math.ceil(most / Math.max(1, ready.length - 1))
    spares.set(each, share < sparesMin ? 0 : Math.min(share, sparesMax))
  }
  return spares
}
