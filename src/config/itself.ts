import { isIPv4 } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import type { ListenAddress } from '../core/settings.ts'
import type { BackendUrl } from './backend-url.ts'

/** True when a request to this backend would come back to the proxy that sent it. */
export function isItself(
  { host, port }: Pick<BackendUrl, 'host' | 'port'>,
  listen: ListenAddress,
  own: readonly string[] = ownAddresses(),
): boolean {
  if (port !== listen.port) return false
  const target = host
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
  if (isUnspecified(listen.host))
    return isLoopback(target) || isUnspecified(target) || own.includes(target)
  if (target === listen.host) return true
  // Connecting to 0.0.0.0 reaches this machine's loopback.
  const reached = isUnspecified(target) ? '127.0.0.1' : target
  if (reached === listen.host) return true
  return (
    isLoopback(reached) &&
    isLoopback(listen.host) &&
    (reached === 'localhost' || listen.host === 'localhost')
  )
}

const isLoopback = (host: string) =>
  host === 'localhost' ||
  host.endsWith('.localhost') ||
  host === '::1' ||
  (isIPv4(host) && host.startsWith('127.'))

const isUnspecified = (host: string) => host === '0.0.0.0' || host === '::'

function ownAddresses(): string[] {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return [hostname().toLowerCase(), ...addresses.map(({ address }) => address.toLowerCase())]
}
