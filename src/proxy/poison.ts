import { createHash } from 'node:crypto'

/** How long a request that ended two runners is refused. */
const banMs = 600_000
/** More than this many different killers in ten minutes means trouble of another kind; the oldest are forgotten. */
const bansMax = 1_000

/** Requests under which two model runners died, by (model, body): refused for ten minutes everywhere. */
export class Poison {
  readonly #bans = new Map<string, number>()

  /** Cheap while nothing is banned: nothing is hashed then. */
  isBanned(model: string, body: () => Uint8Array | undefined, nowMs: number): boolean {
    if (this.#bans.size === 0) return false
    for (const [key, untilMs] of this.#bans) {
      if (untilMs > nowMs) break // in order of time
      this.#bans.delete(key)
    }
    const bytes = this.#bans.size === 0 ? undefined : body()
    return bytes !== undefined && this.#bans.has(keyOf(model, bytes))
  }

  ban(model: string, body: Uint8Array | undefined, nowMs: number): void {
    if (body === undefined) return
    const key = keyOf(model, body)
    this.#bans.delete(key)
    this.#bans.set(key, nowMs + banMs)
    if (this.#bans.size > bansMax) {
      const [oldest] = this.#bans.keys()
      if (oldest !== undefined) this.#bans.delete(oldest)
    }
  }
}

function keyOf(model: string, body: Uint8Array): string {
  return `${model} ${createHash('sha256').update(body).digest('base64')}`
}
