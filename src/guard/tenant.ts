import { createHash } from 'node:crypto'
import type { TenantSettings } from '../core/settings.ts'
import { addressList, normalAddress } from './address.ts'
import { bearerOf, headerOf, type RequestHeaders } from './headers.ts'

export interface TenantAsk {
  readonly peerAddress: string | undefined
  readonly headers: RequestHeaders
}

/** A longer name of a user is no name but an attempt at our memory. */
const userLengthMax = 256

/**
 * Who a request is counted for: the user that a trusted peer names, else the key, else the address. The three cannot
 * be mistaken for each other: `user:…`, `key:…`, and an address. A key itself is never in it.
 */
export function tenantOf(ask: TenantAsk, settings: TenantSettings): string {
  return userOf(ask, settings) ?? keyOf(ask.headers) ?? addressOf(ask)
}

/** Whether the peer may speak for the users behind it. */
export function isTrusted({ peerAddress }: TenantAsk, settings: TenantSettings): boolean {
  if (settings.trustedFrom.length === 0 || peerAddress === undefined) return false
  return trustedBy(settings)(peerAddress)
}

function userOf(ask: TenantAsk, settings: TenantSettings): string | undefined {
  if (!isTrusted(ask, settings)) return undefined
  const { headers } = ask
  for (const name of settings.userHeaders) {
    const user = headerOf(headers, name.toLowerCase())?.trim()
    if (user !== undefined && isUser(user)) return `user:${user}`
  }
  return undefined
}

/** One that cannot stand in a log line or a metric as it is counts as not given; cut short, two could become one. */
const isUser = (user: string) => user.length <= userLengthMax && /^[\x20-\x7e]+$/.test(user)

function keyOf(headers: RequestHeaders): string | undefined {
  const key = bearerOf(headers) ?? headerOf(headers, 'x-api-key')
  if (key === undefined || key === '') return undefined
  return `key:${createHash('sha256').update(key).digest('hex').slice(0, 16)}`
}

const addressOf = ({ peerAddress }: TenantAsk) =>
  peerAddress === undefined ? 'unknown' : normalAddress(peerAddress)

/** Settings are frozen, so their list of ranges is built once for each. */
const lists = new WeakMap<TenantSettings, (address: string) => boolean>()

function trustedBy(settings: TenantSettings): (address: string) => boolean {
  const known = lists.get(settings)
  if (known) return known
  const made = addressList(settings.trustedFrom)
  lists.set(settings, made)
  return made
}
