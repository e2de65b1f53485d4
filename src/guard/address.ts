import { BlockList, isIP } from 'node:net'

/** As nearly all addresses come: there is nothing to make normal. */
const plainIPv4 = /^[\d.]+$/

/** An address in the one form that is compared: lower case, without a zone, IPv4 not dressed up as IPv6. */
export function normalAddress(address: string): string {
  if (plainIPv4.test(address)) return address
  const bare = address.toLowerCase().replace(/%.*$/, '')
  return /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(bare)?.[1] ?? bare
}

/** A list of addresses and CIDR ranges to ask whether an address is in it. */
export function addressList(ranges: Iterable<string>): (address: string) => boolean {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits] = range.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return (address) => {
    const normal = normalAddress(address)
    const family = isIP(normal)
    return family !== 0 && list.check(normal, family === 6 ? 'ipv6' : 'ipv4')
  }
}

export const isLoopback = addressList(['127.0.0.0/8', '::1'])

/** Private use, as RFC 1918 and RFC 4193 have it; a link-local address is not meant. */
export const isPrivate = addressList(['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'])

export const isUnspecified = addressList(['0.0.0.0', '::'])
