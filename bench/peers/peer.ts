import type { Command } from '../lib/child.ts'

/** Something that stands between a client and the upstream, and is measured there. */
export interface Peer {
  readonly name: string
  /** What a reader must know of its settings. */
  readonly note: string
  /** Its version when it can run on this machine, else why not. */
  look(): { readonly version: string } | { readonly missing: string }
  /** How to start it; undefined for the way without anyone between. */
  command(place: Place): Command | undefined
}

export interface Place {
  readonly port: number
  readonly upstreamPort: number
  /** An empty folder of its own, removed afterwards. */
  readonly dir: string
}
