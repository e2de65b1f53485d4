import type { Peer } from '../peers/peer.ts'
import { PeerDown } from './scene.ts'

/** A peer in this run. */
export interface Actor {
  readonly peer: Peer
  readonly version: string
  /** Why it takes no part, or no longer. */
  out: string | undefined
}

/** What one measure found of one peer, a sample per round. */
export interface Row<Sample> {
  readonly actor: Actor
  readonly samples: readonly Sample[]
  /** The last reason why a sample was lost. */
  readonly fault: string | undefined
}

/** Every round goes once through all peers in a fresh order, so that a slow minute of the machine hits them alike. */
export async function inRounds<Sample>(
  title: string,
  actors: readonly Actor[],
  count: number,
  shuffle: <T>(items: readonly T[]) => T[],
  sample: (peer: Peer) => Promise<Sample>,
): Promise<Row<Sample>[]> {
  const rows = actors.map((actor) => ({
    actor,
    samples: [] as Sample[],
    fault: undefined as string | undefined,
  }))
  for (let round = 1; round <= count; round++) {
    for (const row of shuffle(rows)) {
      const { actor } = row
      if (actor.out !== undefined) continue
      process.stderr.write(`${title} ${round}/${count} ${actor.peer.name}\n`)
      try {
        row.samples.push(await sample(actor.peer))
      } catch (error) {
        row.fault = error instanceof Error ? error.message : `${error}`
        process.stderr.write(`  lost: ${row.fault}\n`)
        if (error instanceof PeerDown) actor.out = row.fault
      }
    }
  }
  return rows
}
