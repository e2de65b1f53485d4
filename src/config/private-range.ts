import { BlockList, isIP } from 'node:net'

/** Private use (RFC 1918, RFC 4193) and this machine itself: what may be asked address by address. */
const ranges = [
  ['10.0.0.0', 8, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['fc00::', 7, 'ipv6'],
  ['::1', 128, 'ipv6'],
] as const

/** How many addresses a checked range has; undefined: not all of them are private. */
export function privateAddressCount(range: string): number | undefined {
  const [address = '', bits] = range.split('/')
  const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
  const width = family === 'ipv6' ? 128 : 32
  const length = bits === undefined ? width : Number(bits)
  // Wider than the widest private range of its family, it reaches beyond it.
  const within = ranges.some(([base, most, of]) => {
    if (of !== family || length < most) return false
    const list = new BlockList()
    list.addSubnet(base, most, of)
    return list.check(address, family)
  })
  return within ? 2 ** (width - length) : undefined
}
