import type { Peer } from './peer.ts'

/** The load straight to the upstream: what the rest is compared with. Its CPU figures are the upstream's. */
export const direct: Peer = {
  name: 'direct',
  note: 'no proxy; CPU is the upstream’s, which shares its core with the load',
  look: () => ({ version: '' }),
  command: () => undefined,
}
