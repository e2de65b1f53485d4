import type { FastifyInstance } from 'fastify'
import { Failure } from '../core/failure.ts'
import type { HttpDoors } from './doors.ts'
import { requireAdmin } from './problems.ts'
import { stateOf } from './status.ts'
import { memberAt, workers } from './workers.ts'

interface Named {
  readonly Params: { readonly id: string }
}

/** Who serves: to see by everybody, to change by the operator. */
export async function workersSurface(fastify: FastifyInstance, doors: HttpDoors): Promise<void> {
  const { pool, members } = doors

  fastify.get('/api/workers', () => ({ workers: workers(doors) }))

  fastify.get<Named>('/api/workers/:id', ({ params: { id } }) => {
    const found = workers(doors).find((worker) => worker.id === id)
    if (!found) throw new Failure('worker_unknown', `there is no worker "${id}"`)
    return found
  })

  for (const [verb, enabled] of [
    ['drain', false],
    ['resume', true],
  ] as const)
    fastify.post<Named>(`/api/workers/:id/${verb}`, async (request) => {
      requireAdmin(request, doors)
      const endpoint = endpointOf(request.params.id, doors)
      pool.setEnabled(endpoint, enabled)
      if (enabled) void doors.manager.payDebts(endpoint)
      // What holds here holds whether its agent hears of it or not; its next heartbeat tells it.
      const agent = memberAt(endpoint, members) && (await members.tell(endpoint.name, verb))
      return {
        name: endpoint.name,
        ...stateOf(endpoint),
        in_flight: endpoint.inFlight,
        ...(agent === undefined ? {} : { agent }),
      }
    })

  for (const verb of ['accept', 'reject'] as const)
    fastify.post<Named>(`/api/workers/:id/${verb}`, async (request) => {
      requireAdmin(request, doors)
      const { id } = request.params
      if (!members.get(id) && pool.endpoint(id))
        throw new Failure('request_invalid', `"${id}" is a backend of the configuration`)
      await members[verb](id)
      return { name: id, state: members.get(id)?.state ?? (verb === 'accept' ? 'awaited' : 'gone') }
    })

  fastify.post<Named>('/api/workers/:id/restart', async (request, reply) => {
    requireAdmin(request, doors)
    const { id } = request.params
    const endpoint = members.get(id) ? pool.endpoint(id) : endpointOf(id, doors)
    if (endpoint && !memberAt(endpoint, members))
      throw new Failure('not_managed', `"${id}" has no agent that could restart it`)
    await members.restart(id)
    reply.code(202)
    return { name: id, state: 'restarting' }
  })
}

function endpointOf(name: string, { pool }: Pick<HttpDoors, 'pool'>) {
  const endpoint = pool.endpoint(name)
  if (!endpoint) throw new Failure('backend_unknown', `there is no backend "${name}"`)
  return endpoint
}
