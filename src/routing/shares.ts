import { Recent } from '../core/recent.ts'

/** What somebody was given counts half after this long: who was idle has saved nothing up, and owes nothing for ever. */
const halfLifeMs = 60_000
/** Tenants that are told apart; the one that was served longest ago is forgotten. */
const tenantsMax = 10_000

interface Share {
  seconds: number
  atMs: number
}

/**
 * How much of the fleet each tenant was given of late, in seconds of a usual machine: a token of a large model is not
 * one of a small model, and a slow machine is no reason to be charged more.
 */
export class Shares {
  readonly #byTenant = new Recent<string, Share>(tenantsMax)

  /** Seconds that were given, or taken back when negative. */
  charge(tenant: string, seconds: number, nowMs: number): void {
    const share = this.#byTenant.get(tenant)
    if (!share) {
      this.#byTenant.set(tenant, { seconds: Math.max(0, seconds), atMs: nowMs })
      return
    }
    share.seconds = Math.max(0, share.seconds * decay(share, nowMs) + seconds)
    share.atMs = nowMs
  }

  of(tenant: string, nowMs: number): number {
    const share = this.#byTenant.peek(tenant)
    return share ? share.seconds * decay(share, nowMs) : 0
  }
}

function decay({ atMs }: Share, nowMs: number): number {
  return 0.5 ** (Math.max(0, nowMs - atMs) / halfLifeMs)
}
