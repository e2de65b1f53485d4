import type { Endpoint } from '../pool/endpoint.ts'
import type { HttpDoors } from './doors.ts'

/** A server's state in one word, as the three voices together make it. */
export function stateOf(endpoint: Endpoint): {
  state: 'ready' | 'warming' | 'draining' | 'resting' | 'away' | 'unknown'
  reason: string
} {
  if (!endpoint.enabled) return { state: 'draining', reason: 'drained by the operator' }
  if (endpoint.health.state !== 'ready')
    return { state: endpoint.health.state, reason: endpoint.health.reason }
  if (!endpoint.admitting)
    return { state: 'resting', reason: endpoint.lastError ?? 'failed several times in a row' }
  return { state: 'ready', reason: '' }
}

/** Of a line of thousands nobody reads the end. */
const waitingShownMax = 100

/** The answer of `GET /queue-status`: the seed's four fields first, then what there is to know. Reads memory only. */
export function queueStatus({
  pool,
  queue,
  loads,
  why,
}: Pick<HttpDoors, 'pool' | 'queue' | 'loads' | 'why'>) {
  const inFlight = pool.endpoints.reduce((sum, endpoint) => sum + endpoint.inFlight, 0)
  return {
    queue_size: queue.size + pool.endpoints.reduce((sum, each) => sum + each.waitingThere, 0),
    active: inFlight > 0,
    active_backends: pool.endpoints.filter(
      (endpoint) => endpoint.enabled && endpoint.ready && endpoint.admitting,
    ).length,
    total_backends: pool.endpoints.length,
    in_flight: inFlight,
    capacity: queue.capacity(),
    by_priority: { ...queue.byPriority() },
    by_model: queue.byModel(),
    oldest_wait_ms: Math.round(queue.oldestWaitMs()),
    estimated_wait_ms: queue.estimatedWaitMs(),
    /** In the order in which seats are offered; the first of them. */
    waiting: why?.waiting(waitingShownMax) ?? [],
    digest_conflicts: digestConflicts({ pool }),
    backends: pool.endpoints.map((endpoint) => backendStatus(endpoint, loads.underWay(endpoint))),
    /** Taken out by a reload; what runs there ends. */
    leaving: [...pool.leaving].map(({ name, leases }) => ({ name, running: leases.size })),
  }
}

function backendStatus(endpoint: Endpoint, loading: number) {
  const { state, reason } = stateOf(endpoint)
  const slots: Record<string, string> = {}
  for (const { model, used, limit } of endpoint.seatRows()) slots[model] = `${used}/${limit}`
  return {
    name: endpoint.name,
    url: endpoint.backend.origin + endpoint.backend.pathPrefix,
    state: state === 'ready' && loading > 0 ? 'warming' : state,
    reason: state === 'ready' && loading > 0 ? 'loading a model' : reason,
    slots,
    in_flight: endpoint.inFlight,
    models: [...endpoint.onDisk.keys()],
    resident: [...endpoint.inMemory.keys()],
    busy: endpoint.inFlight > 0,
    tokens_per_second: rounded(endpoint.tokensPerSecond.value),
    expected_ttft_ms: rounded(endpoint.firstByteMs.value),
    last_error: endpoint.lastError ?? null,
    version: endpoint.version ?? null,
    labels: endpoint.labels,
    agent: agentStatus(endpoint),
  }
}

/** What its agent said last, in short; null where there is none. `GET /api/workers` has the whole. */
function agentStatus({ told, backend }: Endpoint) {
  if (!told || !backend.agent) return null
  const { queue, active, hidden, free_slots, gpus, memory, cpu } = told.report
  return { queue, active, hidden, free_slots, gpus, memory, cpu }
}

/** Names that mean different weights on different backends: what the operator should mend. */
export function digestConflicts({ pool }: Pick<HttpDoors, 'pool'>) {
  const names = new Set(pool.endpoints.flatMap((endpoint) => [...endpoint.onDisk.keys()]))
  return [...names].flatMap((model) => {
    const serving = pool.servingDigest(model)
    if (serving === undefined) return []
    const digests: Record<string, string[]> = {}
    for (const endpoint of pool.holders(model)) {
      const digest = endpoint.onDisk.get(model)?.digest ?? 'unknown'
      digests[digest] = [...(digests[digest] ?? []), endpoint.name]
    }
    return [{ model, serving, digests }]
  })
}

function rounded(value: number | undefined): number | null {
  return value === undefined ? null : Math.round(value * 10) / 10
}
