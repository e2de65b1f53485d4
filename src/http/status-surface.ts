import type { FastifyInstance } from 'fastify'
import type { HttpDoors } from './doors.ts'
import { membersSurface } from './members-surface.ts'
import { optimizeSurface } from './optimize-surface.ts'
import { requireAdmin } from './problems.ts'
import { sendReloaded } from './reload.ts'
import { queueStatus, stateOf } from './status.ts'
import { statusPage } from './status-page.ts'
import { whySurface } from './why-surface.ts'
import { workersSurface } from './workers-surface.ts'

/** Sight and control: what there is to see of the fleet, and the operator's two words to it. */
export async function statusSurface(fastify: FastifyInstance, doors: HttpDoors): Promise<void> {
  const { pool } = doors

  optimizeSurface(fastify, doors, doors.optimizer)

  fastify.get('/queue-status', () => ({ ...queueStatus(doors), ...doors.beside?.status() }))

  if (doors.why) whySurface(fastify, doors.why)

  /** The process runs. */
  fastify.get('/livez', () => ({ status: 'ok' }))

  /** It can take requests: some backend is ready, and nobody has asked it to stop. */
  fastify.get('/readyz', (_request, reply) => {
    const ready = pool.endpoints.some((endpoint) => stateOf(endpoint).state === 'ready')
    if (ready && !doors.stopping()) return { status: 'ok' }
    reply.code(503)
    return { status: doors.stopping() ? 'stopping' : 'no backend is ready' }
  })

  fastify.get('/health', () => {
    const states = pool.endpoints.map((endpoint) => ({
      name: endpoint.name,
      ...stateOf(endpoint),
    }))
    const ready = states.filter(({ state }) => state === 'ready').length
    return {
      status: ready === states.length && ready > 0 ? 'ok' : ready > 0 ? 'degraded' : 'down',
      version: doors.version,
      demo: doors.demo,
      config: doors.refused() ? 'refused' : 'current',
      backends: states,
    }
  })

  fastify.get('/metrics', async (_request, reply) => {
    const { contentType, text } = await doors.metrics()
    reply.header('content-type', contentType)
    return text
  })

  fastify.get('/ui', (_request, reply) => {
    reply.header('content-type', 'text/html; charset=utf-8')
    reply.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
    return statusPage(queueStatus(doors), doors)
  })

  // A name that Ollama will never have.
  fastify.post('/chasqui/reload', async (request, reply) => {
    requireAdmin(request, doors)
    return sendReloaded(reply, await doors.reload())
  })

  await workersSurface(fastify, doors)
  // In a scope of its own: there bodies are bytes.
  await fastify.register((scope, _options, done) => {
    membersSurface(scope, doors)
    done()
  })
}
