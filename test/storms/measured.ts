import type { Measured } from './proxy-host.ts'

/** The proxy at rest: with its backends, and with none configured, when no connection has a reason to be. */
export interface Baseline {
  readonly full: Measured
  readonly empty: Measured
}

/** What a storm may leave behind. */
const share = 0.05

/** In words, all that is not as it was. */
export function comparedWith(before: Baseline, after: Baseline): string[] {
  const faults: string[] = []
  for (const [when, { quiet, ...now }] of Object.entries({ before: before.full, now: after.full }))
    if (!quiet) faults.push(`not at rest ${when}: ${JSON.stringify(now)}`)
  const { started, ended } = after.full
  if (started !== ended) faults.push(`${started} exchanges were begun and ${ended} ended`)
  const sockets = after.empty.resources['TCPSocketWrap'] ?? 0
  if (sockets !== 0)
    faults.push(
      `${sockets} sockets are open, and nobody is there: ${after.empty.sockets.join('; ')}`,
    )
  const within = (what: string, one: number, other: number, spare = 0) => {
    if (other > one * (1 + share) + spare) faults.push(`${what} went from ${one} to ${other}`)
  }
  within('the heap', before.full.heapBytes, after.full.heapBytes)
  for (const kind of ['Timeout', 'TCPServerWrap', 'FSReqPromise', 'FileHandle'])
    within(kind, before.empty.resources[kind] ?? 0, after.empty.resources[kind] ?? 0)
  // A kept connection may hold its last one; with the connections they go.
  if (after.empty.exchangesHeld > 0) faults.push(`${after.empty.exchangesHeld} exchanges are held`)
  return faults
}
