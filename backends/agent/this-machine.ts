import { networkInterfaces } from 'node:os'
import { isLoopback, isUnspecified, normalAddress } from '../../src/guard/address.ts'

/** Whether what this URL names is served on this machine, as far as the name itself tells. */
export function isThisMachine({ hostname }: URL): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  if (host === 'localhost' || isLoopback(host) || isUnspecified(host)) return true
  const own = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return own.some(({ address }) => normalAddress(address) === normalAddress(host))
}
