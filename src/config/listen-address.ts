import { isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { ListenAddress } from '../core/settings.ts'
import type { Fault } from './fault.ts'
import { maskUrl } from './mask.ts'

const what = 'must be an address and a port, such as 127.0.0.1:11435, [::1]:11435 or :11435'

/** `HOST:PORT` → its two parts. No host means every interface of this machine. */
export function readListenAddress(words: string): ListenAddress | Fault {
  if (/^\d+$/.test(words))
    return {
      message: what,
      hint: `write "127.0.0.1:${words}" for this machine only, or ":${words}" for every interface`,
    }
  if (/^https?:\/\//i.test(words))
    return { message: `${what}, without a scheme`, hint: `write "${bare(words)}"` }

  const parts = /^(?:\[([^\]]*)\]|([^:[\]/\s]*)):(\d+)$/.exec(words)
  if (!parts) return { message: what }
  const [, bracketed, plain, digits] = parts
  const port = Number(digits)
  if (port > 65_535) return { message: 'has a port that is out of range: 0 to 65535' }
  if (bracketed !== undefined)
    return isIPv6(bracketed) ? { host: bracketed.toLowerCase(), port } : { message: what }
  if (plain === undefined || plain === '') return { host: everyInterface(), port }
  return isHostName(plain) ? { host: plain.toLowerCase(), port } : { message: what }
}

const isHostName = (words: string) =>
  words.length <= 253 && /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/i.test(words)

const bare = (url: string) =>
  maskUrl(url)
    .replace(/^https?:\/\//i, '')
    .replace(/\/.*$/, '')

/** `::` takes IPv4 as well, but cannot be opened where a kernel has no IPv6. */
function everyInterface(): string {
  const addresses = Object.values(networkInterfaces()).flat()
  return addresses.some((address) => address?.family === 'IPv6') ? '::' : '0.0.0.0'
}
