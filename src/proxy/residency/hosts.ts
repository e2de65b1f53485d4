import type { Clock } from '../../core/clock.ts'
import type { Endpoint } from '../../pool/endpoint.ts'
import type { Host, OnDisk, Resident } from '../../routing/residency/host.ts'

/** A server as residency sees it, as far as the last look told. `waiting`: seats that are held only to wait for a load. */
export function hostOf(
  endpoint: Endpoint,
  waiting: (endpoint: Endpoint, model: string) => number,
  clock: Clock,
): Host {
  const models = new Map<string, OnDisk>()
  const namesOf = new Map<string, string[]>()
  for (const [canonical, { digest, sizeBytes, remote }] of endpoint.onDisk) {
    if (remote || !endpoint.takes(canonical)) continue
    models.set(canonical, {
      bytes: sizeBytes,
      seats: endpoint.model(canonical)?.seatsLimit ?? 1,
    })
    const key = digest ?? canonical
    const names = namesOf.get(key)
    if (names) names.push(canonical)
    else namesOf.set(key, [canonical])
  }
  const residents: Resident[] = []
  for (const {
    canonical,
    digest,
    sizeBytes,
    sizeVramBytes,
    expiresAt,
  } of endpoint.inMemory.values()) {
    const names = namesOf.get(digest ?? canonical) ?? [canonical]
    const used = endpoint.model(canonical)?.seatsUsed ?? 0
    residents.push({
      names: names.includes(canonical) ? names : [canonical, ...names],
      bytes: sizeVramBytes || sizeBytes,
      inUse: Math.max(0, used - names.reduce((sum, name) => sum + waiting(endpoint, name), 0)),
      sinceMs: endpoint.inMemorySinceMs(canonical),
      keptMs: keptMs(expiresAt, clock),
    })
  }
  const { name, enabled, ready, admitting, loadsHang, inFlight, memory } = endpoint
  const serves = enabled && ready && admitting && !loadsHang
  return { name, serves, inFlight, residents, models, memory }
}

function keptMs(expiresAt: string | undefined, clock: Clock): number | undefined {
  const atMs = expiresAt === undefined ? Number.NaN : Date.parse(expiresAt)
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - clock.wall())
}
