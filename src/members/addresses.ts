import { isIP } from 'node:net'
import { addressList, isLoopback } from '../guard/address.ts'

/**
 * Which addresses may become a backend. Whoever joins chooses an address that this proxy will call, so what nobody
 * outside should make it call is refused: this machine, its links, and what clouds tell about their own machines.
 */
export interface AddressRules {
  /** The operator's exceptions. Our own listener is refused in spite of them. */
  readonly isAllowed: (address: string) => boolean
  /** Every address of this machine's interfaces. */
  readonly ownAddresses: readonly string[]
  /** The port on which this proxy listens. */
  readonly ownPort: number
}

const isUnspecified = addressList(['0.0.0.0/8', '::'])
/** RFC 3927, RFC 4291 2.5.6. */
const isLinkLocal = addressList(['169.254.0.0/16', 'fe80::/10'])
/** Where clouds serve credentials to who asks from the machine: most of them, AWS over IPv6, Alibaba. */
const isMetadata = addressList(['169.254.169.254', 'fd00:ec2::254', '100.100.100.200'])
/** RFC 5771, RFC 4291 2.7; what is reserved above and the broadcast with it. */
const isToMany = addressList(['224.0.0.0/4', '240.0.0.0/4', 'ff00::/8'])
/** IPv4 addresses in other dress: compatible, NAT64 (RFC 6052), 6to4 (RFC 3056). What they reach nobody can tell. */
const isTunnel = addressList(['::/96', '64:ff9b::/96', '64:ff9b:1::/48', '2002::/16'])

/** Why it may not be called; undefined: it may. */
export function barOfAddress(
  given: string,
  port: number,
  { isAllowed, ownAddresses, ownPort }: AddressRules,
): string | undefined {
  const address = plainAddress(given)
  if (address === undefined) return 'is no address'
  if (isOwnListener(address, port, { ownAddresses, ownPort }))
    return 'is where this proxy itself listens'
  if (isAllowed(address)) return undefined
  if (isLoopback(address)) return 'is loopback'
  if (isUnspecified(address)) return 'is the unspecified address'
  if (isMetadata(address)) return "is a cloud's metadata service"
  if (isLinkLocal(address)) return 'is link-local'
  if (isToMany(address)) return 'is multicast, broadcast or reserved'
  if (isTunnel(address)) return 'is an IPv4 address inside an IPv6 one'
  return undefined
}

/** A request to it would come back to this proxy. */
export function isOwnListener(
  address: string,
  port: number,
  { ownAddresses, ownPort }: Pick<AddressRules, 'ownAddresses' | 'ownPort'>,
): boolean {
  if (port !== ownPort) return false
  return isLoopback(address) || isUnspecified(address) || ownAddresses.includes(address)
}

/** Lower case, without a zone, IPv4 not dressed up as IPv6 in either way of writing it; undefined: no address. */
export function plainAddress(given: string): string | undefined {
  const bare = given.toLowerCase().replace(/%.*$/, '')
  if (isIP(bare) === 0) return undefined
  if (isIP(bare) === 4) return bare
  // The URL parser writes every IPv6 address in its one shortest form, and mapped ones in hex.
  const short = new URL(`http://[${bare}]`).hostname.slice(1, -1)
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(short)
  if (!mapped) return short
  const [high, low] = mapped.slice(1).map((part) => Number.parseInt(part, 16)) as [number, number]
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}

/** As a backend's origin has it. */
export function originOf(address: string, port: number): string {
  const { origin } = new URL(`http://${address.includes(':') ? `[${address}]` : address}:${port}`)
  return origin
}
