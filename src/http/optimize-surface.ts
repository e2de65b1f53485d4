import type { FastifyInstance } from 'fastify'
import { Failure } from '../core/failure.ts'
import type { Optimizer } from '../proxy/residency/optimizer.ts'
import type { Advice } from '../routing/residency/advice.ts'
import type { HttpDoors } from './doors.ts'
import { requireAdmin } from './problems.ts'
import { queueStatus } from './status.ts'

/** What would help the fleet, and its state in one answer: for operators, and for the tools that speak Hive's API. */
export function optimizeSurface(
  fastify: FastifyInstance,
  doors: HttpDoors,
  optimizer: Optimizer,
): void {
  fastify.get('/api/distributed/cluster/status', () => {
    const { backends, ...rest } = queueStatus(doors)
    const { active_backends: active, total_backends: total } = rest
    return {
      status: active === 0 ? 'down' : active < total ? 'degraded' : 'healthy',
      healthy_agents: active,
      total_agents: total,
      capacity: rest.capacity,
      active_tasks: rest.in_flight,
      pending_tasks: rest.queue_size,
      agents: backends,
    }
  })

  fastify.post('/api/distributed/cluster/optimize', async (request) => {
    requireAdmin(request, doors)
    const apply = applyIn(request.body)
    const advice = optimizer.advise()
    const applied = apply ? await optimizer.apply(advice) : []
    return {
      advice: advice.map(inWords),
      applied: applied.filter(({ done }) => done).map(({ advice: each }) => inWords(each)),
      not_applied: applied
        .filter(({ done }) => !done)
        .map(({ advice: each, note }) => ({ ...inWords(each), note })),
    }
  })
}

/** `{"apply": true}`; no body, or one without it: only advice. */
function applyIn(body: unknown): boolean {
  if (body === undefined || body === null) return false
  const { apply = false } = body as { apply?: unknown }
  if (typeof body !== 'object' || typeof apply !== 'boolean')
    throw new Failure('request_invalid', '"apply" must be true or false')
  return apply
}

function inWords({ kind, backend, model, unload, gain, why, safe }: Advice) {
  const seconds = Math.round(gain.seconds * 10) / 10
  const gained =
    gain.per === 'hour' ? { gain_s_per_hour: seconds } : { gain_s_per_request: seconds }
  return { kind, backend, model: model ?? null, unload, ...gained, why, safe }
}
