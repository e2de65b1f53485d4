import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/**
 * How a proxy and an agent know each other's words for their own: both have the token, nothing secret is ever sent.
 * A signature stands in the head `X-Chasqui-Signed: v1 <timestampMs> <nonce> <mac>` and covers method, path, time,
 * nonce and body, so that nothing of a call can be changed, and no call be played again under another name.
 */
export const signedHeader = 'x-chasqui-signed'

/** Head of what a proxy forwards to an agent that has joined it: the member's tag. Never passed on. */
export const memberHeader = 'x-chasqui-member'

/** How far two machines' clocks may be apart. Nonces are remembered for twice as long. */
export const skewMsMaxDefault = 60_000

/** Both sides make it of `join.token`. */
export function joinKey(token: string): Buffer {
  return createHmac('sha256', token).update('chasqui join v1').digest()
}

/** For everything after the join: another one each time, so that old calls mean nothing to a new session. */
export function sessionKey(key: Buffer, agentNonce: string, proxyNonce: string): Buffer {
  return createHmac('sha256', key).update(['session', agentNonce, proxyNonce].join('\n')).digest()
}

/** What forwarded requests carry, in place of a signature over each body. 128 bits in hex. */
export function memberTag(session: Buffer): string {
  return createHmac('sha256', session).update('member').digest('hex').slice(0, 32)
}

/** Compares in constant time; of different lengths, at once. */
export function isSameTag(given: string, wanted: string): boolean {
  return given.length === wanted.length && timingSafeEqual(Buffer.from(given), Buffer.from(wanted))
}

interface Message {
  readonly key: Buffer
  /** As sent; of an answer `ANSWER <status>`. */
  readonly method: string
  /** The request's target, with its query. */
  readonly path: string
  readonly body: string | Buffer
  readonly nowMs: number
}

/** The value of the head. `nonce`: 16 random bytes in hex; of an answer, the request's. */
export function sign(message: Message & { readonly nonce: string }): string {
  const { nonce, nowMs } = message
  return `v1 ${nowMs} ${nonce} ${macOf(message, nonce, nowMs).toString('hex')}`
}

export type Verdict =
  | { readonly ok: true; readonly nonce: string; readonly timestampMs: number }
  | { readonly ok: false; readonly why: 'unsigned' | 'unreadable' | 'stale' | 'forged' }

/**
 * Is it what the other side signed, and of now? Whether the nonce was seen before is for the caller to know; `nonce`
 * is given where only one will do, which is the request's in its answer.
 */
export function verify(
  message: Message & {
    readonly header: string | undefined
    readonly skewMsMax?: number
    readonly nonce?: string
  },
): Verdict {
  const { header, nowMs, skewMsMax = skewMsMaxDefault } = message
  if (header === undefined || header === '') return { ok: false, why: 'unsigned' }
  const [, timestamp, nonce, mac] =
    /^v1 (\d{1,15}) ([0-9a-f]{32}) ([0-9a-f]{64})$/.exec(header) ?? []
  if (timestamp === undefined || nonce === undefined || mac === undefined)
    return { ok: false, why: 'unreadable' }
  const timestampMs = Number(timestamp)
  const wanted = macOf(message, nonce, timestampMs)
  if (!timingSafeEqual(Buffer.from(mac, 'hex'), wanted)) return { ok: false, why: 'forged' }
  if (message.nonce !== undefined && message.nonce !== nonce) return { ok: false, why: 'forged' }
  // Only now: a stranger learns nothing about our clock.
  if (Math.abs(nowMs - timestampMs) > skewMsMax) return { ok: false, why: 'stale' }
  return { ok: true, nonce, timestampMs }
}

function macOf({ key, method, path, body }: Message, nonce: string, timestampMs: number): Buffer {
  const bodyHash = createHash('sha256').update(body).digest('hex')
  return createHmac('sha256', key)
    .update(['v1', method, path, timestampMs, nonce, bodyHash].join('\n'))
    .digest()
}
