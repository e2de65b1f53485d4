import { createHash, timingSafeEqual } from 'node:crypto'
import { isLoopback } from './address.ts'
import { bearerOf, headerOf, type RequestHeaders } from './headers.ts'

export interface AdminAsk {
  readonly peerAddress: string | undefined
  readonly headers: RequestHeaders
  /** The operator's token; undefined: there is none, and only this machine may. */
  readonly token: string | undefined
}

/** May this request change the fleet? Somebody at this machine may, and whoever has the token. */
export function mayChangeFleet({ peerAddress, headers, token }: AdminAsk): boolean {
  if (peerAddress !== undefined && isLoopback(peerAddress) && !wasForwarded(headers)) return true
  if (token === undefined || token === '') return false
  const given = [bearerOf(headers), headerOf(headers, 'x-chasqui-admin-token')]
  return given.some((words) => words !== undefined && isSame(words, token))
}

/** A proxy on this machine speaks from loopback for clients that are anywhere. */
function wasForwarded(headers: RequestHeaders): boolean {
  return Object.entries(headers).some(
    ([name, value]) =>
      value !== undefined && /^(forwarded|x-forwarded(-.*)?|x-real-ip|via)$/i.test(name),
  )
}

/** Hashed first: only texts of one length can be compared in constant time, and a length says something too. */
function isSame(given: string, wanted: string): boolean {
  const hash = (words: string) => createHash('sha256').update(words).digest()
  return timingSafeEqual(hash(given), hash(wanted))
}
