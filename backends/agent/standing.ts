import { isSameTag, memberHeader, memberTag, sessionKey } from '../../src/guard/signing.ts'
import { headerOf } from '../../src/proxy/headers.ts'

/** How the agent stands to the proxy that it joins. */
export type JoinState = 'alone' | 'joining' | 'pending' | 'accepted' | 'leaving'

/**
 * What the agent and its proxy share: the key of the token, and since the last join that of the session. Who wants to
 * know whether a request comes from the proxy asks here; secrets stay inside.
 */
export class Standing {
  /** Undefined: no token was given, so nobody can be believed. */
  readonly key: Buffer | undefined
  readonly name: string
  /** One run of this process. */
  readonly instance: string
  state: JoinState = 'alone'
  /** Ours, of the join that is under way or was the last. */
  nonce: string
  #session: Buffer | undefined
  #tag: string | undefined
  /** The highest number that came with a call of the proxy in this session. */
  #sequence = 0

  constructor(who: { key: Buffer | undefined; name: string; instance: string; nonce: string }) {
    this.key = who.key
    this.name = who.name
    this.instance = who.instance
    this.nonce = who.nonce
  }

  get session(): Buffer | undefined {
    return this.#session
  }

  /** Both sides have chosen a nonce, so neither can bring an old session back. */
  open(proxyNonce: string): void {
    if (!this.key) return
    this.#session = sessionKey(this.key, this.nonce, proxyNonce)
    this.#tag = memberTag(this.#session)
    this.#sequence = 0
  }

  close(): void {
    this.#session = undefined
    this.#tag = undefined
  }

  /** True once for each number, and only for growing ones: a call that is played again has an old one. */
  isNext(sequence: number): boolean {
    if (!Number.isSafeInteger(sequence) || sequence <= this.#sequence) return false
    this.#sequence = sequence
    return true
  }

  /** Name, value … */
  isFromProxy(rawHeaders: readonly string[]): boolean {
    if (this.#tag === undefined) return false
    const given = headerOf(rawHeaders, memberHeader)
    return given !== undefined && isSameTag(given, this.#tag)
  }
}
