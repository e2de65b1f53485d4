import type { LookupAddress } from 'node:dns'
import { maskUrl } from '../config/mask.ts'
import { type AddressRules, barOfAddress, originOf, plainAddress } from './addresses.ts'
import type { Refusal } from './register.ts'

/** All addresses of a host name, or an error with the system's code. */
export type Resolve = (host: string) => Promise<readonly LookupAddress[]>

/** A server has a few addresses; a longer list is a mistake. */
const addressesMax = 32

/** Where a member is called: an address that was checked, never a name that may mean another one tomorrow. */
export interface Place {
  readonly address: string
  readonly origin: string
}

/** The place that an agent gave: its URL, or the address from which it called and its port. */
export async function placeOf(
  given: { readonly url: string | undefined; readonly port: number; readonly peer: string },
  rules: AddressRules,
  resolve: Resolve,
): Promise<Place | Refusal> {
  if (given.url === undefined) return firstGood([given.peer], given.port, rules, given.peer)
  const url = URL.canParse(given.url) ? new URL(given.url) : undefined
  if (url?.protocol !== 'http:')
    return refused(`"${maskUrl(given.url)}" is no URL that starts with http://`)
  if (
    url.username !== '' ||
    url.password !== '' ||
    `${url.pathname}${url.search}${url.hash}` !== '/'
  )
    return refused('the URL of an agent is a host and a port, without login, path or query')
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = Number(url.port) || 80
  if (plainAddress(host) !== undefined) return firstGood([host], port, rules, host)
  try {
    const found = await resolve(host)
    const addresses = found.slice(0, addressesMax).map(({ address }) => address)
    return firstGood(addresses, port, rules, host)
  } catch {
    return refused(`the name ${host} has no address here`)
  }
}

/** Every address is looked at, and the first that may be called is taken. */
function firstGood(
  addresses: readonly string[],
  port: number,
  rules: AddressRules,
  host: string,
): Place | Refusal {
  const bars: string[] = []
  for (const each of addresses) {
    const bar = barOfAddress(each, port, rules)
    const address = plainAddress(each)
    if (bar === undefined && address !== undefined)
      return { address, origin: originOf(address, port) }
    bars.push(`${each === host ? '' : `${each} `}${bar}`)
  }
  return refused(`${host} can not join: ${bars.join('; ') || 'it has no address'}`)
}

const refused = (sentence: string): Refusal => ({ code: 'address_refused', sentence })
